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
	"github.com/Eyevinn/mp4ff/hevc"
	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
)

// h265Unit is an access unit of a test file.
type h265Unit struct {
	annexB        []byte
	sample        []byte // as it has to be in a file
	vps, sps, pps []byte
	key           bool
}

// readH265 cuts a file at its access unit delimiters.
func readH265(tb testing.TB, name string) (units []h265Unit) {
	tb.Helper()
	for _, nal := range avc.ExtractNalusFromByteStream(readFile(tb, name)) {
		t := hevc.GetNaluType(nal[0])
		if t == hevc.NALU_AUD {
			units = append(units, h265Unit{})
		}
		u := &units[len(units)-1]
		u.annexB = append(append(u.annexB, 0, 0, 0, 1), nal...)
		switch t {
		case hevc.NALU_VPS:
			u.vps = nal
		case hevc.NALU_SPS:
			u.sps = nal
		case hevc.NALU_PPS:
			u.pps = nal
		case hevc.NALU_AUD:
		default:
			u.key = u.key || t == hevc.NALU_IDR_N_LP || t == hevc.NALU_CRA
			u.sample = binary.BigEndian.AppendUint32(u.sample, uint32(len(nal)))
			u.sample = append(u.sample, nal...)
		}
	}
	return units
}

func TestH265Stream(t *testing.T) {
	for _, file := range []string{"main.h265", "main422.h265", "cra.h265"} {
		for _, mtu := range []uint16{60, 300, 1200} {
			for _, single := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", file, mtu, single), func(t *testing.T) {
					a := assembler(t, "H265", "sprop-max-don-diff=0")
					p := &codecs.H265Payloader{SkipAggregation: single}
					var format *media.Format
					keys := 0
					for i, want := range readH265(t, file) {
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
						if u.Key {
							keys++
						}
					}
					if keys < 2 {
						t.Errorf("%d key frames", keys)
					}
				})
			}
		}
	}
}

func TestH265Format(t *testing.T) {
	for _, tc := range []struct {
		file, rfc6381 string
		width, height int
		chroma, depth byte
	}{
		{"main.h265", "hvc1.1.6.L60.90", 320, 180, 1, 8},
		{"main422.h265", "hvc1.4.10.L30.9D.8", 64, 64, 2, 10},
	} {
		unit := readH265(t, tc.file)[0]
		u, err := assembler(t, "H265", "").Assemble((&codecs.H265Payloader{}).Payload(1200, unit.annexB))
		if err != nil {
			t.Fatal(err)
		}
		f := u.Format
		if f.RFC6381 != tc.rfc6381 || f.Width != tc.width || f.Height != tc.height || f.Timescale != 90000 || f.Codec != "H265" {
			t.Errorf("%s: format %+v, want %s %dx%d", tc.file, f, tc.rfc6381, tc.width, tc.height)
		}
		e := entry[*mp4.VisualSampleEntryBox](t, f)
		if e.Type() != "hvc1" || int(e.Width) != tc.width || int(e.Height) != tc.height {
			t.Errorf("%s: sample entry %s %dx%d", tc.file, e.Type(), e.Width, e.Height)
		}
		c := e.HvcC
		for i, want := range [][]byte{unit.vps, unit.sps, unit.pps} {
			array := c.NaluArrays[i]
			if array.NaluType() != hevc.NALU_VPS+hevc.NaluType(i) || array.Complete() != 1 || !slices.EqualFunc(array.Nalus, [][]byte{want}, bytes.Equal) {
				t.Errorf("%s: array %d of hvcC is %v %d %x, want %x", tc.file, i, array.NaluType(), array.Complete(), array.Nalus, want)
			}
		}
		if c.ChromaFormatIDC != tc.chroma || c.BitDepthLumaMinus8+8 != tc.depth || c.BitDepthChromaMinus8+8 != tc.depth ||
			c.NumTemporalLayers != 1 || c.TemporalIDNested != 1 || c.LengthSizeMinusOne != 3 {
			t.Errorf("%s: hvcC %+v", tc.file, c)
		}
	}
}

