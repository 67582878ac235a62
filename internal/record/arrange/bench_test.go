package arrange

import (
	"log/slog"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// thrownAway is an Output that counts samples.
type thrownAway struct{ samples int }

func (o *thrownAway) BeginRecording(time.Duration)           {}
func (o *thrownAway) BeginPeriod(time.Duration, []Lane)      {}
func (o *thrownAway) Enter(Lane, *media.Format, media.Ticks) {}
func (o *thrownAway) Sample(Lane, Sample)                    { o.samples++ }
func (o *thrownAway) End(Lane, media.Ticks)                  {}
func (o *thrownAway) Gap(Lane, Gap)                          {}
func (o *thrownAway) LeftOut(Lane)                           {}
func (o *thrownAway) BeforeKey(Lane, int, time.Duration)     {}
func (o *thrownAway) Corrected(Lane)                         {}
func (o *thrownAway) WantKeyFrame(media.TrackID)             {}

// BenchmarkFrame arranges a stream of 25 pictures and 50 packets of sound a second, with
// a key frame every 2 s and a report of each track every second. An operation is 40 ms of
// it: a picture and two packets.
func BenchmarkFrame(b *testing.B) {
	const every = 40 * time.Millisecond
	zero := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	out := new(thrownAway)
	a := New(Options{SegmentDuration: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}, out)
	a.Join(zero, tracks(b, "H264", "opus"))
	picture, packet := make([]byte, 10_000), make([]byte, 160)
	at, n := time.Duration(0), 0
	frame := func(f media.Frame, made time.Duration, rate int64) {
		f.Timestamp, f.Arrival = ticks(made, rate), zero.Add(made)
		a.Packet(f.Track, f.Arrival)
		a.Frame(f.Track, &f)
	}
	b.ReportAllocs()
	for b.Loop() {
		frame(media.Frame{Key: n%50 == 0, Format: videoFormat, Data: picture}, at, videoRate)
		for _, made := range []time.Duration{at, at + soundEvery} {
			frame(media.Frame{Track: 1, Duration: 960, Key: true, Format: audioFormat, Data: packet}, made, audioRate)
		}
		if n%25 == 0 {
			for id, rate := range []int64{videoRate, audioRate} {
				a.Report(&media.SenderReport{
					Track: media.TrackID(id), NTP: media.NTP(zero.Add(at)), RTP: uint32(ticks(at, rate)), Arrival: zero.Add(at),
				})
			}
		}
		if n%5 == 0 {
			a.Advance(zero.Add(at))
		}
		at += every
		n++
	}
	if n > 1000 && out.samples < 3*n-1000 {
		b.Fatalf("%d samples of %d frames", out.samples, 3*n)
	}
}
