package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
)

// h264Unit is an access unit of a test file.
type h264Unit struct {
	annexB   []byte
	sample   []byte // as it has to be in a file
	sps, pps []byte
	key      bool
}

// readH264 cuts a file at its access unit delimiters.
func readH264(tb testing.TB, name string) (units []h264Unit) {
	tb.Helper()
	for _, nal := range avc.ExtractNalusFromByteStream(readFile(tb, name)) {
		if nal[0]&0x1f == h264AUD {
			units = append(units, h264Unit{})
		}
		u := &units[len(units)-1]
		u.annexB = append(append(u.annexB, 0, 0, 0, 1), nal...)
		switch nal[0] & 0x1f {
		case h264SPSType:
			u.sps = nal
		case h264PPSType:
			u.pps = nal
		case h264AUD:
		default:
			u.key = u.key || nal[0]&0x1f == h264IDR
			u.sample = append(u.sample, sample(nal)...)
		}
	}
	for i := range units {
		if u := &units[i]; u.key {
			u.sample = append(sample(u.sps, u.pps), u.sample...)
		}
	}
	return units
}

func TestH264Stream(t *testing.T) {
	for _, file := range []string{"baseline.h264", "high422.h264"} {
		for _, mtu := range []uint16{60, 300, 1200} {
			for _, single := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", file, mtu, single), func(t *testing.T) {
					a := assembler(t, "H264", "packetization-mode=1")
					p := &codecs.H264Payloader{DisableStapA: single}
					var format *media.Format
					for i, want := range readH264(t, file) {
						payloads := p.Payload(mtu, want.annexB)
						if want.key && !a.Starts(payloads) {
							t.Errorf("unit %d: Starts is false at the beginning of a key frame", i)
						}
						u, err := a.Assemble(payloads)
						if err != nil {
							t.Fatalf("unit %d: %v", i, err)
						}
						if !bytes.Equal(u.Data, want.sample) || u.Key != want.key {
							t.Fatalf("unit %d: got %d bytes, key %v, want %d bytes, key %v", i, len(u.Data), u.Key, len(want.sample), want.key)
						}
						if format != nil && u.Format != format {
							t.Errorf("unit %d: the format has another pointer and did not change", i)
						}
						format = u.Format
					}
				})
			}
		}
	}
}

func TestH264Format(t *testing.T) {
	for _, tc := range []struct {
		file, rfc6381  string
		width, height  int
		chroma, depth8 byte // of the record's high profile extension
	}{
		{"baseline.h264", "avc1.42C00B", 320, 180, 0, 0},
		{"high422.h264", "avc1.7A000A", 64, 64, 2, 2},
	} {
		unit := readH264(t, tc.file)[0]
		a := assembler(t, "H264", "")
		u, err := a.Assemble((&codecs.H264Payloader{}).Payload(1200, unit.annexB))
		if err != nil {
			t.Fatal(err)
		}
		f := u.Format
		if f.RFC6381 != tc.rfc6381 || f.Width != tc.width || f.Height != tc.height || f.Timescale != 90000 || f.Codec != "H264" {
			t.Errorf("%s: format %+v, want %s %dx%d", tc.file, f, tc.rfc6381, tc.width, tc.height)
		}
		e := entry[*mp4.VisualSampleEntryBox](t, f)
		if e.Type() != "avc1" || int(e.Width) != tc.width || int(e.Height) != tc.height {
			t.Errorf("%s: sample entry %s %dx%d", tc.file, e.Type(), e.Width, e.Height)
		}
		if c := e.AvcC; !slices.EqualFunc(c.SPSnalus, [][]byte{unit.sps}, bytes.Equal) || !slices.EqualFunc(c.PPSnalus, [][]byte{unit.pps}, bytes.Equal) ||
			c.ChromaFormat != tc.chroma || c.BitDepthLumaMinus1 != tc.depth8 || c.BitDepthChromaMinus1 != tc.depth8 {
			t.Errorf("%s: avcC %+v", tc.file, c)
		}
	}
}

