package catalogue

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// pageTime is what a page of any list may take of database time.
const pageTime = 10 * time.Millisecond

// BenchmarkMillion measures every page that can be asked for, at its largest and
// with its total, on 1,000,000 recordings, and the calls beside them. It fails where
// a page takes longer than pageTime, or a plan reads more than it has to.
func BenchmarkMillion(b *testing.B) {
	databases(b, shapes(1_000_000), func(name string, fill func(testing.TB) scaled) {
		b.Run(name, func(b *testing.B) {
			begin := time.Now()
			s := fill(b)
			b.Logf("made and brought up to date in %v", time.Since(begin).Round(time.Second))
			s.checkPlans(b)
			s.measurePages(b)
			if s.streams > 1 {
				s.measureOthers(b)
			}
		})
	})
}

func (s scaled) measurePages(b *testing.B) {
	b.Helper()
	for _, l := range s.listings() {
		if l.q.Limit == 0 {
			l.q.Limit = 50
		}
		measure(b, l.name, pageTime, func(ctx context.Context) error { _, err := s.ListPage(ctx, l.q); return err })
	}
	for name, q := range streamPages() {
		measure(b, name, pageTime, func(ctx context.Context) error { _, _, err := s.StreamsPage(ctx, q); return err })
	}
	last, err := s.LastSeq(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]media.Cursor{
		"changes, first":  {},
		"changes, middle": {Seq: int64(s.recordings / 2), Base: last},
		"changes, none":   {Seq: last},
	} {
		measure(b, name, pageTime, func(ctx context.Context) error { _, _, err := s.Follow(ctx, c, largest); return err })
	}
}

func (s scaled) measureOthers(b *testing.B) {
	b.Helper()
	measure(b, "streams, all", 0, func(ctx context.Context) error { _, err := s.Streams(ctx); return err })
	measure(b, "find by object", pageTime, func(ctx context.Context) error {
		_, err := s.FindByObject(ctx, fmt.Sprintf("stream-100000/%d/manifest.mpd", dayZero))
		return err
	})
	// What 5,000 streams on 200 nodes report every 30 s, by node and at once.
	var reports []media.Recording
	for i := range s.streams {
		r := recording(fmt.Sprint("stream-", 100000+i), i)
		r.Start = s.at(float64(s.recordings/s.streams-1) + float64(i)/float64(s.streams))
		r.RecordDir = fmt.Sprintf("%s/%d", r.Stream, r.Start.UnixMilli())
		r.Node, r.End, r.Status = fmt.Sprint("node-", 100+i%200), nil, media.StatusRecording
		reports = append(reports, r)
	}
	measure(b, "put 1", 0, func(ctx context.Context) error { reports[0].Bytes++; return s.Put(ctx, reports[0]) })
	measure(b, "put 25", 0, func(ctx context.Context) error { reports[0].Bytes++; return s.PutAll(ctx, reports[:25]) })
	measure(b, "put 5000", 0, func(ctx context.Context) error {
		for i := range reports {
			reports[i].Bytes++
		}
		return s.PutAll(ctx, reports)
	})
	measure(b, "put 25 new", 0, func(ctx context.Context) error {
		for i := range reports[:25] {
			reports[i].Start = reports[i].Start.Add(time.Hour)
			reports[i].RecordDir = fmt.Sprintf("%s/%d", reports[i].Stream, reports[i].Start.UnixMilli())
		}
		return s.PutAll(ctx, reports[:25])
	})
}

// measure reports the database time of a call: all that it takes from here. It may
// take most, if that is positive. What counts is the tenth of the calls that were
// fastest: the machine has other work.
func measure(b *testing.B, name string, most time.Duration, call func(context.Context) error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			begin := time.Now()
			if err := call(b.Context()); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		counts := took[len(took)/10]
		milliseconds := func(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }
		b.ReportMetric(milliseconds(took[len(took)/2]), "ms/median")
		b.ReportMetric(milliseconds(counts), "ms/page")
		if most > 0 && counts > most {
			b.Errorf("a page takes %v of database time, more than %v", counts, most)
		}
	})
}
