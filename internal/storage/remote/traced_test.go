package remote

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/live777/recorder/internal/storage/spool"
)

type refusing struct{ spool.Remote }

func (refusing) Put(context.Context, string, io.Reader, int64) error { return nil }
func (refusing) Add(context.Context, string, io.Reader, int64) error { return errors.New("no") }

func TestTraced(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	r := Traced(refusing{})
	if err := r.Put(t.Context(), "cam/1/manifest.mpd", strings.NewReader("x"), 1); err != nil {
		t.Error(err)
	}
	if err := r.Add(t.Context(), "cam/1/v_seg_0001.m4s", strings.NewReader("x"), 1); err == nil {
		t.Error("the error is lost")
	}
	ended := spans.Ended()
	if len(ended) != 2 || ended[0].Name() != "upload put" || ended[0].Status().Code != codes.Unset || ended[1].Name() != "upload add" || ended[1].Status().Code != codes.Error {
		t.Errorf("spans: %v", ended)
	}
}