// Hand-made NAL units. The slices have the header as far as it is read:
// first_slice_segment_in_pic_flag, for IRAP pictures
// no_output_of_prior_pics_flag, and the code of slice_pic_parameter_set_id.
var (
	vps265      = []byte{0x40, 1, 0x0c, 1}
	vps265b     = []byte{0x40, 1, 0x0c, 2}      // the same id, other content
	sps265      = testSPS265(64, 64, 0)         //
	sps265wide  = testSPS265(128, 64, 0)        //
	sps265order = testSPS265(64, 64, 2)         // reorders two pictures
	pps265      = []byte{0x44, 1, 0b1_1_110000} // 0 of SPS 0
	pps265b     = []byte{0x44, 1, 0b1_1_010000} // the same ids, other content
	pps265one   = []byte{0x44, 1, 0b010_1_1100} // 1 of SPS 0
	idr265      = []byte{0x26, 1, 0b1_0_1_00000, 0xaa, 0xab, 0xac}
	idr265one   = []byte{0x28, 1, 0b1_0_010_000, 0xaa}
	cra265      = []byte{0x2a, 1, 0b1_0_1_00000, 0xcc}
	bla265      = []byte{0x20, 1, 0b1_0_1_00000, 0xcc} // BLA_W_LP
	bla265n     = []byte{0x24, 1, 0b1_0_1_00000, 0xcc} // BLA_N_LP
	second265   = []byte{0x26, 1, 0b0_0_1_00000, 0xdd} // IDR slice, not the first
	trail265    = []byte{0x02, 1, 0b1_1_000000, 0xbb}
	trail265one = []byte{0x02, 1, 0b1_010_0000, 0xbb}
	rasl265     = []byte{0x12, 1, 0b1_1_000000, 0xbb}
	sei265      = []byte{0x4e, 1, 1, 1, 0x80}
	suffix265   = []byte{0x50, 1, 1, 1, 0x80}
	aud265      = []byte{0x46, 1, 0x50}
	eos265      = []byte{0x48, 1}
	eob265      = []byte{0x4a, 1}
	filler265   = []byte{0x4c, 1, 0xff, 0x80}
	layer265    = []byte{0x02, 0x09, 0b1_1_000000, 0xee} // a slice of layer 1
)

// testSPS265 makes a Main profile SPS with id 0.
func testSPS265(width, height, reorder int, window ...int) []byte {
	var w bitWriter
	w.u(4, 0)           // sps_video_parameter_set_id
	w.u(3, 0)           // sps_max_sub_layers_minus1
	w.u(1, 1)           // sps_temporal_id_nesting_flag
	w.u(8, 1)           // profile space, tier, profile
	w.u(32, 0x60000000) // compatibility
	w.u(48, 0x900000000000)
	w.u(8, 93)          // level
	w.ue(0, 1)          // sps_seq_parameter_set_id, chroma_format_idc
	w.ue(width, height) //
	w.u(1, uint64(len(window)/4))
	w.ue(window...)
	w.ue(0, 0, 4)          // bit depths, log2_max_pic_order_cnt_lsb_minus4
	w.u(1, 1)              // sps_sub_layer_ordering_info_present_flag
	w.ue(4, reorder, 0)    //
	w.ue(0, 3, 0, 3, 0, 0) // block sizes and depths
	w.u(4, 0)              // scaling lists, amp, sao, pcm
	w.ue(0)                // num_short_term_ref_pic_sets
	w.u(5, 0)              // long-term pictures, temporal mvp, smoothing, VUI, extension
	return w.bytes(0x42, 1)
}

func ap(nals ...[]byte) []byte {
	p := []byte{rtpAP << 1, 1}
	for _, n := range nals {
		p = binary.BigEndian.AppendUint16(p, uint16(len(n)))
		p = append(p, n...)
	}
	return p
}

// fu265 cuts nal into n fragments.
func fu265(nal []byte, n int) (payloads [][]byte) {
	body := nal[2:]
	for i := range n {
		h := nal[0] >> 1
		if i == 0 {
			h |= 0x80
		}
		if i == n-1 {
			h |= 0x40
		}
		part := body[i*len(body)/n : (i+1)*len(body)/n]
		payloads = append(payloads, append([]byte{nal[0]&0x81 | rtpFU<<1, nal[1], h}, part...))
	}
	return payloads
}

