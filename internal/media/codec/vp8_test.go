package codec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
)

// vp8File is real media of the project's tests: 320x180, a key frame every 30.
const vp8File = "../../../../testdata/media/vp8.ivf"

func TestVP8Stream(t *testing.T) {
	for _, pictureID := range []bool{false, true} {
		for _, mtu := range []uint16{60, 1200} {
			t.Run(fmt.Sprintf("%v/%d", pictureID, mtu), func(t *testing.T) {
				a := assembler(t, "VP8", "")
				p := &codecs.VP8Payloader{EnablePictureID: pictureID}
				var format *media.Format
				for i, frame := range readIVF(t, vp8File) {
					payloads := p.Payload(mtu, frame)
					if !a.Starts(payloads) || len(payloads) > 1 && a.Starts(payloads[1:]) {
						t.Errorf("frame %d: Starts is wrong", i)
					}
					u, err := a.Assemble(payloads)
					if err != nil {
						t.Fatalf("frame %d: %v", i, err)
					}
					if !bytes.Equal(u.Data, frame) || u.Key != (i%30 == 0) {
						t.Fatalf("frame %d: %d bytes, key %v; %d were sent", i, len(u.Data), u.Key, len(frame))
					}
					if format == nil {
						format = u.Format
					}
					if u.Format != format {
						t.Fatalf("frame %d: another format %+v", i, u.Format)
					}
				}
				want := media.Format{Codec: "VP8", RFC6381: "vp8", Timescale: 90000, Width: 320, Height: 180}
				if !format.Equal(&want) {
					t.Errorf("format %+v, want %+v", format, want)
				}
			})
		}
	}
}

// vp8Key makes a key frame with an empty first partition; the sizes are the
// header's fields with their scaling bits.
func vp8Key(width, height uint16) []byte {
	return []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, byte(width), byte(width >> 8), byte(height), byte(height >> 8)}
}

const (
	vp8S = 0x10
	vp8X = 0x80
)

func TestVP8Format(t *testing.T) {
	a := assembler(t, "VP8", "")
	inter := append([]byte{vp8S}, 0x11, 0, 0, 1, 2)
	if u, err := a.Assemble([][]byte{inter}); err != nil || u.Key || u.Format != nil {
		t.Errorf("a frame before the first key frame: %+v, %v", u, err)
	}
	for _, tc := range []struct{ width, height int }{{640, 360}, {320, 180}, {320, 180}, {16383, 1}} {
		// The scaling bits change, which changes nothing.
		for _, scaling := range []uint16{0, 1 << 14, 3 << 14} {
			u, err := a.Assemble([][]byte{append([]byte{vp8S}, vp8Key(uint16(tc.width)|scaling, uint16(tc.height)|scaling)...)})
			if err != nil || !u.Key || u.Format.Width != tc.width || u.Format.Height != tc.height {
				t.Fatalf("got %+v, %v, want a key frame of %dx%d", u.Format, err, tc.width, tc.height)
			}
			if next, err := a.Assemble([][]byte{inter}); err != nil || next.Key || next.Format != u.Format {
				t.Errorf("the next frame: %+v, %v", next, err)
			}
		}
	}
}

func TestVP8Descriptor(t *testing.T) {
	for name, tc := range map[string]struct {
		packet []byte
		length int
		want   vp8Descriptor
	}{
		"plain":             {[]byte{vp8S, 9}, 1, vp8Descriptor{start: true}},
		"non-reference":     {[]byte{0x20 | 3, 9}, 1, vp8Descriptor{partition: 3}},
		"reserved bits":     {[]byte{0x48 | vp8S | 2, 9}, 1, vp8Descriptor{start: true, partition: 2}},
		"empty extension":   {[]byte{vp8X | vp8S, 0, 9}, 2, vp8Descriptor{start: true}},
		"7-bit picture ID":  {[]byte{vp8X, 0x80, 0x7f, 9}, 3, vp8Descriptor{}},
		"15-bit picture ID": {[]byte{vp8X, 0x80, 0x80, 0, 9}, 4, vp8Descriptor{}},
		"TL0PICIDX":         {[]byte{vp8X, 0x40, 7, 9}, 3, vp8Descriptor{}},
		"T":                 {[]byte{vp8X, 0x20, 7, 9}, 3, vp8Descriptor{}},
		"K":                 {[]byte{vp8X, 0x10, 7, 9}, 3, vp8Descriptor{}},
		"T and K":           {[]byte{vp8X, 0x30, 7, 9}, 3, vp8Descriptor{}},
		"all":               {[]byte{vp8X | vp8S, 0xf0, 0x80, 1, 2, 3, 9}, 6, vp8Descriptor{start: true}},
	} {
		if d, n, err := parseVP8Descriptor(tc.packet); err != nil || n != tc.length || d != tc.want {
			t.Errorf("%s: got %d, %+v, %v, want %d, %+v", name, n, d, err, tc.length, tc.want)
		}
		for end := range tc.length + 1 {
			if _, _, err := parseVP8Descriptor(tc.packet[:end]); err == nil {
				t.Errorf("%s: %d bytes of it are a descriptor with a payload", name, end)
			}
		}
	}
}

