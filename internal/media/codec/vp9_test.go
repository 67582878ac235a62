package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
)

func TestVP9Stream(t *testing.T) {
	for _, file := range []string{"profile0.ivf", "profile2.ivf", "altref.ivf"} {
		for _, flexible := range []bool{false, true} {
			for _, mtu := range []uint16{60, 1200} {
				t.Run(fmt.Sprintf("%s/%v/%d", file, flexible, mtu), func(t *testing.T) {
					a := assembler(t, "VP9", "profile-id=0")
					p := &codecs.VP9Payloader{FlexibleMode: flexible}
					keys := 0
					for i, frame := range readIVF(t, file) {
						payloads := p.Payload(mtu, frame)
						if !a.Starts(payloads) || len(payloads) > 1 && a.Starts(payloads[1:]) {
							t.Errorf("frame %d: Starts is wrong", i)
						}
						u, err := a.Assemble(payloads)
						if err != nil {
							t.Fatalf("frame %d: %v", i, err)
						}
						if !bytes.Equal(u.Data, frame) {
							t.Fatalf("frame %d: got %d bytes, want %d", i, len(u.Data), len(frame))
						}
						if u.Key != (i%6 == 0) && file != "altref.ivf" || u.Key != (i == 0) && file == "altref.ivf" {
							t.Errorf("frame %d: key is %v", i, u.Key)
						}
						if u.Key {
							keys++
						}
					}
					if keys == 0 {
						t.Error("no key frame")
					}
				})
			}
		}
	}
}

func TestVP9Format(t *testing.T) {
	for _, tc := range []struct {
		file, rfc6381 string
		width, height int
		vpcC          mp4.VppCBox
	}{
		{"profile0.ivf", "vp09.00.11.08", 320, 180, mp4.VppCBox{Version: 1, Level: 11, BitDepth: 8, ChromaSubsampling: 1, ColourPrimaries: 2, TransferCharacteristics: 2, MatrixCoefficients: 2}},
		{"profile2.ivf", "vp09.02.10.10", 64, 64, mp4.VppCBox{Version: 1, Profile: 2, Level: 10, BitDepth: 10, ChromaSubsampling: 1, VideoFullRangeFlag: 1, ColourPrimaries: 1, TransferCharacteristics: 1, MatrixCoefficients: 1}},
	} {
		a := assembler(t, "VP9", "")
		u, err := a.Assemble((&codecs.VP9Payloader{}).Payload(1200, readIVF(t, tc.file)[0]))
		if err != nil {
			t.Fatal(err)
		}
		f := u.Format
		if f.RFC6381 != tc.rfc6381 || f.Width != tc.width || f.Height != tc.height || f.Timescale != 90000 || f.Codec != "VP9" {
			t.Errorf("%s: format %+v, want %s %dx%d", tc.file, f, tc.rfc6381, tc.width, tc.height)
		}
		e := entry[*mp4.VisualSampleEntryBox](t, f)
		if got := *e.VppC; e.Type() != "vp09" || fmt.Sprint(got) != fmt.Sprint(tc.vpcC) || int(e.Width) != tc.width {
			t.Errorf("%s: sample entry %s, vpcC %+v, want %+v", tc.file, e.Type(), got, tc.vpcC)
		}
	}
}

// bitString makes bytes of "0" and "1"; everything else is for the eye.
func bitString(fields ...string) (b []byte) {
	n := 0
	for _, c := range strings.Join(fields, "") {
		if c != '0' && c != '1' {
			continue
		}
		if n%8 == 0 {
			b = append(b, 0)
		}
		b[n/8] |= byte(c-'0') << (7 - n%8)
		n++
	}
	return b
}

// Hand-made frames with headers as far as they are read, and a tail.
func vp9Key(width, height int) []byte {
	return append(bitString("10 00 0 0 1 0", fmt.Sprintf("%024b", 0x498342), "010 0", fmt.Sprintf("%016b%016b", width-1, height-1)), 0x55)
}

