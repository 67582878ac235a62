// Package tracing sends spans of what the program does to an OpenTelemetry collector, by
// OTLP over HTTP. It is off where no collector is named.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// maxQueue bounds the spans that wait for the collector; over it spans are dropped.
	maxQueue = 2048
	// exportTimeout bounds one request to the collector, and the wait at the end.
	exportTimeout = 5 * time.Second
)

// Options configure Start.
type Options struct {
	// Endpoint is the collector's URL, http://host:4318; empty: nothing is traced. Spans go
	// to the path /v1/traces below it.
	Endpoint string
	// Percent is how many of a hundred traces are kept, 1 to 100. A trace that a client has
	// begun is kept if the client keeps it.
	Percent int
	// Service, Version and Node say whose the spans are.
	Service, Version, Node string
	Logger                 *slog.Logger // nil means slog.Default()
}

// Tracing sends spans. The nil *Tracing sends none. Safe for concurrent use.
type Tracing struct {
	provider *sdktrace.TracerProvider
	log      *slog.Logger
}

// Start begins to send spans, of all that is begun with otel.Tracer in this process. The
// collector need not be there: what cannot be sent is dropped, and the log says so. It
// returns nil where Options name no collector.
func Start(ctx context.Context, o Options) (*Tracing, error) {
	if o.Endpoint == "" {
		return nil, nil //nolint:nilnil // nil is no tracing
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" {
		return nil, errors.New("tracing.endpoint is no URL")
	}
	exporter, err := otlptrace.New(ctx, &client{url: u.JoinPath("v1", "traces").String(), http: &http.Client{Timeout: exportTimeout}})
	if err != nil {
		return nil, fmt.Errorf("make the exporter of traces: %w", err)
	}
	log := o.Logger
	if log == nil {
		log = slog.Default()
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces do not reach the collector", "error", err) }))
	about := []attribute.KeyValue{attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)}
	if o.Node != "" {
		about = append(about, attribute.String("service.instance.id", o.Node))
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(maxQueue), sdktrace.WithExportTimeout(exportTimeout)),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(float64(o.Percent)/100))),
		sdktrace.WithResource(sdkresource.NewSchemaless(about...)),
	)
	otel.SetTracerProvider(provider)
	return &Tracing{provider, log}, nil
}

// Close sends what waits, and ends. What is not sent in time is lost, and the log says so.
func (t *Tracing) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last traces are not sent", "error", err)
	}
}
