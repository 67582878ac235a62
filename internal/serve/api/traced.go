package api

import (
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traced begins the span of a request, which continues the client's trace (W3C Trace
// Context) if it has one. end is called when the answer has ended. The span has the
// pattern of the route, and neither names nor tokens.
func traced(w *response, r *http.Request) (with *http.Request, end func()) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := otel.Tracer("live777/api").Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		return r, func() {}
	}
	r = r.WithContext(ctx)
	return r, func() {
		if r.Pattern != "" { // the mux has set it
			span.SetName(r.Pattern)
		}
		span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.Int("http.response.status_code", w.status), attribute.Int64("http.response.body.size", w.bytes))
		if w.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
