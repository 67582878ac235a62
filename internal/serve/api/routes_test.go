package api

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/media"
)

// rightNames are the words of docs/api.md for each access.
var rightNames = map[access]string{
	public: "none", publishStream: "publish", subscribeStream: "subscribe", asSession: "session",
	known: "any token", anyStream: "any", listStreams: "any", viewStream: "view", viewObject: "view", viewRecording: "view", listRecorded: "view", viewAll: "view",
	statusStream: "view or record", recordStream: "record", deleteRecording: "delete", deleteAll: "delete",
	adminStream: "admin", adminAll: "admin", signedObject: "the URL", registerNode: "admin or the registration token",
}

// sufficient are the rights, without admin, that each access has to let in: said
// here a second time, so that a slip in rules is seen.
var sufficient = map[access][]auth.Right{
	publishStream: {auth.Publish}, subscribeStream: {auth.Subscribe},
	anyStream:   {auth.Publish, auth.Subscribe, auth.View, auth.Record, auth.Delete},
	listStreams: {auth.Publish, auth.Subscribe, auth.View, auth.Record, auth.Delete},
	viewStream:  {auth.View}, viewObject: {auth.View}, viewRecording: {auth.View}, listRecorded: {auth.View}, viewAll: {auth.View},
	statusStream: {auth.View, auth.Record}, recordStream: {auth.Record}, deleteRecording: {auth.Delete}, deleteAll: {auth.Delete},
	adminStream: {}, adminAll: {}, registerNode: {},
}

func TestRoutesAreDocumented(t *testing.T) {
	checkDocument(t, "../../../docs/api.md", newNode(t, nil).routes())
}

// checkDocument holds the table of a document against routes.
func checkDocument(t *testing.T, file string, routes []route) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	right := ""
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "/"), "|")
		if !strings.HasPrefix(line, "| `") || len(cells) < 4 || !strings.Contains(cells[1], " /") {
			continue
		}
		if right2 := strings.TrimSpace(cells[2]); right2 != "same" {
			right = right2
		}
		if strings.Contains(right, "as the session") {
			right = "session"
		}
		right, _, _ = strings.Cut(right, " (")
		method := ""
		for place := range strings.SplitSeq(cells[1], ",") {
			fields := strings.Fields(strings.Trim(strings.TrimSpace(place), "`"))
			path := fields[len(fields)-1]
			if len(fields) == 2 {
				method = strings.TrimSuffix(fields[0], "/HEAD")
			}
			if path != "/" { // the page
				documented = append(documented, fmt.Sprintf("%s %s %s", method, strings.TrimSuffix(path, "/"), right))
			}
		}
	}
	var have []string
	for _, rt := range routes {
		have = append(have, fmt.Sprintf("%s %s %s", rt.method, strings.TrimSuffix(rt.path, "/{$}"), rightNames[rt.access]))
	}
	slices.Sort(documented)
	slices.Sort(have)
	have = slices.Compact(have)
	if !slices.Equal(documented, have) {
		t.Errorf("%s has\n%s\nthe API has\n%s", file, strings.Join(documented, "\n"), strings.Join(have, "\n"))
	}
}

// Every field of a recording is documented.
func TestFieldsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, typ := range []reflect.Type{reflect.TypeFor[media.Recording](), reflect.TypeFor[media.RecordingTrack](), reflect.TypeFor[media.Gap]()} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			fields++
			if !bytes.Contains(text, []byte("`"+name+"`")) && !bytes.Contains(text, []byte(`"`+name+`"`)) {
				t.Errorf("docs/api.md does not have the field %s of %s", name, typ)
			}
		}
	}
	if fields < 30 {
		t.Errorf("only %d fields were looked for", fields)
	}
}

// target fills in a route's path.
func target(rt route, stream, session string) string {
	return strings.NewReplacer("{stream}", stream, "{time}", "now", "{session}", session, "{$}", "", "{path...}", stream+"/1/v_init.m4s", "{record_dir...}", stream+"/1", "{token}", "x", "{alias}", "n1").Replace(rt.path)
}

