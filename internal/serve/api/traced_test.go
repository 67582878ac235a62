package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A request's span has its route and the client's trace, and no name of a stream.
func TestSpansOfRequests(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	n := newNode(t, nil)
	n.do(t, http.MethodGet, "/api/playback/secret-name?token=hunter2", "", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans", len(ended))
	}
	s := ended[0]
	if s.Name() != "GET /api/playback/{stream}" || s.SpanContext().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("span %q of the trace %s", s.Name(), s.SpanContext().TraceID())
	}
	if all := fmt.Sprint(s.Attributes()); strings.Contains(all, "secret-name") || strings.Contains(all, "hunter2") || !strings.Contains(all, "200") {
		t.Errorf("attributes: %s", all)
	}
}
