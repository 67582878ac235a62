package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/av1"
	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
)

// av1TU is a temporal unit of a test file.
type av1TU struct {
	data   []byte
	sample []byte // as it has to be in a file
	header []byte // sequence header OBU
	key    bool
}

// readAV1 reads an IVF file, whose temporal units begin with a temporal
// delimiter and have OBUs with sizes.
func readAV1(tb testing.TB, name string) (units []av1TU) {
	tb.Helper()
	for i, tu := range readIVF(tb, name) {
		if !bytes.HasPrefix(tu, []byte{0x12, 0}) {
			tb.Fatalf("%s: unit %d does not begin with a temporal delimiter", name, i)
		}
		u := av1TU{data: tu, sample: tu[2:]}
		if u.sample[0] == 0x0a {
			u.header = u.sample[:2+int(u.sample[1])]
			u.key = true
		}
		units = append(units, u)
	}
	return units
}

func TestAV1Stream(t *testing.T) {
	for _, tc := range []struct {
		file string
		keys int
	}{{"main.av1.ivf", 2}, {"main10.av1.ivf", 1}, {"hidden.av1.ivf", 1}} {
		for _, mtu := range []uint16{20, 300, 1200} {
			t.Run(fmt.Sprintf("%s/%d", tc.file, mtu), func(t *testing.T) {
				a := assembler(t, "AV1", "")
				var format *media.Format
				keys := 0
				for i, want := range readAV1(t, tc.file) {
					payloads := (&codecs.AV1Payloader{}).Payload(mtu, want.data)
					if a.Starts(payloads) != want.key {
						t.Errorf("unit %d: Starts is not %v", i, want.key)
					}
					u, err := a.Assemble(payloads)
					if err != nil {
						t.Fatalf("unit %d: %v", i, err)
					}
					if !bytes.Equal(u.Data, want.sample) || u.Key != want.key {
						t.Fatalf("unit %d: got %d bytes, key %v, want %d bytes, key %v", i, len(u.Data), u.Key, len(want.sample), want.key)
					}
					if key, err := av1.IsRAPSample(u.Data, &av1.SequenceHeader{}); err != nil || key != u.Key {
						t.Errorf("unit %d: random access point %v, %v", i, key, err)
					}
					if format != nil && u.Format != format {
						t.Errorf("unit %d: the format has another pointer and did not change", i)
					}
					format = u.Format
					if u.Key {
						keys++
					}
				}
				if keys != tc.keys {
					t.Errorf("%d key frames, want %d", keys, tc.keys)
				}
			})
		}
	}
}

func TestAV1Format(t *testing.T) {
	for _, tc := range []struct {
		file, rfc6381 string
		width, height int
		record        string // the first four bytes of av1C
	}{
		{"main.av1.ivf", "av01.0.00M.08", 320, 180, "\x81\x00\x0c\x00"},
		{"main10.av1.ivf", "av01.0.00M.10", 64, 64, "\x81\x00\x4c\x00"},
	} {
		unit := readAV1(t, tc.file)[0]
		u, err := assembler(t, "AV1", "").Assemble((&codecs.AV1Payloader{}).Payload(1200, unit.data))
		if err != nil {
			t.Fatal(err)
		}
		f := u.Format
		if f.RFC6381 != tc.rfc6381 || f.Width != tc.width || f.Height != tc.height || f.Timescale != 90000 || f.Codec != "AV1" {
			t.Errorf("%s: format %+v, want %s %dx%d", tc.file, f, tc.rfc6381, tc.width, tc.height)
		}
		if want := tc.record + string(unit.header); string(f.Private) != want {
			t.Errorf("%s: av1C %x, want %x", tc.file, f.Private, want)
		}
		e := entry[*mp4.VisualSampleEntryBox](t, f)
		if e.Type() != "av01" || int(e.Width) != tc.width || int(e.Height) != tc.height {
			t.Errorf("%s: sample entry %s %dx%d", tc.file, e.Type(), e.Width, e.Height)
		}
		if h, err := e.Av1C.SequenceHeader(); err != nil || int(h.Width()) != tc.width {
			t.Errorf("%s: sequence header of av1C: %+v, %v", tc.file, h, err)
		}
	}
}