func vp9Inter(shown bool, refresh int, size string) []byte {
	s, intraOnly := "1", ""
	if !shown {
		s, intraOnly = "0", "0"
	}
	return append(bitString("10 00 0 1", s, "1", intraOnly, fmt.Sprintf("%08b", refresh), "000 0 001 0 010 0", size), 0x66)
}

func explicitSize(width, height int) string {
	return fmt.Sprintf("000 %016b%016b", width-1, height-1)
}

const (
	descI = 0x80
	descP = 0x40
	descL = 0x20
	descF = 0x10
	descB = 0x08
	descE = 0x04
	descV = 0x02
)

// layerPacket makes a packet with a whole frame of spatial layer id, flexible
// mode, and ss as its scalability structure.
func layerPacket(id byte, predicted bool, ss, frame []byte) []byte {
	p := []byte{descI | descL | descF | descB | descE, 0x80, 7, id << 1}
	if predicted {
		p[0] |= descP
		p = append(p, 1<<1|1, 2<<1) // two references
	}
	if ss != nil {
		p[0] |= descV
		p = append(p, ss...)
	}
	return append(p, frame...)
}

func TestVP9Layers(t *testing.T) {
	base, mid, top := vp9Key(320, 180), vp9Inter(true, 2, explicitSize(640, 360)), vp9Inter(true, 4, explicitSize(1280, 720))
	intra := append(bitString("10 00 0 1 0 1 1", fmt.Sprintf("%024b", 0x498342), "00000001", fmt.Sprintf("%016b%016b", 799, 599)), 0x77)
	ss := []byte{2<<5 | 0x10 | 0x08}
	for _, v := range []uint16{320, 180, 640, 360, 1280, 720} {
		ss = binary.BigEndian.AppendUint16(ss, v)
	}
	ss = append(ss, 2, 0, 1<<2, 1) // two pictures, the second with one reference
	for name, tc := range map[string]struct {
		frames        [][]byte
		ss            []byte
		width, height int
	}{
		"one":                {[][]byte{base}, nil, 320, 180},
		"sizes in headers":   {[][]byte{base, mid, top}, nil, 1280, 720},
		"sizes in structure": {[][]byte{base, mid, {0x86, 1, 2}}, ss, 1280, 720},
		"fewer than said":    {[][]byte{base, {0x86, 1, 2}}, ss, 640, 360},
		"size of a slot":     {[][]byte{base, mid, vp9Inter(true, 0, "01")}, nil, 640, 360},
		"size of the base":   {[][]byte{base, mid, vp9Inter(false, 0, "1")}, nil, 320, 180},
		"intra only":         {[][]byte{base, intra}, nil, 800, 600},
		"shows existing":     {[][]byte{base, mid, bitString("10 00 1 001")}, nil, 640, 360},
		"a key frame of own": {[][]byte{base, vp9Key(640, 480)}, nil, 640, 480},
	} {
		t.Run(name, func(t *testing.T) {
			var payloads [][]byte
			var want []byte
			var sizes []int
			for i, f := range tc.frames {
				s := tc.ss
				if i > 0 {
					s = nil
				}
				payloads = append(payloads, layerPacket(byte(i), i > 0, s, f))
				if i == 0 && len(tc.frames) > 1 && len(tc.frames[1]) > 3 { // the next has another size
					f = append([]byte{f[0] &^ 2}, f[1:]...) // show_frame
				}
				want = append(want, f...)
				sizes = append(sizes, len(f))
			}
			u, err := assembler(t, "VP9", "").Assemble(payloads)
			if err != nil {
				t.Fatal(err)
			}
			if !u.Key || u.Format.Width != tc.width || u.Format.Height != tc.height {
				t.Errorf("key %v, format %+v, want %dx%d", u.Key, u.Format, tc.width, tc.height)
			}
			if len(sizes) == 1 {
				if !bytes.Equal(u.Data, want) {
					t.Errorf("one layer: got %x, want %x", u.Data, want)
				}
				return
			}
			got, index := vp9Index(u.Data)
			if !slices.Equal(got, sizes) || !bytes.Equal(u.Data[:len(u.Data)-index], want) {
				t.Errorf("superframe of %v, want %v", got, sizes)
			}
		})
	}
}

