package depacket

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// order pushes frames with these presentation times, of which the first and those
// in keys are key frames, and returns what leaves with each.
func order(o *ordering, depth int, times []int64, keys ...int64) (out [][]*media.Frame) {
	for i, at := range times {
		f := &media.Frame{Timestamp: at, Key: i == 0 || slices.Contains(keys, at), Arrival: epoch}
		var left []*media.Frame
		for _, r := range o.push(f, place{depth: depth}, nil) {
			left = append(left, r.Frame)
		}
		out = append(out, left)
	}
	return append(out, frames(o.flush(nil)))
}

func frames(results []Result) (out []*media.Frame) {
	for _, r := range results {
		out = append(out, r.Frame)
	}
	return out
}

// spell writes the decode and presentation times of frames.
func spell(frames []*media.Frame) (s string) {
	for _, f := range frames {
		s += fmt.Sprintf("%d>%d ", f.Timestamp, f.Timestamp+int64(f.Composition))
	}
	return s
}

func TestOrdering(t *testing.T) {
	for name, tc := range map[string]struct {
		depth int
		times []int64
		keys  []int64
		want  string
	}{
		"nothing reordered":        {0, []int64{0, 10, 20, 30}, nil, "0>0 10>10 20>20 30>30 "},
		"nothing, though declared": {2, []int64{0, 10, 20, 30}, nil, "0>0 10>10 20>20 30>30 "},
		"B-frames":                 {1, []int64{0, 30, 10, 20, 60, 40, 50}, nil, "0>0 10>30 20>10 30>20 40>60 50>40 60>50 "},
		"pyramid":                  {2, []int64{0, 40, 20, 10, 30, 80, 60, 50, 70}, nil, "0>0 10>40 20>20 30>10 40>30 50>80 60>60 70>50 80>70 "},
		"next key frame":           {1, []int64{0, 30, 10, 20, 40, 70, 50, 60}, []int64{40}, "0>0 10>30 20>10 30>20 40>40 50>70 60>50 70>60 "},
		"lost in between":          {1, []int64{0, 30, 10, 60, 50}, nil, "0>0 10>30 30>10 50>60 60>50 "},
		// What is squeezed in lasts a tick; from then on the depth is known.
		"not declared":         {0, []int64{0, 30, 10, 20, 60, 40, 50, 90, 70, 80}, nil, "0>0 30>30 31>10 32>20 40>60 50>40 60>50 70>90 80>70 90>80 "},
		"pyramid not declared": {0, []int64{0, 40, 20, 10, 30, 80, 60, 50, 70}, nil, "0>0 40>40 41>20 42>10 43>30 50>80 60>60 70>50 80>70 "},
		"too little declared":  {1, []int64{0, 40, 20, 10, 30, 80, 60, 50, 70}, nil, "0>0 20>40 21>20 30>10 40>30 50>80 60>60 70>50 80>70 "},
		// Another clock is not a B-frame.
		"key frame back":    {0, []int64{200000, 203000, 5000, 8000}, []int64{5000}, "200000>200000 203000>203000 5000>5000 8000>8000 "},
		"key frame back, B": {1, []int64{200000, 209000, 203000, 5000, 14000, 8000}, []int64{5000}, "200000>200000 203000>209000 209000>203000 5000>5000 8000>14000 14000>8000 "},
		"jump back":         {0, []int64{200000, 203000, 50000, 53000}, nil, "200000>200000 203000>203000 50000>50000 53000>53000 "},
		"the same again":    {0, []int64{0, 10, 10, 20}, nil, "0>0 10>10 10>10 20>20 "},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*media.Frame
			for i, left := range order(&ordering{clockRate: 90000}, tc.depth, tc.times, tc.keys...) {
				all = append(all, left...)
				if held := i + 1 - len(all); i < len(tc.times) && tc.depth == 0 && held > 2 {
					t.Errorf("after %d frames %d are held back", i+1, held)
				}
			}
			if got := spell(all); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestOrderingByDecoder has times in the order of decoding, and places of pictures.
func TestOrderingByDecoder(t *testing.T) {
	for name, tc := range map[string]struct {
		depth  int
		places []int64 // negative: not bidirectional
		times  []int64 // nil: 0, 10, 20 ...
		want   string
	}{
		"B-frames":     {1, []int64{0, -3, 1, 2, -6, 4, 5}, nil, "0>0 10>30 20>10 30>20 40>60 50>40 60>50 "},
		"pyramid":      {2, []int64{0, -4, 2, 1, 3, -8, 6, 5, 7}, nil, "0>0 10>40 20>20 30>10 40>30 50>80 60>60 70>50 80>70 "},
		"not declared": {0, []int64{0, -3, 1, 2, -6, 4, 5, -9, 7, 8}, nil, "0>0 10>10 20>20 30>30 40>60 50>40 60>50 70>90 80>70 90>80 "},
		"low delay":    {0, []int64{0, 1, 2, 3}, nil, "0>0 10>10 20>20 30>30 "},
		"P-frames":     {0, []int64{0, -3, -1, -2}, nil, "0>0 10>10 20>20 30>30 "}, // counted anew, for all that is known
		"their own":    {1, []int64{0, -3, 1, 2, -6, 4, 5}, []int64{0, 30, 10, 20, 60, 40, 50}, "0>0 10>30 20>10 30>20 40>60 50>40 60>50 "},
		"mended":       {1, []int64{0, -3, 1, 2, -6, 4, 5}, []int64{0, 10, 20, 30, 60, 40, 50}, "0>0 10>30 20>10 30>20 60>60 61>40 62>50 "},
	} {
		t.Run(name, func(t *testing.T) {
			o := &ordering{clockRate: 90000}
			var out []Result
			for i, at := range tc.places {
				f := &media.Frame{Timestamp: int64(10 * i), Key: i == 0, Arrival: epoch}
				if tc.times != nil {
					f.Timestamp = tc.times[i]
				}
				out = o.push(f, place{depth: tc.depth, order: max(at, -at), ordered: true, bidirectional: at > 0}, out)
			}
			if got := spell(frames(o.flush(out))); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// A frame whose turn never comes does not hold up others for ever.
func TestOrderingBounds(t *testing.T) {
	o := &ordering{clockRate: 90000}
	var out []Result
	for i := range 1000 {
		f := &media.Frame{Timestamp: int64(i), Key: i == 0, Arrival: epoch}
		out = o.push(f, place{depth: 2, order: int64(5000 - i), ordered: true, bidirectional: true}, out)
		if len(o.frames) > maxQueued {
			t.Fatalf("%d frames wait", len(o.frames))
		}
	}
	if out = o.flush(out); len(out) != 1000 || len(o.times) > 0 {
		t.Errorf("%d frames left, %d times stayed", len(out), len(o.times))
	}
}

// B-frames whose order nothing tells are found, and no others.
func TestOrderUntold(t *testing.T) {
	for name, tc := range map[string]struct {
		depth int
		place place
		back  bool // times are presentation times
		want  bool
	}{
		"decoding times, no order":     {0, place{bidirectional: true}, false, true},
		"declared":                     {2, place{bidirectional: true}, false, true},
		"presentation times":           {0, place{bidirectional: true}, true, false},
		"presentation times, declared": {2, place{bidirectional: true}, true, false},
		"decoding times, an order":     {0, place{bidirectional: true, ordered: true}, false, false},
		"no B-frames":                  {0, place{}, false, false},
		"nothing reordered":            {codec.InOrder, place{bidirectional: true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Depacketizer{}
			d.units.order.clockRate = 90000
			for i := range int64(200) {
				at, p := 10*i, tc.place
				if i%2 == 0 {
					p.bidirectional = false
				} else if tc.back {
					at -= 15
				}
				p.depth, p.order = tc.depth, at
				d.units.order.push(&media.Frame{Timestamp: at, Key: i == 0, Arrival: epoch}, p, nil)
			}
			if got := d.OrderUntold(); got != tc.want {
				t.Errorf("untold: %v", got)
			}
		})
	}
}

// TestOrderingAnyDepth has random orders of a depth: decode times are the times,
// sorted, no frame is held longer than the depth asks, and none has another time.
func TestOrderingAnyDepth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		depth := rng.IntN(maxReorder + 1)
		times := reorder(rng, depth, 100)
		sorted := slices.Sorted(slices.Values(times))
		left := 0
		for i, frames := range order(&ordering{clockRate: 90000}, depth, times) {
			for _, f := range frames {
				if f.Timestamp != sorted[left] || f.Timestamp+int64(f.Composition) != times[left] {
					t.Fatalf("depth %d: frame %d is decoded at %d and shown at %d, want %d and %d, of %v",
						depth, left, f.Timestamp, f.Timestamp+int64(f.Composition), sorted[left], times[left], times)
				}
				left++
			}
			if i < len(times) && i+1-left > depth {
				t.Fatalf("depth %d: %d frames are held", depth, i+1-left)
			}
		}
		if left != len(times) {
			t.Fatalf("%d frames of %d left", left, len(times))
		}
	}
}

// reorder returns n times, each after at most depth later ones.
func reorder(rng *rand.Rand, depth, n int) (times []int64) {
	var waiting []int64
	for at := int64(1); len(times) < n-1; at++ {
		waiting = append(waiting, at*3000)
		// What waits has been overtaken by those that were taken from behind it.
		for len(waiting) > 0 && (len(waiting) > depth || rng.IntN(2) == 0) && len(times) < n-1 {
			i := 0
			if overtaken(times, waiting[0]) < depth {
				i = rng.IntN(len(waiting))
			}
			for j := range i { // each of those before it must bear one more
				if overtaken(times, waiting[j]) >= depth {
					i = j
					break
				}
			}
			times = append(times, waiting[i])
			waiting = slices.Delete(waiting, i, i+1)
		}
	}
	return append([]int64{0}, times...)
}

func overtaken(times []int64, at int64) (n int) {
	for _, t := range times {
		if t > at {
			n++
		}
	}
	return n
}

// reordering is a sender whose frames are shown at other times than in sending
// order, and what records it.
func reordering() (*Depacketizer, func(at uint32, key bool) []*media.Packet, *sender) {
	s := &sender{ssrc: 1, now: epoch}
	send := func(at uint32, key bool) []*media.Packet {
		s.ts = at
		return s.video(key, 2)
	}
	return New(videoInfo, &fakeCodec{depth: 2}, Options{}), send, s
}

// A sender that pauses does not keep its last pictures back.
func TestOrderingPause(t *testing.T) {
	d, send, s := reordering()
	s.ts = 0
	got := push(d, slices.Concat(send(100, true), send(12100, false), send(6100, false))...)
	expect(t, "depth of 2", got, "0k")
	last := s.now.Add(-time.Millisecond)
	expect(t, "not yet", d.Advance(last.Add(DefaultReorderDelay), nil), "")
	got = append(got, d.Advance(last.Add(DefaultReorderDelay+time.Millisecond), nil)...)
	expect(t, "after a pause", got, "0k 1 2")
	if have, want := spell(frames(got)), "100>100 6100>12100 12100>6100 "; have != want {
		t.Errorf("frames %s, want %s", have, want)
	}
	expect(t, "the next", push(d, send(15100, false)...), "")
	expect(t, "flush", d.Flush(nil), "3")
}

// A loss lets go of what is held: nothing that is shown before it will come.
func TestOrderingLoss(t *testing.T) {
	d, send, s := reordering()
	got := push(d, slices.Concat(send(100, true), send(12100, false), send(6100, false))...)
	lost := send(9100, false)[:1] // the second packet is never sent on
	got = append(got, push(d, append(lost, send(18100, false)...)...)...)
	expect(t, "gives up", append(got, d.Advance(s.now.Add(2*DefaultReorderDelay), nil)...), "0k 1 2 lost")
	expect(t, "goes on", push(d, slices.Concat(send(21100, true), send(24100, false), send(27100, true))...), "5k 6")
}