// testSeq makes the payload of a Main profile sequence header.
func testSeq(level, width, height int) []byte {
	var w bitWriter
	w.u(3, 0) // seq_profile
	w.u(2, 0) // still_picture, reduced_still_picture_header
	w.u(2, 0) // timing_info, initial_display_delay
	w.u(5, 0) // operating_points_cnt_minus_1
	w.u(12, 0)
	w.u(5, uint64(level))
	if level > 7 {
		w.u(1, 0) // seq_tier
	}
	w.u(8, 0xff) // sizes have 16 bits
	w.u(16, uint64(width-1))
	w.u(16, uint64(height-1))
	w.u(1, 0)    // frame ids
	w.u(3, 0)    // superblocks and intra tools
	w.u(5, 0)    // inter tools, order hints
	w.u(2, 0b11) // screen content tools and integer motion vectors are chosen
	w.u(3, 0)    // superres, cdef, restoration
	w.u(3, 0)    // 8 bit, colour, no description
	w.u(5, 0)    // range, chroma position, separate deltas, film grain
	return w.bytes()
}

// obu makes an OBU without a size; sized one with.
func obu(kind av1.OBUType, payload ...byte) []byte {
	return append([]byte{byte(kind) << 3}, payload...)
}

func sized(obus ...[]byte) (b []byte) {
	for _, o := range obus {
		n := 1
		if o[0]&av1HasExtension != 0 {
			n = 2
		}
		b = append(append(b, o[0]|av1HasSize), o[1:n]...)
		b = append(binary.AppendUvarint(b, uint64(len(o)-n)), o[n:]...)
	}
	return b
}

// layered adds the extension of a spatial layer to an OBU.
func layered(o []byte, layer byte) []byte {
	return append([]byte{o[0] | av1HasExtension, layer << 3}, o[1:]...)
}

// packed makes a packet in which every OBU has a length (W=0); counted one that
// says the number and leaves the last length out.
func packed(flags byte, obus ...[]byte) []byte {
	p := []byte{flags}
	for _, o := range obus {
		p = append(binary.AppendUvarint(p, uint64(len(o))), o...)
	}
	return p
}

func counted(flags byte, obus ...[]byte) []byte {
	last := len(obus) - 1
	p := packed(flags|byte(len(obus))<<4, obus[:last]...)
	return append(p, obus[last]...)
}

var (
	seq       = obu(av1.OBUSequenceHeader, testSeq(5, 640, 360)...)
	seqWide   = obu(av1.OBUSequenceHeader, testSeq(5, 1280, 720)...)
	keyFrame  = obu(av1.OBUFrame, 0x10, 1, 2, 3, 4, 5)
	keyHidden = obu(av1.OBUFrame, 0x00, 1)
	inter     = obu(av1.OBUFrame, 0x30, 7, 8, 9)
	intraOnly = obu(av1.OBUFrame, 0x50, 7)
	existing  = obu(av1.OBUFrameHeader, 0x80)
	keyHeader = obu(av1.OBUFrameHeader, 0x10, 9)
	tiles     = obu(av1.OBUTileGroup, 1, 2, 3)
	metadata  = obu(av1.OBUMetadata, 1, 1)
	delimiter = obu(av1.OBUTemporalDelimiter)
	padding   = obu(av1.OBUPadding, 1, 2)
	tileList  = obu(av1.OBUTileList, 1, 2)
	redundant = obu(av1.OBURedundantFrameHeader, 0x10, 9)
	reserved  = obu(9, 1)
)