// Hand-made NAL units. The slices have the header as far as it is read: the
// codes of first_mb_in_slice, slice_type and pic_parameter_set_id.
var (
	spsSmall  = testSPS(1, 1)
	spsWide   = testSPS(2, 1)
	pps0      = []byte{0x68, 0b1_1_000000}                   // of SPS 0
	pps0b     = []byte{0x68, 0b1_1_010000}                   // the same ids, other content
	pps1      = []byte{0x68, 0b010_1_0000}                   // of SPS 0
	idr0      = []byte{0x65, 0b1_0001000, 0b1_0000000, 0xaa} // of PPS 0
	idr1      = []byte{0x65, 0b1_0001000, 0b010_00000, 0xaa} // of PPS 1
	p0        = []byte{0x41, 0b1_1_1_00000, 0xbb}            // of PPS 0
	p1        = []byte{0x41, 0b1_1_010_000, 0xbb}            // of PPS 1
	sei       = []byte{0x06, 1, 1, 0x80}
	aud       = []byte{0x09, 0xf0}
	filler    = []byte{0x0c, 0xff, 0x80}
	endOfSeq  = []byte{0x0a}
	endStream = []byte{0x0b}
)

// testSPS makes a constrained baseline SPS with id 0, and with a crop in units
// of two pixels at the left, right, top and bottom.
func testSPS(widthMBs, heightMBs int, crop ...int) []byte {
	var w bitWriter
	w.ue(0, 0, 2, 1) // seq_parameter_set_id, log2_max_frame_num_minus4, pic_order_cnt_type, max_num_ref_frames
	w.u(1, 0)        // gaps_in_frame_num
	w.ue(widthMBs-1, heightMBs-1)
	w.u(2, 3)                   // frame_mbs_only, direct_8x8_inference
	w.u(1, uint64(len(crop)/4)) // frame_cropping
	w.ue(crop...)
	w.u(1, 0) // no VUI
	return w.bytes(0x67, 66, 0xc0, 10)
}

func stapA(nals ...[]byte) []byte {
	p := []byte{0x78}
	for _, n := range nals {
		p = binary.BigEndian.AppendUint16(p, uint16(len(n)))
		p = append(p, n...)
	}
	return p
}

// fuA cuts nal into n fragments.
func fuA(nal []byte, n int) (payloads [][]byte) {
	body := nal[1:]
	for i := range n {
		h := nal[0] & 0x1f
		if i == 0 {
			h |= 0x80
		}
		if i == n-1 {
			h |= 0x40
		}
		part := body[i*len(body)/n : (i+1)*len(body)/n]
		payloads = append(payloads, append([]byte{nal[0]&0xe0 | rtpFUA, h}, part...))
	}
	return payloads
}

