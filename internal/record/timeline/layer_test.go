// A timeline has no goroutines: the race detector would only take minutes.

//go:build !race

package timeline

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

var ladder = []media.Track{
	{ID: 0, Kind: media.Video, ClockRate: 90000, MID: "0", RID: "h"},
	{ID: 1, Kind: media.Video, ClockRate: 90000, MID: "0", RID: "m"},
	{ID: 2, Kind: media.Video, ClockRate: 90000, MID: "0", RID: "l"},
	{ID: 3, Kind: media.Audio, ClockRate: 48000, MID: "1"},
	{ID: 4, Kind: media.Video, ClockRate: 90000, MID: "2"},
}

// broadcast sends three layers of one video whose reports are stamped when they are
// sent, the layers one after the other.
type broadcast struct {
	tl    *Timeline
	start time.Time
	ts0   [3]uint32
	rand  *rand.Rand
	by    func(layer, frame int) bool // whether a layer reports with a frame
}

func (b *broadcast) ts(layer int, d time.Duration) int64 {
	return int64(b.ts0[layer]) + int64(media.TicksOf(d, 90000))
}

func (b *broadcast) frame(n int) {
	d := time.Duration(n) * time.Second / 30
	sent := d + ms(b.rand.Float64()*30)
	for l := range 3 {
		sent += ms(b.rand.Float64() * 23)
		ts, at := b.ts(l, d), b.start.Add(sent+2*time.Millisecond)
		if b.by(l, n) {
			b.tl.Report(&media.SenderReport{Track: media.TrackID(l), NTP: media.NTP(b.start.Add(sent)), RTP: uint32(ts), Arrival: at})
		}
		b.tl.Observe(media.TrackID(l), ts, at)
	}
	if n == 0 {
		b.tl.Anchor(0, b.ts(0, 0), 0)
	}
}

// Layers stay together to the millisecond where their timestamps are equal, whichever
// of them report, and nearly so where they are not.
func TestLayers(t *testing.T) {
	each := func(l, n int) bool { return n%30 == 5+l }
	for _, c := range []struct {
		name  string
		ts0   [3]uint32
		by    func(layer, frame int) bool
		alike bool
		most  time.Duration
	}{
		{"equal timestamps", [3]uint32{1<<32 - 9000, 1<<32 - 9000, 1<<32 - 9000}, each, true, 0},
		{"equal timestamps, one reports", [3]uint32{77, 77, 77}, func(l, n int) bool { return l == 2 && n%30 == 5 }, true, 0},
		{"timestamps of their own", [3]uint32{1 << 31, 3 << 30, 5}, each, false, ms(20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(4) {
				b := &broadcast{tl: New(ladder[:3]), start: time.Date(2026, 5, 5, 5, 5, 5, 123456789, time.UTC), ts0: c.ts0, by: c.by, rand: rand.New(rand.NewPCG(seed, 1))}
				for n := range 30 * 120 {
					b.frame(n)
					if b.tl.Alike(0, 1) != c.alike || b.tl.Alike(1, 2) != c.alike {
						t.Fatalf("after frame %d: Alike is %v, %v", n, b.tl.Alike(0, 1), b.tl.Alike(1, 2))
					}
					d := time.Duration(n) * time.Second / 30
					for l := 1; l < 3 && n > 30*20; l++ {
						apart := b.tl.Media(media.TrackID(l), b.ts(l, d)) - b.tl.Media(0, b.ts(0, d))
						if apart.Abs() > c.most {
							t.Fatalf("seed %d, frame %d: layer %d is %v from the first", seed, n, l, apart)
						}
					}
				}
			}
		})
	}
}