func TestAV1Assemble(t *testing.T) {
	withSize := append([]byte{keyFrame[0] | av1HasSize, byte(len(keyFrame) - 1)}, keyFrame[1:]...)
	wrongSize := append([]byte{keyFrame[0] | av1HasSize, byte(len(keyFrame) - 2)}, keyFrame[1:]...)
	long := obu(av1.OBUFrame, append([]byte{0x10}, make([]byte, 300)...)...)
	for name, tc := range map[string]struct {
		payloads [][]byte
		want     []byte // nil: an error that contains err
		key      bool
		err      string
	}{
		"counted":              {[][]byte{counted(av1NewSequence, seq, keyFrame)}, sized(seq, keyFrame), true, ""},
		"three":                {[][]byte{counted(0, seq, metadata, keyFrame)}, sized(seq, metadata, keyFrame), true, ""},
		"lengths":              {[][]byte{packed(0, seq, metadata, keyHeader, tiles, tiles)}, sized(seq, metadata, keyHeader, tiles, tiles), true, ""},
		"sizes in the packet":  {[][]byte{counted(0, sized(seq), withSize)}, sized(seq, keyFrame), true, ""},
		"long size":            {[][]byte{counted(0, seq, long)}, sized(seq, long), true, ""},
		"fragments":            {[][]byte{counted(av1Unfinished, seq, keyFrame[:2]), counted(av1Continues|av1Unfinished, keyFrame[2:4]), counted(av1Continues, keyFrame[4:])}, sized(seq, keyFrame), true, ""},
		"fragment then more":   {[][]byte{packed(av1Unfinished, seq, keyHeader[:1]), packed(av1Continues, keyHeader[1:], tiles)}, sized(seq, keyHeader, tiles), true, ""},
		"packet for each":      {[][]byte{counted(0, seq), counted(0, keyFrame)}, sized(seq, keyFrame), true, ""},
		"empty element":        {[][]byte{packed(0, seq, nil, keyFrame)}, sized(seq, keyFrame), true, ""},
		"dropped and kept":     {[][]byte{packed(0, delimiter, seq, padding, tileList, metadata, keyHeader, redundant, tiles, reserved)}, sized(seq, metadata, keyHeader, tiles, reserved), true, ""},
		"layers":               {[][]byte{counted(0, layered(seq, 0), layered(keyFrame, 0)), counted(0, layered(seq, 1), layered(inter, 1))}, sized(layered(seq, 0), layered(keyFrame, 0), layered(seq, 1), layered(inter, 1)), true, ""},
		"header behind":        {[][]byte{counted(0, keyFrame, seq)}, sized(seq, keyFrame, seq), true, ""},
		"hidden key frame":     {[][]byte{counted(0, seq, keyHidden)}, sized(seq, keyHidden), false, ""},
		"intra-only frame":     {[][]byte{counted(0, seq, intraOnly)}, sized(seq, intraOnly), false, ""},
		"key after inter":      {[][]byte{counted(0, seq, inter, keyFrame)}, sized(seq, inter, keyFrame), false, ""},
		"shown again":          {[][]byte{counted(0, seq, existing)}, sized(seq, existing), false, ""},
		"inter before a key":   {[][]byte{counted(0, inter)}, sized(inter), false, ""},
		"header alone":         {[][]byte{counted(0, seq)}, []byte{}, false, ""},
		"metadata alone":       {[][]byte{counted(0, metadata)}, []byte{}, false, ""},
		"key without header":   {[][]byte{counted(0, keyFrame)}, nil, false, "without a sequence header"},
		"broken header":        {[][]byte{counted(0, seq[:4], keyFrame)}, nil, false, "sequence header"},
		"two headers":          {[][]byte{counted(0, seq, seqWide, keyFrame)}, nil, false, "two sequence headers"},
		"huge header":          {[][]byte{counted(0, obu(av1.OBUSequenceHeader, make([]byte, 5000)...), keyFrame)}, nil, false, "sequence header of 500"},
		"reserved profile":     {[][]byte{counted(0, obu(av1.OBUSequenceHeader, append([]byte{0xe0 | seq[1]}, seq[2:]...)...), keyFrame)}, nil, false, "reserved profile 7"},
		"nothing":              {[][]byte{{0x10}}, nil, false, "without an OBU element"},
		"no start":             {[][]byte{counted(av1Continues, keyFrame)}, nil, false, "start of an OBU is missing"},
		"no end":               {[][]byte{counted(av1Unfinished, seq, keyFrame)}, nil, false, "ends within"},
		"no rest":              {[][]byte{counted(av1Unfinished, seq, keyFrame), counted(0, tiles)}, nil, false, "rest of an OBU is missing"},
		"too few":              {[][]byte{packed(0x30, seq, keyFrame)}, nil, false, "3 were announced"},
		"length too long":      {[][]byte{{0, 9, 0x30, 0x10}}, nil, false, "9 bytes but only 2"},
		"length without end":   {[][]byte{{0, 0x80, 0x80}}, nil, false, "length of an OBU element"},
		"forbidden bit":        {[][]byte{counted(0, seq, []byte{0xb0, 0x10})}, nil, false, "forbidden"},
		"half an extension":    {[][]byte{counted(0, seq, []byte{0x34})}, nil, false, "truncated"},
		"wrong size":           {[][]byte{counted(0, seq, wrongSize)}, nil, false, "wrong size"},
		"size longer than OBU": {[][]byte{counted(0, seq, []byte{0x32, 0x7f, 0x10})}, nil, false, "wrong size"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := assembler(t, "AV1", "").Assemble(tc.payloads)
			if tc.want == nil {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %+v, %v, want an error with %q", u, err, tc.err)
				}
				return
			}
			if err != nil || !bytes.Equal(u.Data, tc.want) || u.Key != tc.key || u.Key != (u.Format != nil) {
				t.Fatalf("got %x, key %v, format %v, %v, want %x", u.Data, u.Key, u.Format, err, tc.want)
			}
		})
	}
}

