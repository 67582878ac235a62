package fmp4

import (
	"bytes"
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// TestMend: the faults that an original live777 makes are mended, and nothing else changes.
func TestMend(t *testing.T) {
	t.Parallel()
	c, _ := codec.Lookup("VP9")
	unit, ok := c.Neutral(media.Track{Kind: media.Video, Codec: "VP9", ClockRate: c.ClockRate})
	if !ok {
		t.Fatal("no VP9")
	}
	right, err := Init(1, unit.Format)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(Mend(right), right) {
		t.Error("what is right is changed")
	}
	wrong := bytes.Clone(right)
	depth := &wrong[bytes.Index(wrong, []byte("vpcC"))+4+vpcCDepth]
	*depth = *depth&0x0f | 4<<4
	if _, f, err := Describe(wrong); err != nil || f.RFC6381 == unit.Format.RFC6381 {
		t.Errorf("the fault does not show: %+v, %v", f, err)
	}
	if !bytes.Equal(Mend(wrong), right) {
		t.Error("the bit depth is not mended")
	}
}

// TestMendHEVC: the profile of H265 is that of its SPS.
func TestMendHEVC(t *testing.T) {
	t.Parallel()
	c, _ := codec.Lookup("H265")
	unit, ok := c.Neutral(media.Track{Kind: media.Video, Codec: "H265", ClockRate: c.ClockRate})
	if !ok {
		t.Fatal("no H265")
	}
	init, err := Init(1, unit.Format)
	if err != nil {
		t.Fatal(err)
	}
	right := bytes.Replace(init, []byte("hvc1"), []byte("hev1"), 1) // an original's
	wrong := bytes.Clone(right)
	at := bytes.Index(wrong, []byte("hvcC")) + 4 + 6
	copy(wrong[at:], []byte{3, 0, 0x90, 0, 0, 3})
	if bytes.Equal(wrong, right) || !bytes.Equal(Mend(wrong), right) {
		t.Error("the constraints are not mended")
	}
	if _, f, err := Describe(Mend(wrong)); err != nil || f.RFC6381 != "hev1"+unit.Format.RFC6381[4:] {
		t.Errorf("got %+v, %v", f, err)
	}
}

// TestDescribe: an init segment tells the codecs parameter that it was made of.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"H264": "", "VP9": "", "H265": ""} {
		c, _ := codec.Lookup(name)
		unit, ok := c.Neutral(media.Track{Kind: media.Video, Codec: name, ClockRate: c.ClockRate})
		if !ok {
			t.Fatalf("no %s", name)
		}
		init, err := Init(1, unit.Format)
		if err != nil {
			t.Fatal(err)
		}
		_, f, err := Describe(init)
		if want == "" {
			want = unit.Format.RFC6381
		}
		if err != nil || !bytes.HasPrefix([]byte(f.RFC6381), []byte(want)) {
			t.Errorf("%s: got %q, want %q, %v", name, f.RFC6381, want, err)
		}
	}
}
