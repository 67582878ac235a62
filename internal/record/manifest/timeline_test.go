package manifest

import (
	"math/rand/v2"
	"testing"

	"github.com/live777/recorder/internal/media"
)

// timelineOf makes a timeline of consecutive segments.
func timelineOf(tb testing.TB, start media.Ticks, durations ...media.Ticks) *Timeline {
	tb.Helper()
	t := NewTimeline(start)
	for _, d := range durations {
		if err := t.Append(media.Segment{Time: t.End(), Duration: d}); err != nil {
			tb.Fatal(err)
		}
	}
	return t
}

func TestTimeline(t *testing.T) {
	for _, tc := range []struct {
		name      string
		start     media.Ticks
		durations []media.Ticks
		want      string
	}{
		{"empty", 5, nil, ""},
		{"one", 0, []media.Ticks{9}, `<S t="0" d="9"/>`},
		{"equal", 7, []media.Ticks{9, 9, 9}, `<S t="7" d="9" r="2"/>`},
		{"different", 7, []media.Ticks{9, 8, 9}, `<S t="7" d="9"/><S d="8"/><S d="9"/>`},
		{"runs", 1 << 40, []media.Ticks{9, 9, 8, 8, 8, 9}, `<S t="1099511627776" d="9" r="1"/><S d="8" r="2"/><S d="9"/>`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := timelineOf(t, tc.start, tc.durations...)
			for range 2 { // rendering changes nothing
				if got := string(l.dash.append(nil, l.start)); got != tc.want {
					t.Errorf("got  %s\nwant %s", got, tc.want)
				}
			}
			end := tc.start
			for _, d := range tc.durations {
				end += d
			}
			if l.Start() != tc.start || l.End() != end || l.Len() != len(tc.durations) {
				t.Errorf("start %d end %d length %d, want %d %d %d", l.Start(), l.End(), l.Len(), tc.start, end, len(tc.durations))
			}
			if n := len(l.dash.append(nil, l.start)); n > l.dash.size() {
				t.Errorf("%d bytes, size says at most %d", n, l.dash.size())
			}
		})
	}
}

func TestTimelineRefuses(t *testing.T) {
	for _, tc := range []struct {
		name            string
		at              *Timeline
		start, duration media.Ticks
	}{
		{"hole", timelineOf(t, 10, 90), 101, 90},
		{"overlap", timelineOf(t, 10, 90), 99, 90},
		{"not at the start", NewTimeline(10), 11, 90},
		{"no duration", timelineOf(t, 10, 90), 100, 0},
		{"negative duration", timelineOf(t, 10, 90), 100, -1},
		{"before 0", NewTimeline(-10), -10, 90},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, end, n := string(tc.at.dash.append(nil, tc.at.start)), tc.at.End(), tc.at.Len()
			if err := tc.at.Append(media.Segment{Time: tc.start, Duration: tc.duration}); err == nil {
				t.Errorf("a segment at %d of %d after %s is accepted", tc.start, tc.duration, text)
			}
			if string(tc.at.dash.append(nil, tc.at.start)) != text || tc.at.End() != end || tc.at.Len() != n {
				t.Error("the refused segment changed the timeline")
			}
		})
	}
}

// A day of segments of 6 s.
const daySegments = 24 * 3600 / 6

// irregular returns a day of segment durations that hardly ever repeat, as key
// frames that come when they like make them.
func irregular() []media.Ticks {
	rng := rand.New(rand.NewPCG(1, 2))
	durations := make([]media.Ticks, daySegments)
	for i := range durations {
		durations[i] = 540000 + media.Ticks(rng.IntN(9000))
	}
	return durations
}

// BenchmarkTimelineAppend is the cost per segment, of a whole day.
func BenchmarkTimelineAppend(b *testing.B) {
	durations := irregular()
	b.ReportAllocs()
	for b.Loop() {
		timelineOf(b, 0, durations...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*daySegments), "ns/segment")
}