func TestAV1HeaderChange(t *testing.T) {
	a := assembler(t, "AV1", "")
	step := func(wantErr string, obus ...[]byte) Unit {
		t.Helper()
		u, err := a.Assemble([][]byte{packed(0, obus...)})
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Fatalf("got %v, want an error with %q", err, wantErr)
		}
		return u
	}
	first := step("", seq, keyFrame)
	if u := step("", keyFrame); !bytes.Equal(u.Data, sized(seq, keyFrame)) || u.Format != first.Format {
		t.Errorf("key frame without a sequence header became %x", u.Data)
	}
	if u := step("", inter); !bytes.Equal(u.Data, sized(inter)) || u.Format != first.Format {
		t.Errorf("inter frame became %x", u.Data)
	}
	if u := step("", seq, inter); !bytes.Equal(u.Data, sized(seq, inter)) || u.Format != first.Format {
		t.Errorf("inter frame with the same sequence header became %x", u.Data)
	}
	step("", layered(seq, 1), inter) // the same header, of a layer
	step("changed without a key frame", seqWide, inter)
	step("changed without a key frame", inter)
	if u := step("", keyFrame); u.Format == first.Format || u.Format.Width != 1280 || !bytes.Equal(u.Data, sized(seqWide, keyFrame)) {
		t.Errorf("the changed sequence header did not come into force: %+v, %x", u.Format, u.Data)
	}
	if u := step("", seq, keyFrame); !u.Format.Equal(first.Format) {
		t.Errorf("format %+v, want the first again", u.Format)
	}
	if !bytes.Equal(first.Data, sized(seq, keyFrame)) {
		t.Error("later units overwrote the data of the first")
	}
}

