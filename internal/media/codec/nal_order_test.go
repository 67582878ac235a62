package codec

import (
	"slices"
	"testing"
)

func TestPicCount(t *testing.T) {
	var c picCount
	for i, tc := range []struct {
		p     picOrder
		key   bool
		want  int64
		known bool
	}{
		{p: picOrder{known: true, bits: 4, lsb: 2, reference: true}}, // before the first key frame
		{p: picOrder{known: true, bits: 4, reset: true, reference: true}, key: true, want: 0, known: true},
		{p: picOrder{known: true, bits: 4, lsb: 6, reference: true}, want: 6, known: true},
		{p: picOrder{known: true, bits: 4, lsb: 2}, want: 2, known: true},
		{p: picOrder{known: true, bits: 4, lsb: 12, reference: true}, want: 12, known: true},
		{p: picOrder{known: true, bits: 4, lsb: 2, reference: true}, want: 18, known: true}, // wraps
		{p: picOrder{known: true, bits: 4, lsb: 14}, want: 14, known: true},
		{p: picOrder{known: true, bits: 4, lsb: 10, reference: true}, want: 26, known: true},
		{p: picOrder{}, known: false},
		{p: picOrder{known: true, bits: 4, lsb: 12}, known: false}, // lost count
		{p: picOrder{known: true, bits: 4, lsb: 5, reference: true}, key: true, want: 5, known: true},
		{p: picOrder{known: true, bits: 4, lsb: 7, reference: true}, want: 7, known: true},
	} {
		u := Unit{Key: tc.key}
		c.place(&u, tc.p)
		if u.Ordered != tc.known || u.Order != tc.want {
			t.Errorf("picture %d: place %d, %v, want %d", i, u.Order, u.Ordered, tc.want)
		}
	}
}

// TestOrderOfPictures has the places of a pyramid of B-frames.
func TestOrderOfPictures(t *testing.T) {
	type unit struct {
		payloads [][]byte
		key      bool
	}
	var h264, h265 []unit
	for _, u := range readH264(t, "pyramid.h264") {
		h264 = append(h264, unit{splitStream(u.annexB), u.key})
	}
	for _, u := range readH265(t, "pyramid.h265") {
		h265 = append(h265, unit{splitStream(u.annexB), u.key})
	}
	for name, units := range map[string][]unit{"H264": h264, "H265": h265} {
		a := assembler(t, name, "")
		var places []int64
		reordered := 0
		check := func() {
			// Each place is there once, and they are a distance apart.
			sorted := slices.Sorted(slices.Values(places))
			for i := 1; i < len(sorted); i++ {
				if sorted[i]-sorted[i-1] != sorted[1]-sorted[0] || sorted[i] == sorted[i-1] {
					t.Errorf("%s: places %v", name, places)
					return
				}
			}
			places = nil
		}
		for i, in := range units {
			u, err := a.Assemble(in.payloads)
			if err != nil || !u.Ordered || u.Reorder != 2 {
				t.Fatalf("%s, unit %d: ordered %v, depth %d, %v", name, i, u.Ordered, u.Reorder, err)
			}
			if u.Key {
				check()
			}
			if len(places) > 0 && u.Order < slices.Max(places) {
				reordered++
				if !u.Bidirectional {
					t.Errorf("%s, unit %d is no B-frame", name, i)
				}
			}
			places = append(places, u.Order)
		}
		check()
		if reordered < 8 {
			t.Errorf("%s: %d pictures are reordered", name, reordered)
		}
	}
}

// splitStream returns the NAL units of a byte stream.
func splitStream(stream []byte) [][]byte {
	return slices.Collect(splitNALs(trimStartCode(stream)))
}