// A frame in packets by partitions: only the first packet of the first
// partition begins it.
func TestVP8Partitions(t *testing.T) {
	key := vp8Key(64, 64)
	key[0], key[1] = 2<<5&0xff|0x10, 0 // the first partition has two bytes
	frame := append(bytes.Clone(key), 1, 2, 3, 4, 5)
	a := assembler(t, "VP8", "")
	payloads := [][]byte{
		append([]byte{vp8S}, frame[:11]...), append([]byte{0}, frame[11:12]...),
		append([]byte{vp8S | 1}, frame[12:14]...), append([]byte{vp8S | 2}, frame[14:]...),
	}
	for i, p := range payloads {
		if a.Starts([][]byte{p}) != (i == 0) {
			t.Errorf("Starts of packet %d is %v", i, a.Starts([][]byte{p}))
		}
	}
	if u, err := a.Assemble(payloads); err != nil || !u.Key || !bytes.Equal(u.Data, frame) {
		t.Errorf("got %+v, %v", u, err)
	}
}

func TestVP8Errors(t *testing.T) {
	with := func(flags byte, rest ...byte) []byte { return append([]byte{flags}, rest...) }
	key := vp8Key(64, 64)
	noCode, long := bytes.Clone(key), bytes.Clone(key)
	noCode[4] = 2
	long[0] |= 1 << 5
	for name, tc := range map[string]struct {
		payloads [][]byte
		err      string
	}{
		"no start":              {[][]byte{with(0, key...)}, "start of a frame is missing"},
		"starts in a partition": {[][]byte{with(vp8S|1, key...)}, "start of a frame is missing"},
		"two frames":            {[][]byte{with(vp8S, key...), with(vp8S, key...)}, "before the last one ended"},
		"descriptor alone":      {[][]byte{{vp8S}}, "cut short"},
		"cut in picture ID":     {[][]byte{with(vp8S, key...), {vp8X, 0x80, 0x80, 1}}, "cut short"},
		"cut in tag":            {[][]byte{with(vp8S, 1, 0)}, "frame tag is cut short"},
		"cut in key header":     {[][]byte{with(vp8S, key[:9]...)}, "shorter than its first partition"},
		"cut in partition":      {[][]byte{with(vp8S, long...)}, "shorter than its first partition"},
		"cut inter frame":       {[][]byte{with(vp8S, 0x31, 0, 0)}, "shorter than its first partition"},
		"start code":            {[][]byte{with(vp8S, noCode...)}, "no start code"},
		"no width":              {[][]byte{with(vp8S, vp8Key(0, 64)...)}, "0x64"},
		"no height":             {[][]byte{with(vp8S, vp8Key(64, 1<<14)...)}, "64x0"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := assembler(t, "VP8", "").Assemble(tc.payloads)
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %+v, %v, want an error with %q", u, err, tc.err)
			}
		})
	}
}

func FuzzVP8(f *testing.F) {
	f.Add(join(append([]byte{vp8S}, vp8Key(64, 64)...), append([]byte{vp8S}, 0x11, 0, 0, 1)))
	f.Add(join(append([]byte{vp8X | vp8S, 0xf0, 0x80, 1, 2, 3}, vp8Key(640, 360)...), []byte{vp8X | 1, 0x80, 5, 9}))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &vp8Assembler{}
		payloads := cut(data)
		for _, n := range []int{1, len(payloads)} {
			for rest := payloads; len(rest) >= n && n > 0; rest = rest[n:] {
				starts := a.Starts(rest[:1])
				u, err := a.Assemble(rest[:n])
				if err != nil {
					continue
				}
				if !starts {
					t.Error("a frame was made of packets that do not start one")
				}
				checkUnit(t, u, rest[:n])
			}
		}
	})
}

var _ Assembler = (*vp8Assembler)(nil)