func TestAV1FailedUnitLeavesNothing(t *testing.T) {
	a := assembler(t, "AV1", "")
	if _, err := a.Assemble([][]byte{counted(av1Unfinished, seq, keyFrame)}); err == nil {
		t.Fatal("no error")
	}
	if u, err := a.Assemble([][]byte{counted(0, keyFrame)}); err == nil {
		t.Errorf("the sequence header of a broken unit was used: %+v", u)
	}
	if u, err := a.Assemble([][]byte{counted(0, seq, keyFrame)}); err != nil || !bytes.Equal(u.Data, sized(seq, keyFrame)) {
		t.Errorf("got %x, %v after broken units", u.Data, err)
	}
}

func TestAV1Level(t *testing.T) {
	for _, tc := range []struct {
		level, width, height int
		want                 string
	}{
		{0, 320, 180, "av01.0.00M.08"},
		{0, 640, 360, "av01.0.01M.08"},
		{0, 960, 540, "av01.0.04M.08"},
		{0, 1280, 720, "av01.0.05M.08"},
		{0, 1920, 1080, "av01.0.08M.08"},
		{0, 3840, 2160, "av01.0.12M.08"},
		{0, 7680, 4320, "av01.0.16M.08"},
		{0, 20000, 20000, "av01.0.31M.08"},
		{0, 2100, 64, "av01.0.01M.08"},
		{4, 1920, 1080, "av01.0.04M.08"}, // what the sender says
		{13, 640, 360, "av01.0.13M.08"},
	} {
		f, err := av1Format(sized(obu(av1.OBUSequenceHeader, testSeq(tc.level, tc.width, tc.height)...)), nil)
		if err != nil || f.RFC6381 != tc.want || f.Width != tc.width || f.Height != tc.height {
			t.Errorf("level %d, %dx%d: %+v, %v, want %s", tc.level, tc.width, tc.height, f, err, tc.want)
		}
	}
	if _, err := av1Format(sized(obu(av1.OBUSequenceHeader, testSeq(5, 1<<16, 64)...)), nil); err == nil {
		t.Error("a width of 65536 was accepted")
	}
}

func TestAV1Starts(t *testing.T) {
	a := assembler(t, "AV1", "")
	for _, tc := range []struct {
		payload []byte
		want    bool
	}{
		{counted(0, seq, keyFrame), true}, {counted(0, seq), true}, {packed(0, seq, keyFrame), true}, {counted(av1NewSequence, keyFrame), true},
		{counted(av1Continues|av1NewSequence, seq), false}, {counted(av1Continues, seq), false}, {counted(0, inter), false}, {packed(0, inter), false},
		{nil, false}, {[]byte{0}, false}, {[]byte{0, 5}, false}, {[]byte{0, 0x80}, false},
	} {
		if got := a.Starts([][]byte{tc.payload}); got != tc.want {
			t.Errorf("Starts(%x) = %v", tc.payload, got)
		}
	}
}

func FuzzAV1(f *testing.F) {
	f.Add(join(counted(av1NewSequence, seq, keyFrame), counted(0, inter)))
	f.Add(join(packed(av1Unfinished, seq, keyHeader[:1]), packed(av1Continues, keyHeader[1:], tiles)))
	f.Add(join(counted(0, layered(seq, 0), layered(keyFrame, 0)), counted(0, layered(seq, 1), layered(inter, 1))))
	f.Add(join((&codecs.AV1Payloader{}).Payload(200, readAV1(f, "hidden.av1.ivf")[1].data)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzUnits(t, &av1Assembler{}, cut(data))
	})
}

// FuzzAV1SequenceHeader feeds sequence headers to the parser alone.
func FuzzAV1SequenceHeader(f *testing.F) {
	for _, name := range []string{"main.av1.ivf", "main10.av1.ivf", "hidden.av1.ivf"} {
		f.Add(readAV1(f, name)[0].header[2:])
	}
	f.Add(testSeq(0, 1920, 1080))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if format, err := av1Format(av1Header(payload), payload); err == nil {
			entry[*mp4.VisualSampleEntryBox](t, format)
		}
	})
}