// readLayers returns the payloads of pictures of two spatial layers, as a browser sent
// them, by the superframes of a recording.
func readLayers(t *testing.T) (pictures [][][]byte) {
	t.Helper()
	for i, picture := range readIVF(t, "layers.ivf") {
		sizes, _ := vp9Index(picture)
		var payloads [][]byte
		for id, n := range sizes {
			payloads = append(payloads, layerPacket(byte(id), i > 0, nil, picture[:n]))
			picture = picture[n:]
		}
		pictures = append(pictures, payloads)
	}
	return pictures
}

// TestVP9HidesLowerLayers has one shown frame in each superframe, and all else as it
// was sent.
func TestVP9HidesLowerLayers(t *testing.T) {
	a := assembler(t, "VP9", "")
	for i, payloads := range readLayers(t) {
		u, err := a.Assemble(payloads)
		if err != nil || u.Format.Width != 640 || u.Format.Height != 360 || u.Key != (i == 0) {
			t.Fatalf("picture %d: %+v, %v", i, u.Format, err)
		}
		sizes, _ := vp9Index(u.Data)
		if len(sizes) != 2 {
			t.Fatalf("picture %d: a superframe of %v", i, sizes)
		}
		sent := payloads[0][len(payloads[0])-sizes[0]+min(i, 1):] // an inter frame has grown by a byte at most
		base, top := u.Data[:sizes[0]], u.Data[sizes[0]:][:sizes[1]]
		if base[0]&2 != 0 || top[0]&2 == 0 || !bytes.HasSuffix(payloads[1], top) {
			t.Errorf("picture %d: show_frame of the layers: %v, %v", i, base[0]&2 != 0, top[0]&2 != 0)
		}
		if tail := 20; !bytes.Equal(base[len(base)-tail:], sent[len(sent)-tail:]) {
			t.Errorf("picture %d: the data of the lower layer changed", i)
		}
	}
}

// What cannot be parsed to its end, or is not shown, stays.
func TestVP9HideBounds(t *testing.T) {
	frame := readLayers(t)[1][0]
	d := vp9Descriptor{}
	n, err := d.parse(frame)
	if err != nil {
		t.Fatal(err)
	}
	frame = frame[n:]
	hidden, ok := vp9Hide(frame, 320)
	if !ok {
		t.Fatal("a real frame could not be hidden")
	}
	for i := range 12 {
		if out, ok := vp9Hide(frame[:i], 320); ok && i < 8 {
			t.Errorf("%d bytes of a header became %x", i, out)
		}
	}
	if _, ok := vp9Hide(hidden, 320); ok {
		t.Error("a hidden frame was hidden")
	}
	if _, ok := vp9Hide(bitString("10 00 1 001"), 320); ok {
		t.Error("what shows another frame was hidden")
	}
}

func TestVP9SuperframeInLayer(t *testing.T) {
	hidden, shown := bytes.Repeat([]byte{0x84}, 300), []byte{0x86, 9}
	inner, err := vp9AppendIndex(append(bytes.Clone(hidden), shown...), []int{300, 2})
	if err != nil {
		t.Fatal(err)
	}
	u, err := assembler(t, "VP9", "").Assemble([][]byte{layerPacket(0, true, nil, inner), layerPacket(1, true, nil, shown)})
	if err != nil {
		t.Fatal(err)
	}
	want := append(append(append(bytes.Clone(hidden), shown...), shown...),
		0xc0|1<<3|2, 0x2c, 1, 2, 0, 2, 0, 0xc0|1<<3|2) // annex B.2, two bytes for each of three sizes
	if !bytes.Equal(u.Data, want) {
		t.Errorf("got ...%x, want ...%x", u.Data[300:], want[300:])
	}
}