func TestH264Assemble(t *testing.T) {
	fragments := fuA(idr0, 3)
	for name, tc := range map[string]struct {
		payloads [][]byte
		want     []byte // nil: an error that contains err
		key      bool
		err      string
	}{
		"stap-a":                   {[][]byte{stapA(spsSmall, pps0, idr0)}, sample(idr0), true, ""},
		"single":                   {[][]byte{spsSmall, pps0, idr0}, sample(idr0), true, ""},
		"fu-a":                     {append([][]byte{stapA(spsSmall, pps0)}, fragments...), sample(idr0), true, ""},
		"fu-a in one":              {append([][]byte{stapA(spsSmall, pps0)}, fuA(idr0, 1)...), sample(idr0), true, ""},
		"sps in fu-a":              {append(fuA(spsSmall, 2), pps0, idr0), sample(idr0), true, ""},
		"slices":                   {[][]byte{stapA(spsSmall, pps0), idr0, idr0}, sample(idr0, idr0), true, ""},
		"dropped and kept":         {[][]byte{aud, spsSmall, pps0, sei, filler, idr0, filler, endOfSeq, endStream}, sample(sei, idr0), true, ""},
		"start codes inside":       {[][]byte{slices.Concat(sei, []byte{0, 0, 0, 1}, spsSmall, []byte{0, 0, 1}, pps0, []byte{0, 0, 1}, idr0)}, sample(sei, idr0), true, ""},
		"start code first":         {[][]byte{slices.Concat([]byte{0, 0, 0, 1}, spsSmall), slices.Concat([]byte{0, 0, 1}, pps0), stapA(slices.Concat([]byte{0, 0, 1}, idr0))}, sample(idr0), true, ""},
		"start codes in fu-a":      {fuA(slices.Concat(sei, []byte{0, 0, 0, 1}, spsSmall, []byte{0, 0, 1}, pps0, []byte{0, 0, 0, 1}, idr0), 4), sample(sei, idr0), true, ""},
		"trailing zeros":           {[][]byte{append(slices.Clone(spsSmall), 0), append(slices.Clone(pps0), 0, 0), append(slices.Clone(idr0), 0, 0, 0)}, sample(idr0), true, ""},
		"zeros alone":              {[][]byte{spsSmall, pps0, {0x06, 0, 0}, {0, 0, 0, 0}, idr0}, sample([]byte{0x06}, idr0), true, ""},
		"sei first":                {[][]byte{sei, spsSmall, pps0, idr0}, sample(sei, idr0), true, ""},
		"pps first":                {[][]byte{pps0, spsSmall, idr0}, sample(idr0), true, ""},
		"reserved packet types":    {[][]byte{spsSmall, pps0, {0x1e, 1}, {0x1f, 1}, idr0}, sample(idr0), true, ""},
		"parameter sets alone":     {[][]byte{stapA(spsSmall, pps0)}, []byte{}, false, ""},
		"sei alone":                {[][]byte{sei}, []byte{}, false, ""},
		"inter frame before a key": {[][]byte{p0}, sample(p0), false, ""},
		"idr without pps":          {[][]byte{spsSmall, idr0}, nil, false, "picture parameter set 0"},
		"idr without sps":          {[][]byte{pps0, idr0}, nil, false, "sequence parameter set 0"},
		"idr with another pps":     {[][]byte{spsSmall, pps0, idr1}, nil, false, "picture parameter set 1"},
		"forbidden bit":            {[][]byte{spsSmall, pps0, {0xe5, 0x88, 0x80}}, nil, false, "forbidden_zero_bit"},
		"stap-a cut in nal":        {[][]byte{stapA(spsSmall, pps0, idr0)[:15]}, nil, false, "STAP-A"},
		"stap-a cut in length":     {[][]byte{append(stapA(spsSmall, pps0, idr0), 0)}, nil, false, "STAP-A ends"},
		"stap-a in stap-a":         {[][]byte{stapA(stapA(idr0))}, nil, false, "type 24"},
		"stap-b":                   {[][]byte{{0x79, 0, 0, 0, 1, 0x65}}, nil, false, "interleaved"},
		"mtap16":                   {[][]byte{{0x7a, 0, 0}}, nil, false, "interleaved"},
		"fu-b":                     {[][]byte{{0x7d, 0x85, 0, 0}}, nil, false, "interleaved"},
		"fu-a without start":       {[][]byte{spsSmall, pps0, fragments[1], fragments[2]}, nil, false, "without the start"},
		"fu-a without end":         {[][]byte{spsSmall, pps0, fragments[0], fragments[1]}, nil, false, "ends within"},
		"fu-a twice started":       {[][]byte{fragments[0], fragments[0]}, nil, false, "before the last one ended"},
		"fu-a interrupted":         {[][]byte{fragments[0], sei, fragments[2]}, nil, false, "interrupted"},
		"fu-a changes type":        {[][]byte{fragments[0], fuA(p0, 2)[1]}, nil, false, "type changes"},
		"fu-a of an fu-a":          {[][]byte{{0x7c, 0xdc, 0}}, nil, false, "type 28"},
		"fu-a of one byte":         {[][]byte{{0x7c}}, nil, false, "without a header"},
		"broken slice":             {[][]byte{{0x65}}, nil, false, "broken header"},
		"broken sps":               {[][]byte{{0x67, 66, 0, 10}}, nil, false, "sequence parameter set"},
		"cropped to nothing":       {[][]byte{testSPS(1, 1, 4, 4, 0, 0)}, nil, false, "impossible size of 0x16"},
		"cropped to less":          {[][]byte{testSPS(1, 1, 9, 0, 0, 0)}, nil, false, "impossible size"},
		"huge sps":                 {[][]byte{append([]byte{0x67}, bytes.Repeat([]byte{1}, 5000)...)}, nil, false, "5001 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := assembler(t, "H264", "").Assemble(tc.payloads)
			if tc.want == nil {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %+v, %v, want an error with %q", u, err, tc.err)
				}
				return
			}
			want := tc.want
			if tc.key { // has its sets
				want = append(sample(spsSmall, pps0), want...)
			}
			if err != nil || !bytes.Equal(u.Data, want) || u.Key != tc.key || u.Key != (u.Format != nil) {
				t.Fatalf("got %x, key %v, format %v, %v, want %x", u.Data, u.Key, u.Format, err, want)
			}
		})
	}
}