func jwtFor(t *testing.T, streams []string, rights ...auth.Right) string {
	t.Helper()
	s, err := auth.Sign(secret, time.Now().Add(time.Hour), streams, rights...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUndeclaredAccessIsDenied(t *testing.T) {
	n := newNode(t, nil)
	r := httpRequest(t, http.MethodGet, "/")
	r.SetPathValue("stream", "room")
	for _, to := range []access{denied, signedObject, signedObject + 1, 255} {
		if _, err := n.gate.authorize(to, r); err == nil {
			t.Errorf("a route with access %d lets everybody in", to)
		}
	}
	if len(rules) != int(signedObject)-2 { // all but denied, public and signedObject
		t.Errorf("%d accesses have a rule", len(rules))
	}
}

// TestNothingToShow: WHIP's and WHEP's resources are no pages, and do not tell
// anybody whether they exist.
func TestNothingToShow(t *testing.T) {
	n := newNode(t, withAuth)
	for _, path := range []string{"/whip/a", "/whep/a", "/session/a/pub", "/session/a/gone"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if w := n.do(t, method, path, ""); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
		w := n.do(t, http.MethodOptions, path, "")
		expect(t, w, http.StatusNoContent)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	n := newNode(t, nil)
	for _, path := range []string{"/api", "/api/", "/api/x", "/api/streams/a/b", "/whip", "/whip/", "/session/a", "/api/playback/"} {
		expect(t, n.do(t, http.MethodGet, path, ""), http.StatusNotFound)
	}
	for path, allow := range map[string]string{
		"/api/streams/a": "DELETE, GET, HEAD, POST", "/whip/a": "GET, HEAD, OPTIONS, POST", "/session/a/b": "DELETE, GET, HEAD, OPTIONS, PATCH",
		"/api/record/a": "DELETE, GET, HEAD, PATCH, POST", "/api/record/object/a/b": "GET, HEAD", "/api/info": "GET, HEAD", "/api/streams/": "GET, HEAD",
	} {
		w := n.do(t, http.MethodPut, path, "")
		expect(t, w, http.StatusMethodNotAllowed)
		if got := w.Header().Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q, want %q", path, got, allow)
		}
	}
	for _, path := range []string{"/", "/assets/x.js", "/apix", "/whipx"} {
		if w := n.do(t, http.MethodGet, path, ""); w.Code != http.StatusOK || w.Body.String() != "page "+path || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s is not the page's: %d %s", path, w.Code, w.Body)
		}
	}
}

// Paths as they stand on the wire: nothing is redirected, nothing gets through.
func TestRawPaths(t *testing.T) {
	n := newNode(t, nil)
	addr, _ := n.listen(t)
	bad := []string{
		"/api/record/object/a/%2e%2e/b", "/api/record/object/a/../b", "/api/record/object/../../etc/passwd",
		"/api/record/object/..%2f..%2fetc%2fpasswd", "/api/record/object/a%2f..%2fb", "/api/record/object/a/%00", "/api/record/object/a%00/b",
		"/api/record/object/a//b", "/api/record/object//etc/passwd", "/api/record/object/%2fetc/passwd", "/api/record/object/a/", "/api/record/object/",
		"/api/record/object/a%5c..%5cb", "/api/record/object/.hidden", "/api/record/object/a/./b", "/api/record/object/a%0d%0ab", "/api/record/object/%ff",
		"/api/streams/..", "/api/streams/%2e%2e", "/api/streams/a%2fb", "/api/streams/.a", "/api/streams/a%00",
		"/whip/..%2fadmin", "/whip/a%2fb", "/session/a%2fb/c", "/api/../api/info", "/api//info", "/api/./info", "/api/record/%2e%2e/info",
	}
	for _, path := range bad {
		method := map[bool]string{true: "POST", false: "GET"}[strings.HasPrefix(path, "/whip")]
		if strings.HasPrefix(path, "/session") {
			method = "DELETE"
		}
		c := dial(t, addr)
		if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, path); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s, want 400 with JSON", path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
	if calls := n.called(); calls != "" {
		t.Errorf("got through: %s", calls)
	}
	if w := n.do(t, http.MethodGet, "/api/record/object/a%20b/%C3%A9/x", ""); w.Body.String() != "bytes of a b/é/x" {
		t.Errorf("a legitimate path: %s", w.Body)
	}
}

func FuzzServe(f *testing.F) {
	f.Add("/api/record/object/a/%2e%2e/b", "GET", "")
	f.Add("/api/record/room", "POST", `{"base_dir":"a/b"}`)
	f.Add("/api/playback/room?limit=1&offset=2&from=0&to=2026-01-02T15:04:05Z", "GET", "")
	f.Add("/api/streams/x", "POST", "[]")
	f.Fuzz(func(t *testing.T, path, method, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://localhost", strings.NewReader(body))
		if err != nil || r.URL.Path != "" {
			return // nothing that net/http would hand on
		}
		if r.URL, err = r.URL.Parse(path); err != nil || strings.HasPrefix(r.URL.Path, "/api/sse/") {
			return // likewise, or an answer without end
		}
		n := newNode(t, nil)
		w := newRecorder()
		n.ServeHTTP(w, r)
		checkAnswer(t, n.API, r, w)
		if w.Code >= 500 {
			t.Fatalf("%s %q %q: %d %s", method, path, body, w.Code, w.Body)
		}
		for _, call := range n.calls {
			if key, ok := strings.CutPrefix(call, "object("); ok && media.CheckPath(strings.TrimSuffix(key, ")")) != nil {
				t.Fatalf("%q got through as %s", path, call)
			}
			if args, ok := strings.CutPrefix(call, "start("); ok {
				_, dir, _ := strings.Cut(strings.TrimSuffix(args, ")"), ",")
				if dir != "" && media.CheckPath(dir) != nil && !strings.Contains(args, ",,") {
					t.Fatalf("%q with %q got through as %s", path, body, call)
				}
			}
		}
	})
}