func TestVP9Errors(t *testing.T) {
	key := vp9Key(64, 64)
	with := func(flags byte, rest ...byte) []byte { return append([]byte{flags}, rest...) }
	for name, tc := range map[string]struct {
		payloads [][]byte
		err      string
	}{
		"no start":          {[][]byte{with(descE, key...)}, "start of a layer frame"},
		"no end":            {[][]byte{with(descB, key...)}, "end of a layer frame"},
		"start in a frame":  {[][]byte{with(descB, key...), with(descB|descE, 1)}, "before the last one ended"},
		"layer changes":     {[][]byte{append([]byte{descL | descF | descB, 0}, key...), {descL | descF | descE, 2, 1}}, "layer changes"},
		"descriptor alone":  {[][]byte{{descB | descE}}, "cut short"},
		"cut in PID":        {[][]byte{{descI | descB | descE, 0x80, 1}}, "cut short"},
		"cut in TL0PICIDX":  {[][]byte{{descL | descB | descE, 0}}, "cut short"},
		"cut in structure":  {[][]byte{{descV | descB | descE, 0x30, 0, 1, 0, 1, 0}}, "cut short"},
		"cut in group":      {[][]byte{{descV | descB | descE, 0x08, 2, 0x0c, 1, 1}}, "cut short"},
		"endless reference": {[][]byte{{descF | descP | descB | descE, 1, 1, 1, 1, 1}}, "reference list"},
		"nine layer frames": {slices.Repeat([][]byte{with(descB|descE, key...)}, 9), "more than 8"},
		"not VP9":           {[][]byte{with(descB|descE, 0x00, 0x00)}, "not a VP9 frame"},
		"broken key frame":  {[][]byte{with(descB|descE, 0x82, 0, 0, 0)}, "sync_code"},
		"too large":         {[][]byte{with(descB|descE, vp9Key(65536, 64)...)}, "does not fit"},
		"broken layer":      {[][]byte{layerPacket(0, false, nil, key), layerPacket(1, true, nil, []byte{0x86})}, "spatial layer 1"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := assembler(t, "VP9", "").Assemble(tc.payloads)
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %+v, %v, want an error with %q", u, err, tc.err)
			}
		})
	}
}

func TestVP9Descriptor(t *testing.T) {
	for name, tc := range map[string]struct {
		packet []byte
		length int
		want   vp9Descriptor
	}{
		"nothing":      {[]byte{descB, 9}, 1, vp9Descriptor{begin: true}},
		"7-bit PID":    {[]byte{descI | descE, 0x7f, 9}, 2, vp9Descriptor{end: true}},
		"15-bit PID":   {[]byte{descI, 0x80, 0, 9}, 3, vp9Descriptor{}},
		"layer":        {[]byte{descL | descF, 0x25, 9}, 2, vp9Descriptor{layer: 2}},
		"TL0PICIDX":    {[]byte{descL, 0x25, 7, 9}, 3, vp9Descriptor{layer: 2}},
		"P, no F":      {[]byte{descP, 9}, 1, vp9Descriptor{}},
		"1 reference":  {[]byte{descP | descF, 2, 9}, 2, vp9Descriptor{}},
		"3 references": {[]byte{descP | descF, 3, 3, 2, 9}, 4, vp9Descriptor{}},
		"group":        {[]byte{descV, 0x08, 2, 0x04, 1, 0x0c, 1, 2, 3, 9}, 9, vp9Descriptor{}},
		"sizes":        {[]byte{descV, 0x10, 1, 0, 0, 2, 9}, 6, vp9Descriptor{sizes: vp9Sizes{n: 1, size: [8]vp9Size{{256, 2}}}}},
		"count alone":  {[]byte{descV, 0x40, 9}, 2, vp9Descriptor{}},
	} {
		var d vp9Descriptor
		if n, err := d.parse(tc.packet); err != nil || n != tc.length || d != tc.want {
			t.Errorf("%s: got %d, %+v, %v, want %d, %+v", name, n, d, err, tc.length, tc.want)
		}
	}
}

