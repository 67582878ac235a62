package catalogue

import (
	"context"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/media"
)

// BenchmarkTimeline measures timelines of streams that are recorded by the hour, with
// 100,000 recordings: with the ledgers of all recordings of a day and of a month, and as
// an outline. They are to take 20 ms.
func BenchmarkTimeline(b *testing.B) {
	const recordings = 100_000
	databases(b, []shape{{"fleet", recordings, 100, hour}, {"one stream", recordings, 1, hour}}, func(name string, fill func(testing.TB) scaled) {
		b.Run(name, func(b *testing.B) {
			s := fill(b)
			a, err := archive.New(archive.Options{Catalogue: s, Now: func() time.Time { return s.at(recordings) }})
			if err != nil {
				b.Fatal(err)
			}
			for _, tt := range []struct {
				name     string
				from, to float64 // hours
				buckets  int
			}{{"a day", 500, 524, 300}, {"a month", 100, 820, 300}, {"a year", 100, 8860, 300}, {"all", 0, recordings, 300}, {"all, finely", 0, recordings, 2000}} {
				q := media.TimelineQuery{Stream: "stream-100000", Span: media.TimeSpan{From: s.at(tt.from), To: s.at(tt.to)}, Buckets: tt.buckets}
				measure(b, tt.name, 0, func(ctx context.Context) error { _, err := a.Timeline(ctx, q); return err })
			}
		})
	})
}

const hour = 3600 * 1000 // milliseconds