func TestH264ParameterSetChange(t *testing.T) {
	a := assembler(t, "H264", "")
	step := func(wantErr string, payloads ...[]byte) Unit {
		t.Helper()
		u, err := a.Assemble(payloads)
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Fatalf("got %v, want an error with %q", err, wantErr)
		}
		return u
	}
	first := step("", spsSmall, pps0, idr0).Format
	if u := step("", p0); u.Format != first {
		t.Error("the format changed at an inter frame")
	}
	step("picture parameter set 1", p1)
	step("", pps1) // a unit of its own
	same := func(what string, u Unit, want ...[]byte) {
		t.Helper()
		if u.Format != first || !bytes.Equal(u.Data, sample(want...)) {
			t.Errorf("%s: format %p, want %p; sample %x, want %x", what, u.Format, first, u.Data, sample(want...))
		}
	}
	same("a set that came after the key frame goes before what needs it first", step("", p1), pps1, p1)
	same("and not again", step("", p1), p1)
	same("a key frame has what it needs, though it came before", step("", idr0), spsSmall, pps0, idr0)
	same("a later picture of it does not", step("", p1), pps1, p1)
	same("a key frame with another set has that", step("", spsSmall, pps0, pps1, idr1), spsSmall, pps1, idr1)
	same("and one with the first again", step("", spsSmall, pps0, idr0), spsSmall, pps0, idr0)
	same("its pictures have it then", step("", p0), p0)
	same("a changed set goes before the picture that it changes", step("", pps0b, p0), pps0b, p0)
	step("changed after", spsWide, p1)
	wide := step("", idr1)
	if wide.Format.Width != 32 || wide.Format.Height != 16 || !bytes.Equal(wide.Data, sample(spsWide, pps1, idr1)) {
		t.Errorf("format %dx%d with %x, want 32x16", wide.Format.Width, wide.Format.Height, wide.Data)
	}
	if rec, err := avc.DecodeAVCDecConfRec(wide.Format.Private); err != nil || !slices.EqualFunc(rec.PPSnalus, [][]byte{pps0b, pps1}, bytes.Equal) {
		t.Errorf("avcC has %x, %v, want both picture parameter sets in order", rec.PPSnalus, err)
	}
	same("a format that comes back is the one that it was", step("", spsSmall, pps0, pps1, idr0), spsSmall, pps0, idr0)
}

// TestH264OtherIDs has other ids with each key frame, and one format.
func TestH264OtherIDs(t *testing.T) {
	a := assembler(t, "H264", "")
	var first *media.Format
	for i := range 200 {
		sps, pps, idr, inter := renumbered(i%32, i%256)
		for j, in := range [][][]byte{{sps, pps, idr}, {inter}} {
			u, err := a.Assemble(in)
			if err != nil {
				t.Fatalf("GOP %d: %v", i, err)
			}
			if first == nil {
				first = u.Format
			}
			want := sample(in...)
			if u.Format != first || u.Key != (j == 0) || !bytes.Equal(u.Data, want) {
				t.Fatalf("GOP %d, unit %d: format %+v, key %v, sample %x, want %x", i, j, u.Format, u.Key, u.Data, want)
			}
		}
	}
}

// renumbered makes the sets and slices of a stream with these ids.
func renumbered(spsID, ppsID int) (sps, pps, idr, inter []byte) {
	var w bitWriter
	w.ue(spsID, 0, 2, 1)
	w.u(1, 0)
	w.ue(1, 1)
	w.u(2, 3)
	w.u(1, 0)
	w.u(1, 0)
	sps = w.bytes(0x67, 66, 0xc0, 10)
	w.Reset()
	w.ue(ppsID, spsID)
	w.u(6, 0)
	pps = w.bytes(0x68)
	w.Reset()
	w.ue(0, 7, ppsID)
	w.u(16, 0xaa)
	idr = w.bytes(0x65)
	w.Reset()
	w.ue(0, 5, ppsID)
	w.u(16, 0xbb)
	return sps, pps, idr, w.bytes(0x41)
}