func TestVP9Index(t *testing.T) {
	if sizes, n := vp9Index([]byte{1, 2, 3, 0xc1, 1, 2, 0xc1}); n != 4 || !slices.Equal(sizes, []int{1, 2}) {
		t.Errorf("got %v, %d", sizes, n)
	}
	for name, data := range map[string][]byte{
		"nothing":      {},
		"no marker":    {1, 2, 3, 0x81, 1, 2, 0x81},
		"one marker":   {1, 2, 3, 0xc2, 1, 2, 0xc1},
		"wrong sum":    {1, 2, 3, 0xc1, 1, 1, 0xc1},
		"marker alone": {0xc1},
	} {
		if sizes, n := vp9Index(data); n != 0 || sizes != nil {
			t.Errorf("%s: got %v, %d", name, sizes, n)
		}
	}
}

func TestVP9KeyIsOfTheLowestLayer(t *testing.T) {
	a := assembler(t, "VP9", "")
	if u, err := a.Assemble([][]byte{layerPacket(1, false, nil, vp9Key(64, 64))}); err != nil || u.Key {
		t.Errorf("got key %v, %v for a picture without its lowest layer", u.Key, err)
	}
	if a.Starts([][]byte{layerPacket(1, false, nil, vp9Key(64, 64))}) {
		t.Error("Starts is true at an upper layer")
	}
	if u, err := a.Assemble([][]byte{{descB | descE, 0b10001000}}); err != nil || u.Key || len(u.Data) != 1 {
		t.Errorf("got %+v, %v for a frame that shows an existing one", u, err)
	}
}

// FuzzVP9Hide looks for a crash in the parser of headers.
func FuzzVP9Hide(f *testing.F) {
	f.Add([]byte{0x87, 0x10, 0x08, 0x00, 0x02, 0x7e, 1, 2, 3, 4, 5, 6, 7, 8, 9}, uint32(320))
	f.Add(vp9Key(320, 180), uint32(320))
	f.Fuzz(func(t *testing.T, frame []byte, width uint32) {
		out, ok := vp9Hide(frame, width)
		if ok && (len(out) < len(frame) || len(out) > len(frame)+1) {
			t.Errorf("%d bytes became %d", len(frame), len(out))
		}
	})
}

func FuzzVP9(f *testing.F) {
	f.Add(join(layerPacket(0, false, []byte{0x18, 0, 1, 0, 1, 1, 4, 1}, vp9Key(64, 64)), layerPacket(1, true, nil, vp9Inter(true, 1, "1"))))
	f.Add(join([]byte{descI | descB | descE, 5, 0x86, 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &vp9Assembler{}
		payloads := cut(data)
		for _, n := range []int{1, len(payloads)} {
			for rest := payloads; len(rest) >= n && n > 0; rest = rest[n:] {
				a.Starts(rest[:1])
				if u, err := a.Assemble(rest[:n]); err == nil {
					checkUnit(t, u, rest[:n])
				}
			}
		}
	})
}

// FuzzVP9Superframe checks that what is put together comes apart again.
func FuzzVP9Superframe(f *testing.F) {
	f.Add(join([]byte{1, 2, 3}, []byte{4}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var buf []byte
		var layers []vp9Layer
		var want []int
		for i, p := range cut(data) {
			buf = append(buf, p...)
			layers = append(layers, vp9Layer{id: uint8(i), end: len(buf)})
			if _, index := vp9Index(p); index != 0 {
				return
			}
			want = append(want, len(p))
		}
		if len(layers) == 0 || len(layers) > vp9MaxFrames {
			return
		}
		out, err := vp9Superframe(buf, layers)
		if err != nil {
			t.Fatal(err)
		}
		if got, index := vp9Index(out); !slices.Equal(got, want) || !bytes.Equal(out[:len(out)-index], buf) {
			t.Errorf("got frames of %v, want %v", got, want)
		}
	})
}

var _ Assembler = (*vp9Assembler)(nil)

func BenchmarkVP9Assemble(b *testing.B) {
	payloads := (&codecs.VP9Payloader{FlexibleMode: true}).Payload(1200, readIVF(b, "profile0.ivf")[0])
	a, err := newVP9(media.Track{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Assemble(payloads); err != nil {
			b.Fatal(err)
		}
	}
}