func TestH265Assemble(t *testing.T) {
	sets := ap(vps265, sps265, pps265)
	fragments := fu265(idr265, 3)
	for name, tc := range map[string]struct {
		payloads [][]byte
		want     []byte // nil: an error that contains err
		key      bool
		err      string
	}{
		"ap":                    {[][]byte{ap(vps265, sps265, pps265, idr265)}, sample(idr265), true, ""},
		"single":                {[][]byte{vps265, sps265, pps265, idr265}, sample(idr265), true, ""},
		"fu":                    {append([][]byte{sets}, fragments...), sample(idr265), true, ""},
		"fu in one":             {append([][]byte{sets}, fu265(idr265, 1)...), sample(idr265), true, ""},
		"sps in fu":             {append(append([][]byte{vps265}, fu265(sps265, 2)...), pps265, idr265), sample(idr265), true, ""},
		"slices":                {[][]byte{sets, idr265, second265}, sample(idr265, second265), true, ""},
		"dropped and kept":      {[][]byte{aud265, sets, sei265, filler265, idr265, suffix265, filler265, eos265, eob265}, sample(sei265, idr265, suffix265, eos265), true, ""},
		"other layer":           {[][]byte{sets, idr265, layer265, {0x42, 0x09, 1, 2}}, sample(idr265), true, ""},
		"start codes inside":    {[][]byte{slices.Concat(vps265, []byte{0, 0, 1}, sps265, []byte{0, 0, 0, 1}, pps265, []byte{0, 0, 1}, idr265)}, sample(idr265), true, ""},
		"start code first":      {[][]byte{slices.Concat([]byte{0, 0, 0, 1}, sets), slices.Concat([]byte{0, 0, 1}, idr265)}, sample(idr265), true, ""},
		"start codes in fu":     {fu265(slices.Concat(sei265, []byte{0, 0, 1}, vps265, []byte{0, 0, 1}, sps265, []byte{0, 0, 0, 1}, pps265, []byte{0, 0, 1}, idr265), 3), sample(sei265, idr265), true, ""},
		"trailing zeros":        {[][]byte{sets, append(slices.Clone(idr265), 0, 0)}, sample(idr265), true, ""},
		"sei first":             {[][]byte{sei265, sets, idr265}, sample(sei265, idr265), true, ""},
		"unspecified types":     {[][]byte{sets, {0x66, 1, 1}, idr265, {0x7e, 1, 1}}, sample(idr265), true, ""},
		"cra":                   {[][]byte{sets, cra265}, sample(cra265), true, ""},
		"bla":                   {[][]byte{sets, bla265}, sample(bla265), true, ""},
		"cra with reordering":   {[][]byte{vps265, sps265order, pps265, cra265}, sample(cra265), false, ""},
		"bla with reordering":   {[][]byte{vps265, sps265order, pps265, bla265}, sample(bla265), false, ""},
		"bla without leading":   {[][]byte{vps265, sps265order, pps265, bla265n}, sample(bla265n), true, ""},
		"idr with reordering":   {[][]byte{vps265, sps265order, pps265, sei265, idr265}, sample(sei265, idr265), true, ""},
		"cra without sets":      {[][]byte{cra265}, sample(cra265), false, ""},
		"parameter sets alone":  {[][]byte{sets}, []byte{}, false, ""},
		"sei alone":             {[][]byte{sei265}, []byte{}, false, ""},
		"inter before a key":    {[][]byte{trail265}, sample(trail265), false, ""},
		"idr without pps":       {[][]byte{vps265, sps265, idr265}, nil, false, "picture parameter set 0"},
		"idr without sps":       {[][]byte{vps265, pps265, idr265}, nil, false, "sequence parameter set 0"},
		"idr without vps":       {[][]byte{sps265, pps265, idr265}, nil, false, "video parameter set 0"},
		"idr with another pps":  {[][]byte{sets, idr265one}, nil, false, "picture parameter set 1"},
		"forbidden bit":         {[][]byte{sets, {0xa6, 1, 0x80}}, nil, false, "forbidden_zero_bit"},
		"ap cut in nal":         {[][]byte{ap(vps265, idr265)[:14]}, nil, false, "AP has"},
		"ap cut in length":      {[][]byte{append(ap(vps265), 0)}, nil, false, "AP ends"},
		"ap in ap":              {[][]byte{ap(ap(idr265))}, nil, false, "type 48"},
		"ap with half a header": {[][]byte{ap([]byte{0x26})}, nil, false, "whole header"},
		"paci":                  {[][]byte{{rtpPACI << 1, 1, 0, 0}}, nil, false, "PACI"},
		"fu without start":      {[][]byte{sets, fragments[1], fragments[2]}, nil, false, "without the start"},
		"fu without end":        {[][]byte{sets, fragments[0], fragments[1]}, nil, false, "ends within"},
		"fu twice started":      {[][]byte{fragments[0], fragments[0]}, nil, false, "before the last one ended"},
		"fu interrupted":        {[][]byte{fragments[0], sei265, fragments[2]}, nil, false, "interrupted"},
		"fu changes type":       {[][]byte{fragments[0], fu265(trail265, 2)[1]}, nil, false, "type changes"},
		"fu of an fu":           {[][]byte{{rtpFU << 1, 1, 0xc0 | rtpFU, 0}}, nil, false, "type 49"},
		"fu of two bytes":       {[][]byte{{rtpFU << 1, 1}}, nil, false, "without a header"},
		"one byte":              {[][]byte{{0x26}}, nil, false, "whole header"},
		"broken slice":          {[][]byte{{0x26, 1}}, nil, false, "broken header"},
		"broken sps":            {[][]byte{{0x42, 1, 1, 1}}, nil, false, "sequence parameter set"},
		"empty vps":             {[][]byte{{0x40, 1}}, nil, false, "video parameter set"},
		"broken pps":            {[][]byte{{0x44, 1, 0}}, nil, false, "picture parameter set"},
		"no window":             {[][]byte{testSPS265(64, 64, 0, 16, 16, 0, 0)}, nil, false, "impossible size of 0x64"},
		"huge sps":              {[][]byte{append([]byte{0x42, 1}, bytes.Repeat([]byte{1}, 5000)...)}, nil, false, "5002 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := assembler(t, "H265", "").Assemble(tc.payloads)
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

func TestH265ParameterSetChange(t *testing.T) {
	a := assembler(t, "H265", "")
	step := func(wantErr string, payloads ...[]byte) Unit {
		t.Helper()
		u, err := a.Assemble(payloads)
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Fatalf("got %v, want an error with %q", err, wantErr)
		}
		return u
	}
	first := step("", vps265, sps265, pps265, idr265).Format
	if u := step("", rasl265); u.Key || u.Format != first {
		t.Error("the format changed at an inter frame")
	}
	step("picture parameter set 1", trail265one)
	step("", pps265one) // a unit of its own
	same := func(what string, u Unit, want ...[]byte) {
		t.Helper()
		if u.Format != first || !bytes.Equal(u.Data, sample(want...)) {
			t.Errorf("%s: format %p, want %p; sample %x, want %x", what, u.Format, first, u.Data, sample(want...))
		}
	}
	same("a set that came after the key frame goes before what needs it first", step("", trail265one), pps265one, trail265one)
	same("and not again", step("", trail265one), trail265one)
	same("a key frame needs what the sample entry has", step("", idr265), idr265)
	same("a key frame with another set has it, with all of its own", step("", idr265one), vps265, sps265, pps265one, idr265one)
	same("from then on each has", step("", vps265, sps265, pps265, idr265), vps265, sps265, pps265, idr265)
	same("a changed set goes before the picture that it changes", step("", pps265b, trail265), pps265b, trail265)
	same("a CRA picture has them too", step("", cra265), vps265, sps265, pps265b, cra265)
	same("a video parameter set comes into force with a key frame", step("", vps265b, trail265), trail265)
	same("and then", step("", idr265), vps265b, sps265, pps265b, idr265)
	step("changed after", sps265wide, trail265one)
	wide := step("", idr265).Format
	if wide.Width != 128 || wide.Height != 64 {
		t.Errorf("format %dx%d, want 128x64", wide.Width, wide.Height)
	}
}

func TestH265OutOfBand(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	a := assembler(t, "H265", "sprop-vps="+b64(vps265)+"; sprop-sps=!,"+b64(sps265)+";sprop-pps="+b64(pps265)+","+b64(pps265one))
	for _, p := range [][][]byte{{idr265}, fu265(idr265, 2), {ap(idr265, second265)}, {sei265, idr265}} {
		if !a.Starts(p) {
			t.Errorf("Starts(%x) is false at the first slice of a stream without parameter sets in band", p)
		}
	}
	if a.Starts([][]byte{second265}) {
		t.Error("Starts is true at another slice")
	}
	u, err := a.Assemble([][]byte{idr265})
	if err != nil || !u.Key || u.Format.Width != 64 {
		t.Fatalf("got %+v, %v", u, err)
	}
	if _, err := a.Assemble([][]byte{vps265, sps265, pps265, idr265}); err != nil {
		t.Fatal(err)
	}
	if a.Starts([][]byte{idr265}) {
		t.Error("Starts is true at a slice that may have lost its parameter sets")
	}
	c, _ := Lookup("H265")
	for _, fmtp := range []string{"sprop-max-don-diff=1", "sprop-max-don-diff=x", "sprop-depack-buf-nalus=2;sprop-max-don-diff=0"} {
		if _, err := c.NewAssembler(media.Track{Fmtp: fmtp}); err == nil || !strings.Contains(err.Error(), "decoding order") {
			t.Errorf("%s: error %v", fmtp, err)
		}
	}
}

func TestH265Starts(t *testing.T) {
	a := assembler(t, "H265", "")
	if _, err := a.Assemble([][]byte{vps265, sps265, pps265, idr265}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		payloads [][]byte
		want     bool
	}{
		"vps first":   {[][]byte{vps265, sps265, pps265, idr265}, true},
		"aud first":   {[][]byte{aud265, idr265}, true},
		"ap":          {[][]byte{ap(vps265, sps265, pps265, idr265)}, true},
		"ap with aud": {[][]byte{ap(aud265, sei265), idr265}, true},
		"vps in fu":   {append(fu265(vps265, 1), sps265, pps265, idr265), true},
		"sei first":   {[][]byte{sei265, vps265, sps265, pps265, idr265}, true},
		"sei between": {[][]byte{ap(sei265, vps265), sei265, sps265, pps265, cra265}, true},
		"slice in fu": {append([][]byte{sei265, vps265, sps265, pps265}, fu265(idr265, 2)...), true},
		"start codes": {[][]byte{slices.Concat([]byte{0, 0, 1}, sei265, []byte{0, 0, 0, 1}, vps265, []byte{0, 0, 1}, idr265)}, true},
		"sps alone":   {[][]byte{sps265, idr265}, false},
		"slice alone": {[][]byte{idr265}, false},
		"inter":       {[][]byte{trail265}, false},
		"later slice": {[][]byte{vps265, second265}, false},
		"fu start":    {fu265(idr265, 2), false},
		"fu rest":     {append(fu265(vps265, 2)[1:], idr265), false},
		"one byte":    {[][]byte{{0x60}}, false},
		"half an ap":  {[][]byte{{0x60, 1, 0, 9}}, false},
		"half a fu":   {[][]byte{{0x62, 1}}, false},
		"no slice":    {[][]byte{vps265, sps265}, false},
	} {
		if got := a.Starts(tc.payloads); got != tc.want {
			t.Errorf("%s: Starts is %v", name, got)
		}
	}
}

func FuzzH265(f *testing.F) {
	b64 := base64.StdEncoding.EncodeToString
	f.Add("", join(ap(vps265, sps265, pps265), idr265, trail265))
	f.Add("sprop-vps="+b64(vps265)+";sprop-sps="+b64(sps265)+";sprop-pps="+b64(pps265), join(fu265(idr265, 3)...))
	f.Add("", join(sei265, vps265, sps265, pps265, idr265))
	f.Add("", join(slices.Concat(vps265, []byte{0, 0, 1}, sps265, []byte{0, 0, 0, 1}, pps265, []byte{0, 0, 1}, idr265, []byte{0})))
	f.Add("", join(ap(vps265, sps265, pps265, idr265), pps265b, trail265, pps265one, idr265one, eos265, cra265))
	unit := readH265(f, "main422.h265")[0]
	f.Add("", join((&codecs.H265Payloader{}).Payload(200, unit.annexB)...))
	f.Fuzz(func(t *testing.T, fmtp string, data []byte) {
		a, err := newH265(media.Track{Fmtp: fmtp})
		if err == nil {
			fuzzUnits(t, a, cut(data))
		}
	})
}

// FuzzH265ParameterSets feeds parameter sets to the parsers alone.
func FuzzH265ParameterSets(f *testing.F) {
	for _, name := range []string{"main.h265", "main422.h265", "cra.h265"} {
		u := readH265(f, name)[0]
		f.Add(u.vps, u.sps, u.pps)
	}
	f.Add(vps265, sps265order, pps265)
	f.Fuzz(func(t *testing.T, vps, sps, pps []byte) {
		var ps h265ParameterSets
		for _, nal := range [][]byte{vps, sps, pps} {
			if len(nal) <= h265HeaderLen || len(nal) > maxParameterSet {
				return
			}
			if _, err := ps.store(nal); err != nil {
				return
			}
		}
		for id := range ps.pps {
			var used idSet
			used.add(uint8(id))
			if format, _, err := ps.describe(used); err == nil {
				entry[*mp4.VisualSampleEntryBox](t, format)
			}
		}
	})
}