// A sender that has no key pictures but the first, and refreshes bit by bit, can be
// joined at the second recovery point that comes without one.
func TestH264IntraRefresh(t *testing.T) {
	units := readH264(t, "refresh.h264")
	for _, from := range []int{0, 3, 7} {
		a := assembler(t, "H264", "")
		if from > 0 {
			if _, err := a.Assemble([][]byte{units[0].sps, units[0].pps}); err != nil {
				t.Fatal(err)
			}
		}
		var keys []int
		for i, unit := range units[from:] {
			u, err := a.Assemble((&codecs.H264Payloader{}).Payload(1200, unit.annexB))
			if err != nil {
				t.Fatal(err)
			}
			if u.Key {
				keys = append(keys, from+i)
			}
			if u.Key && i > 0 && !bytes.HasPrefix(u.Data, sample(units[0].sps, units[0].pps)) {
				t.Errorf("unit %d has no sets", from+i)
			}
		}
		want := map[int][]int{0: {0, 12, 18, 24}, 3: {12, 18, 24}, 7: {18, 24}}[from]
		if !slices.Equal(keys, want) {
			t.Errorf("from unit %d decoding can start at %d, want %d", from, keys, want)
		}
	}
}

func TestH264RecoveryPoint(t *testing.T) {
	for _, tc := range []struct {
		sei  []byte
		want bool
	}{
		{[]byte{6, 1, 0b1_1_0_00_100, 0x80}, true},
		{[]byte{6, 2, 0x09, 0xc4, 0x80}, true},
		{[]byte{5, 3, 6, 1, 0xc0, 6, 1, 0xc4, 0x80}, true}, // behind another
		{[]byte{6, 1, 0b1_1_1_00_100, 0x80}, false},        // a broken link
		{[]byte{5, 2, 6, 1, 0x80}, false},
		{[]byte{6, 9, 0xc4, 0x80}, false},
		{[]byte{0xff, 6, 1, 0xc4, 0x80}, false},
		{[]byte{6}, false}, {nil, false}, {[]byte{0xff, 0xff}, false}, {[]byte{6, 0, 0x80}, false},
	} {
		if got := h264RecoveryPoint(tc.sei); got != tc.want {
			t.Errorf("%x: %v", tc.sei, got)
		}
	}
}

func TestH264FailedUnitLeavesNothing(t *testing.T) {
	a := assembler(t, "H264", "")
	if _, err := a.Assemble([][]byte{spsSmall, pps0, fuA(idr0, 2)[0]}); err == nil {
		t.Fatal("no error")
	}
	if u, err := a.Assemble([][]byte{sei, idr0}); err == nil {
		t.Errorf("the parameter sets of a broken unit were used: %+v", u)
	}
	if u, err := a.Assemble([][]byte{spsSmall, pps0, idr0}); err != nil || !bytes.Equal(u.Data, sample(spsSmall, pps0, idr0)) {
		t.Errorf("got %x, %v after broken units", u.Data, err)
	}
}