// Reports of whole seconds do not tell how far the clocks of two layers are apart, for each is
// of another time of its second: the arrivals do.
func TestLayersOfWholeSeconds(t *testing.T) {
	tl, start := New(ladder[:2]), time.Date(2026, 5, 5, 5, 5, 5, 0, time.UTC)
	ts := func(id media.TrackID, n int) int64 { return int64(id+1)<<30 + int64(n)*3000 }
	apart := func(n int) time.Duration { return tl.Media(1, ts(1, n)) - tl.Media(0, ts(0, n)) }
	for n := range 30 * 20 {
		at := start.Add(time.Duration(n) * time.Second / 30)
		for id := range media.TrackID(2) {
			if n < 60 && id == 1 {
				continue // it comes late
			}
			if n%30 == 3+24*int(id) {
				tl.Report(&media.SenderReport{Track: id, NTP: media.NTP(at.Truncate(time.Second)), RTP: uint32(ts(id, n)), Arrival: at.Add(ms(5))})
			}
			tl.Observe(id, ts(id, n), at.Add(ms(5)))
		}
		if n == 0 {
			tl.Anchor(0, ts(0, 0), 0)
		}
		if n > 300 && apart(n).Abs() > ms(20) {
			t.Fatalf("after frame %d they are %v apart", n, apart(n))
		}
	}
}

// What is alike stays so while a layer is off, and is learned anew after a jump.
func TestAlike(t *testing.T) {
	tl := New(ladder)
	at := time.Date(2026, 5, 5, 5, 5, 5, 0, time.UTC)
	send := func(from, to int, tracks ...media.TrackID) {
		for n := from; n < to; n++ {
			for _, id := range tracks {
				tl.Observe(id, int64(n)*3000, at.Add(time.Duration(n)*time.Second/30))
			}
		}
	}
	want := func(when string, a, b media.TrackID, alike bool) {
		t.Helper()
		if tl.Alike(a, b) != alike || tl.Alike(b, a) != alike {
			t.Errorf("%s: Alike(%d, %d) is %v", when, a, b, !alike)
		}
	}
	want("before the first frame", 0, 1, false)
	send(0, 1, 0, 1, 3, 4)
	want("after one frame", 0, 1, true)
	want("layers and the audio", 0, 3, false)
	want("layers and another video", 0, 4, false)
	want("a track that is not there", 0, 9, false)
	for n := 1; n < 100; n++ { // a layer of half the rate
		send(n, n+1, 0)
		if n%2 == 0 {
			send(n, n+1, 1)
		}
	}
	want("half the rate", 0, 1, true)
	send(100, 400, 0)
	want("one is off", 0, 1, true)
	tl.Jump(1, 300*3000, 300*3000+1234)
	for n := 400; n < 420; n++ {
		send(n, n+1, 0)
		tl.Observe(1, int64(n)*3000+1234, at.Add(time.Duration(n)*time.Second/30))
	}
	want("another clock", 0, 1, false)
}

// A few reports that are wrong by some 40 ms, of layers with timestamps of their own, do not
// take them further apart than that.
func TestLayersOfFewReports(t *testing.T) {
	tl, start := New(ladder[:2]), time.Date(2026, 5, 5, 5, 5, 5, 123456789, time.UTC)
	lies := [2][]int{{38, -37, 30, -20, 10}, {5, 4, 6, 5, 4}}
	ts := func(id media.TrackID, n int) int64 { return int64(id+1)<<30 + int64(n)*3000 }
	for n := range 30 * len(lies[0]) {
		at := start.Add(time.Duration(n) * time.Second / 30)
		for id := range media.TrackID(2) {
			tl.Observe(id, ts(id, n), at)
			if n%30 == 3+int(id) {
				ntp := at.Add(time.Duration(lies[id][n/30]) * time.Millisecond)
				tl.Report(&media.SenderReport{Track: id, NTP: media.NTP(ntp), RTP: uint32(ts(id, n)), Arrival: at})
			}
		}
		if n == 0 {
			tl.Anchor(0, ts(0, 0), 0)
		}
		if apart := tl.Media(1, ts(1, n)) - tl.Media(0, ts(0, n)); apart.Abs() > 45*time.Millisecond {
			t.Fatalf("frame %d: the second layer is %v from the first", n, apart)
		}
	}
}
