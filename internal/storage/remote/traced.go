package remote

import (
	"context"
	"io"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/live777/recorder/internal/storage/spool"
)

// Traced returns a remote of which each upload is a span.
func Traced(r spool.Remote) spool.Remote { return traced{r} }

type traced struct{ spool.Remote }

// Put implements spool.Remote.
func (t traced) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return t.upload(ctx, "put", key, size, func(ctx context.Context) error { return t.Remote.Put(ctx, key, body, size) })
}

// Add implements spool.Remote.
func (t traced) Add(ctx context.Context, key string, body io.Reader, size int64) error {
	return t.upload(ctx, "add", key, size, func(ctx context.Context) error { return t.Remote.Add(ctx, key, body, size) })
}

func (t traced) upload(ctx context.Context, name, key string, size int64, do func(context.Context) error) error {
	ctx, span := otel.Tracer("live777/storage").Start(ctx, "upload "+name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("object.key", key), attribute.Int64("object.size", size)))
	defer span.End()
	err := do(ctx)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}