func TestH264DataIsTheCallers(t *testing.T) {
	a := assembler(t, "H264", "")
	u, err := a.Assemble([][]byte{spsSmall, pps0, idr0})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Assemble([][]byte{p0}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(u.Data, sample(spsSmall, pps0, idr0)) {
		t.Error("the next unit overwrote the data of the last")
	}
}

func TestH264OutOfBand(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	sprop := "packetization-mode=1;sprop-parameter-sets=" + b64(spsSmall) + ",!," + b64(pps0) + ";profile-level-id=42c00a"
	a := assembler(t, "H264", sprop)
	if !a.Starts([][]byte{idr0}) || !a.Starts(fuA(idr0, 2)) {
		t.Error("Starts is false at the first slice of a stream without parameter sets in band")
	}
	u, err := a.Assemble([][]byte{idr0})
	if err != nil || !u.Key || u.Format.Width != 16 {
		t.Fatalf("got %+v, %v", u, err)
	}
	if _, err := a.Assemble([][]byte{spsSmall, pps0, idr0}); err != nil {
		t.Fatal(err)
	}
	if a.Starts([][]byte{idr0}) {
		t.Error("Starts is true at a slice that may have lost its parameter sets")
	}
	c, _ := Lookup("H264")
	if _, err := c.NewAssembler(media.Track{Fmtp: "packetization-mode=2"}); err == nil {
		t.Error("interleaved mode was accepted")
	}
}

func TestH264Starts(t *testing.T) {
	a := assembler(t, "H264", "")
	if _, err := a.Assemble([][]byte{spsSmall, pps0, idr0}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		payloads [][]byte
		want     bool
	}{
		"sps first":             {[][]byte{spsSmall, pps0, idr0}, true},
		"aud first":             {[][]byte{aud, idr0}, true},
		"stap-a":                {[][]byte{stapA(spsSmall, pps0, idr0)}, true},
		"stap-a with aud":       {[][]byte{stapA(aud, sei), idr0}, true},
		"sps in fu-a":           {append(fuA(spsSmall, 2), pps0, idr0), true},
		"sei first":             {[][]byte{sei, spsSmall, pps0, idr0}, true},
		"sei in a stap-a first": {[][]byte{stapA(sei, spsSmall), pps0, idr0}, true},
		"sei between":           {[][]byte{spsSmall, sei, pps0, sei, idr0}, true},
		"pps first":             {[][]byte{pps0, spsSmall, idr0}, true},
		"slice in fu-a":         {append([][]byte{sei, spsSmall, pps0}, fuA(idr0, 2)...), true},
		"start codes":           {[][]byte{slices.Concat([]byte{0, 0, 0, 1}, sei, []byte{0, 0, 1}, spsSmall, []byte{0, 0, 0, 1}, pps0, []byte{0, 0, 1}, idr0)}, true},
		"pps alone":             {[][]byte{pps0, idr0}, false},
		"slice alone":           {[][]byte{idr0}, false},
		"inter frame":           {[][]byte{p0}, false},
		"later slice":           {[][]byte{sei, spsSmall, pps0, {0x65, 0b010_1_0001, 0x80}}, false},
		"fu-a start":            {fuA(idr0, 2), false},
		"fu-a rest":             {fuA(idr0, 2)[1:], false},
		"fu-a rest, then all":   {append(fuA(sei, 2)[1:], spsSmall, pps0, idr0), false},
		"no slice":              {[][]byte{sei}, false},
		"half a stap-a":         {[][]byte{{0x78}}, false},
		"half a fu-a":           {[][]byte{{0x7c}}, false},
	} {
		if got := a.Starts(tc.payloads); got != tc.want {
			t.Errorf("%s: Starts is %v", name, got)
		}
	}
}

func FuzzH264(f *testing.F) {
	f.Add("", join(stapA(spsSmall, pps0, idr0), p0))
	f.Add("packetization-mode=1;sprop-parameter-sets=Z0LACvpl,aMA=", join(fuA(idr0, 3)...))
	f.Add("", join(sei, spsSmall, pps0, idr0))
	f.Add("", join(slices.Concat(sei, []byte{0, 0, 1}, spsSmall, []byte{0, 0, 0, 1}, pps0, []byte{0, 0, 1}, idr0, []byte{0, 0})))
	f.Add("", join(fuA(slices.Concat([]byte{0x67, 0, 0, 1}, spsSmall, []byte{0, 0, 1}, pps0), 2)...))
	sps, pps, idr, inter := renumbered(7, 200)
	f.Add("", join(stapA(spsSmall, pps0, idr0), stapA(sps, pps, idr), inter, pps0b, p0))
	point := []byte{0x06, 6, 1, 0xc4, 0x80}
	f.Add("", join(spsSmall, pps0, stapA(point, p0), stapA(point, p0)))
	f.Fuzz(func(t *testing.T, fmtp string, data []byte) {
		a, err := newH264(media.Track{Fmtp: fmtp})
		if err != nil {
			return
		}
		fuzzUnits(t, a, cut(data))
	})
}

// FuzzSpropParameterSets feeds parameter sets to the parsers alone.
func FuzzSpropParameterSets(f *testing.F) {
	for _, name := range []string{"baseline.h264", "high422.h264"} {
		u := readH264(f, name)[0]
		b64 := base64.StdEncoding.EncodeToString
		f.Add("sprop-parameter-sets=" + b64(u.sps) + "," + b64(u.pps))
	}
	f.Fuzz(func(t *testing.T, fmtp string) {
		var ps h264ParameterSets
		for _, nal := range spropParameterSets(fmtp) {
			if _, err := ps.store(nal); err != nil {
				continue
			}
			for id := range ps.pps {
				var used idSet
				used.add(id)
				if format, _, err := ps.describe(used); err == nil {
					entry[*mp4.VisualSampleEntryBox](t, format)
				}
			}
		}
	})
}
