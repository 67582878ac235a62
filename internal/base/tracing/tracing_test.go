package tracing

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// request is what a collector was asked.
type request struct {
	path, contentType string
	body              []byte
}

// collector takes OTLP over HTTP, answers with a status, and hands over what it was asked.
func collector(t *testing.T, status int) (url string, asked <-chan request) {
	t.Helper()
	requests := make(chan request, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- request{r.URL.Path, r.Header.Get("Content-Type"), body}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

func TestSpansReachTheCollector(t *testing.T) {
	url, asked := collector(t, http.StatusOK)
	tracing, err := Start(t.Context(), Options{Endpoint: url + "/otel/", Percent: 100, Service: "live777", Version: "1.2.3", Node: "edge-1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, outer := otel.Tracer("test").Start(t.Context(), "GET /api/recordings")
	_, inner := otel.Tracer("test").Start(ctx, "upload put")
	inner.End()
	outer.End()
	tracing.Close(context.Background())
	got := <-asked
	if got.path != "/otel/v1/traces" || got.contentType != "application/x-protobuf" {
		t.Errorf("asked at %q for %q", got.path, got.contentType)
	}
	var data tracepb.TracesData
	if err := proto.Unmarshal(got.body, &data); err != nil {
		t.Fatal(err)
	}
	var about []string
	for _, a := range data.GetResourceSpans()[0].GetResource().GetAttributes() {
		about = append(about, pair(a))
	}
	if want := []string{"service.instance.id=edge-1", "service.name=live777", "service.version=1.2.3"}; !slices.Equal(about, want) {
		t.Errorf("the spans are of %q, want %q", about, want)
	}
	spans := data.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
	if len(spans) != 2 || spans[0].GetName() != "upload put" || spans[1].GetName() != "GET /api/recordings" || !bytes.Equal(spans[0].GetParentSpanId(), spans[1].GetSpanId()) {
		t.Errorf("spans: %v", spans)
	}
}

func pair(a *commonpb.KeyValue) string { return a.GetKey() + "=" + a.GetValue().GetStringValue() }

// A collector that refuses, or is away, costs spans and a line of the log, and nothing else.
func TestCollectorAway(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   string
	}{
		"refuses": {http.StatusServiceUnavailable, "the collector answered 503"},
		"away":    {0, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			url := "http://127.0.0.1:1" // nobody listens there
			if c.status != 0 {
				url, _ = collector(t, c.status)
			}
			var log bytes.Buffer
			tracing, err := Start(t.Context(), Options{Endpoint: url, Percent: 100, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			_, span := otel.Tracer("test").Start(t.Context(), "x")
			span.End()
			tracing.Close(context.Background())
			if !strings.Contains(log.String(), c.want) {
				t.Errorf("the log does not say %q: %s", c.want, log.String())
			}
		})
	}
}

// A collector that takes a request and does not answer holds up neither the program nor its
// end: Close returns when its context ends.
func TestCollectorHangs(t *testing.T) {
	requests, release := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		requests <- struct{}{}
		<-release
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(context.Background())
	tracing, err := Start(ctx, Options{Endpoint: server.URL, Percent: 100, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("test").Start(ctx, "x")
	span.End()
	go func() {
		<-requests
		cancel()
	}()
	tracing.Close(ctx)
}

func TestOff(t *testing.T) {
	tracing, err := Start(t.Context(), Options{})
	if tracing != nil || err != nil {
		t.Errorf("%v %v", tracing, err)
	}
	tracing.Close(t.Context())
	if _, err := Start(t.Context(), Options{Endpoint: "x"}); err == nil {
		t.Error("no URL, and no error")
	}
}
