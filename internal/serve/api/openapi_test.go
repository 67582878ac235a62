package api

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/live777/recorder/docs/openapi"
	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/events"
)

// parseDocument reads an OpenAPI document. Unlike those who use the documents,
// who have to expect more, we take a field that is in no schema for a mistake.
func parseDocument(raw []byte) (*openapi3.T, error) {
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, err
	}
	closeObjects(tree)
	strict, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(strict)
}

// closeObjects allows the schemas of v the properties only that they name.
func closeObjects(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			closeObjects(e)
		}
	case map[string]any:
		if _, said := v["additionalProperties"]; v["type"] == "object" && !said {
			v["additionalProperties"] = false
		}
		for _, e := range v {
			closeObjects(e)
		}
	}
}

var (
	live777Document = sync.OnceValues(func() (*openapi3.T, error) { return parseDocument(openapi.Live777()) })
	livemanDocument = sync.OnceValues(func() (*openapi3.T, error) { return parseDocument(openapi.Liveman()) })
)

// documentOf returns the document that a serves.
func documentOf(t *testing.T, a *API) *openapi3.T {
	t.Helper()
	parse := live777Document
	if a.fleet != nil {
		parse = livemanDocument
	}
	doc, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// template returns the path of a route as OpenAPI writes it.
func template(pattern string) string {
	return strings.NewReplacer("...}", "}", "{$}", "").Replace(pattern)
}

func TestOpenAPIDocuments(t *testing.T) {
	for name, raw := range map[string][]byte{"live777": openapi.Live777(), "liveman": openapi.Liveman()} {
		doc, err := parseDocument(raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := doc.Validate(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if doc.Info.Title != name || !doc.IsOpenAPI31OrLater() {
			t.Errorf("%s: title %s, version %s", name, doc.Info.Title, doc.OpenAPI)
		}
	}
	// What both have is the same.
	var a, b struct {
		Components struct {
			Schemas, Responses map[string]any
		}
	}
	if err := json.Unmarshal(openapi.Live777(), &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(openapi.Liveman(), &b); err != nil {
		t.Fatal(err)
	}
	shared := 0
	for name, schema := range a.Components.Schemas {
		if other, ok := b.Components.Schemas[name]; ok {
			shared++
			if !reflect.DeepEqual(schema, other) {
				t.Errorf("the schemas %s of the documents differ", name)
			}
		}
	}
	if shared < 10 || !reflect.DeepEqual(a.Components.Responses, b.Components.Responses) {
		t.Errorf("%d schemas are shared, or the responses differ", shared)
	}
}

// checkRoutes holds a document against routes: both have the same ones, and want
// the same rights.
func checkRoutes(t *testing.T, doc *openapi3.T, routes []route) {
	t.Helper()
	documented := make(map[string]*openapi3.Operation)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented[method+" "+path] = op
		}
	}
	for _, rt := range routes {
		name := rt.method + " " + template(rt.path)
		op := documented[name]
		if op == nil {
			t.Errorf("%s is not documented", name)
			continue
		}
		delete(documented, name)
		if got, want := requirements(op), wantedRequirements(rt.access); !slices.Equal(got, want) {
			t.Errorf("%s is documented to need %q, not %q", name, got, want)
		}
		for _, p := range strings.Split(template(rt.path), "/") {
			if name, ok := strings.CutPrefix(p, "{"); ok && op.Parameters.GetByInAndName("path", strings.TrimSuffix(name, "}")) == nil {
				t.Errorf("%s %s: the parameter %s is not documented", rt.method, rt.path, p)
			}
		}
	}
	for name := range documented {
		t.Errorf("%s is documented, and does not exist", name)
	}
}

// requirements returns what each alternative of op needs, as "scheme right".
func requirements(op *openapi3.Operation) []string {
	list := []string{}
	if op.Security == nil {
		return []string{"undeclared"}
	}
	for _, alternative := range *op.Security {
		for scheme, rights := range alternative {
			list = append(list, strings.TrimSpace(scheme+" "+strings.Join(rights, " and ")))
		}
	}
	slices.Sort(list)
	return list
}

func wantedRequirements(to access) []string {
	list := []string{}
	switch {
	case to == public || to == signedObject:
		return list
	case len(rules[to].rights) == 0 || len(rules[to].rights) == len(auth.Rights()):
		return []string{"bearer", "session"} // any
	}
	for _, r := range rules[to].rights {
		list = append(list, "bearer "+string(r), "session "+string(r))
	}
	if to == registerNode {
		list = append(list, "registration")
	}
	slices.Sort(list)
	return list
}

func TestOpenAPIRoutes(t *testing.T) {
	n := newNode(t, nil)
	checkRoutes(t, documentOf(t, n.API), n.routes())
	m := newManager(t, nil)
	checkRoutes(t, documentOf(t, m.API), m.managerRoutes())
}

// The document's fields are those of the types.
func TestOpenAPIFields(t *testing.T) {
	checkFields(t, documentOf(t, newNode(t, nil).API), map[string]reflect.Type{
		"Recording": reflect.TypeFor[media.Recording](), "RecordingTrack": reflect.TypeFor[media.RecordingTrack](), "Gap": reflect.TypeFor[media.Gap](),
		"StreamSummary": reflect.TypeFor[media.StreamSummary](), "Info": reflect.TypeFor[Info](), "Identity": reflect.TypeFor[identity](),
		"Timeline": reflect.TypeFor[media.Timeline](), "TimelineSpan": reflect.TypeFor[media.TimelineSpan](),
		"TimelineTrack": reflect.TypeFor[media.TimelineTrack](), "MissingMedia": reflect.TypeFor[media.MissingMedia](),
		"Change": reflect.TypeFor[media.Change](), "Error": reflect.TypeFor[errorBody](),
		"NodeLoad": reflect.TypeFor[NodeLoad](), "TrafficLoad": reflect.TypeFor[TrafficLoad](), "ProcessLoad": reflect.TypeFor[ProcessLoad](),
		"StorageLoad": reflect.TypeFor[StorageLoad](), "SpoolLoad": reflect.TypeFor[SpoolLoad](),
		"EventStatus": reflect.TypeFor[events.Status](), "Delivery": reflect.TypeFor[events.Delivery](),
	})
	checkFields(t, documentOf(t, newManager(t, nil).API), map[string]reflect.Type{
		"Node": reflect.TypeFor[FleetNode](), "NodeLoad": reflect.TypeFor[NodeLoad](), "NodeFeed": reflect.TypeFor[NodeFeed](),
		"Session": reflect.TypeFor[StreamSession](), "Presence": reflect.TypeFor[StreamPresence](), "Stream": reflect.TypeFor[NodeStream](),
	})
}

func checkFields(t *testing.T, doc *openapi3.T, types map[string]reflect.Type) {
	t.Helper()
	for name, typ := range types {
		schema := doc.Components.Schemas[name].Value
		fields := 0
		for i := range typ.NumField() {
			field, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if field == "-" || !typ.Field(i).IsExported() {
				continue
			}
			if schema.Properties[field] == nil {
				t.Errorf("%s lacks %s", name, field)
			}
			if required := !strings.Contains(options, "omit"); required != slices.Contains(schema.Required, field) {
				t.Errorf("%s: %s required: %v", name, field, required)
			}
			fields++
		}
		if fields != len(schema.Properties) {
			t.Errorf("%s has %d fields, documented are %d", name, fields, len(schema.Properties))
		}
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	for n, want := range map[*node][]byte{newNode(t, withAuth): openapi.Live777(), newManager(t, nil): openapi.Liveman()} {
		w := n.do(t, http.MethodGet, "/api/openapi.json", "")
		if w.Code != http.StatusOK || w.Body.String() != string(want) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
}

// checkAnswer holds an answer of a to r against the document that a serves.
func checkAnswer(t *testing.T, a *API, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	handler, pattern := a.mux.Handler(r)
	if _, ours := handler.(http.HandlerFunc); pattern == "" || !ours || !isAPI(r.URL.Path) {
		return // no route: no operation either
	}
	if err := answerProblem(documentOf(t, a), pattern, r.Method, w); err != nil {
		t.Errorf("%s %s: answer %d %q is not as documented: %v", r.Method, r.URL.Path, w.Code, w.Body, err)
	}
}

func answerProblem(doc *openapi3.T, pattern, method string, w *httptest.ResponseRecorder) error {
	routeMethod, path, _ := strings.Cut(pattern, " ")
	item := doc.Paths.Value(template(path))
	if item == nil || item.GetOperation(routeMethod) == nil {
		return fmt.Errorf("%s is not documented", pattern)
	}
	responses := item.GetOperation(routeMethod).Responses
	response := responses.Value(strconv.Itoa(w.Code))
	if response == nil {
		response = responses.Value(strconv.Itoa(w.Code/100) + "XX")
	}
	if response == nil {
		return fmt.Errorf("status %d is not documented", w.Code)
	}
	if method == http.MethodHead || w.Body.Len() == 0 && len(response.Value.Content) == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil && response.Value.Content.Get("*/*") == nil {
		return fmt.Errorf("content type %q: %w", w.Header().Get("Content-Type"), err)
	}
	content := response.Value.Content.Get(kind)
	if content == nil {
		return fmt.Errorf("content type %q is not documented", kind)
	}
	if kind != "application/json" || content.Schema == nil {
		return nil
	}
	var value any
	if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
		return err
	}
	return doc.ValidateSchemaJSON(content.Schema.Value, value)
}

// The check above can fail.
func TestAnswerProblem(t *testing.T) {
	doc := documentOf(t, newNode(t, nil).API)
	for name, tt := range map[string]struct {
		pattern, kind, body string
		status              int
		ok                  bool
	}{
		"good":               {"GET /api/me", "application/json", `{"kind":"jwt","name":"","rights":["view"],"streams":[]}`, 200, true},
		"with an option":     {"GET /api/me", "application/json; charset=utf-8", `{"kind":"jwt","name":"","rights":[],"streams":[],"expires":"2026-01-02T03:04:05Z"}`, 200, true},
		"a field more":       {"GET /api/me", "application/json", `{"kind":"jwt","name":"","rights":["view"],"streams":[],"x":1}`, 200, false},
		"a field less":       {"GET /api/me", "application/json", `{"kind":"jwt","name":"","rights":["view"]}`, 200, false},
		"a wrong value":      {"GET /api/me", "application/json", `{"kind":"jwt","name":"","rights":["fly"],"streams":[]}`, 200, false},
		"a wrong type":       {"GET /api/me", "application/json", `{"kind":"jwt","name":1,"rights":[],"streams":[]}`, 200, false},
		"no JSON":            {"GET /api/me", "application/json", `{`, 200, false},
		"a wrong media type": {"GET /api/me", "text/plain", `{"kind":"jwt","name":"","rights":[],"streams":[]}`, 200, false},
		"a wrong status":     {"GET /api/me", "application/json", `{"error":"x"}`, 418, false},
		"an error":           {"GET /api/me", "application/json", `{"error":"x"}`, 401, true},
		"any server error":   {"GET /api/me", "application/json", `{"error":"x"}`, 503, true},
		"an error without":   {"GET /api/me", "application/json", `{}`, 503, false},
		"no such operation":  {"GET /api/you", "application/json", `{}`, 200, false},
		"nested":             {"GET /api/streams/{$}", "application/json", `[{"id":"a"}]`, 200, false},
		"no content":         {"POST /api/logout", "", ``, 204, true},
		"bytes":              {"GET /api/record/object/{path...}", "video/mp4", `x`, 206, true},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", tt.kind)
		w.WriteHeader(tt.status)
		_, _ = w.WriteString(tt.body)
		method, _, _ := strings.Cut(tt.pattern, " ")
		if err := answerProblem(doc, tt.pattern, method, w); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
