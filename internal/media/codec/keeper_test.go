package codec

import (
	"bytes"
	"encoding/base64"
	"slices"
	"testing"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
)

// joinLate has what the packets of first told kept, and returns an assembler of
// somebody who joins then.
func joinLate(t *testing.T, name string, first [][]byte) (Assembler, [][]byte) {
	t.Helper()
	track := media.Track{Kind: media.Video, Codec: name, ClockRate: videoClock}
	k := NewKeeper(track)
	for _, p := range first {
		k.Observe(p)
		clear(p) // nothing of it is kept
	}
	track.Parameters = k.Kept()
	c, _ := Lookup(name)
	a, err := c.NewAssembler(track)
	if err != nil {
		t.Fatal(err)
	}
	return a, k.Kept()
}

// TestKeeperLateJoin has the sets in the first packets alone, in any packets that
// there are.
func TestKeeperLateJoin(t *testing.T) {
	unit := readH264(t, "baseline.h264")[0]
	var slices264 [][]byte
	for _, nal := range avc.ExtractNalusFromByteStream(unit.annexB) {
		if nal[0]&0x1f == h264IDR {
			slices264 = append(slices264, nal)
		}
	}
	sets := readH265(t, "main.h265")[0]
	for name, tc := range map[string]struct {
		codec string
		first [][]byte
		late  [][]byte
	}{
		"H264, small packets":       {"H264", (&codecs.H264Payloader{}).Payload(60, unit.annexB), slices264},
		"H264, one by one":          {"H264", (&codecs.H264Payloader{DisableStapA: true}).Payload(1200, unit.annexB), slices264},
		"H264, with slices":         {"H264", [][]byte{stapA(sei, spsSmall, pps0, idr0)}, [][]byte{idr0}},
		"H264, in fu-a":             {"H264", slices.Concat(fuA(spsSmall, 1), fuA(pps0, 1)), [][]byte{idr0}},
		"H264, start codes":         {"H264", [][]byte{slices.Concat(sei, []byte{0, 0, 1}, spsSmall, []byte{0, 0, 0, 1}, pps0, []byte{0, 0, 1}, idr0)}, [][]byte{idr0}},
		"H264, start codes in fu-a": {"H264", fuA(slices.Concat(spsSmall, []byte{0, 0, 1}, pps0, []byte{0, 0, 1}, idr0, bytes.Repeat(idr0, 10)), 2), [][]byte{idr0}},
		"H264, changed":             {"H264", [][]byte{spsWide, pps0b, idr0, spsSmall, pps0}, [][]byte{idr0}},
		"H265":                      {"H265", (&codecs.H265Payloader{}).Payload(200, sets.annexB), nil},
		"H265, hand-made":           {"H265", [][]byte{vps265, sps265, pps265, pps265one}, [][]byte{idr265one}},
		"H265, ap":                  {"H265", [][]byte{ap(vps265, sps265, pps265, idr265)}, [][]byte{idr265}},
	} {
		t.Run(name, func(t *testing.T) {
			first := make([][]byte, len(tc.first))
			for i := range first {
				first[i] = slices.Clone(tc.first[i])
			}
			a, kept := joinLate(t, tc.codec, first)
			if len(kept) < 2 {
				t.Fatalf("kept %x", kept)
			}
			if tc.late == nil {
				return
			}
			if !a.Starts(tc.late) {
				t.Error("Starts is false at a key frame without sets, whose sender sends them once")
			}
			u, err := a.Assemble(tc.late)
			if err != nil || !u.Key || u.Format == nil || name == "H264, changed" && u.Format.Width != 16 {
				t.Errorf("key frame without its own sets: %+v, %v", u, err)
			}
		})
	}
}

func TestKeeperAV1(t *testing.T) {
	c, _ := Lookup("AV1")
	payloads, err := c.neutral(media.Track{})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := assembler(t, "AV1", "").Assemble(payloads)
	if err != nil {
		t.Fatal(err)
	}
	frame := whole.Data[13:] // behind the sequence header
	a, kept := joinLate(t, "AV1", [][]byte{slices.Clone(payloads[0]), {av1Alone, frame[0], frame[1]}})
	late := [][]byte{append([]byte{av1Alone}, frame...)}
	u, err := a.Assemble(late)
	if err != nil || len(kept) != 1 || !a.Starts(late) || !bytes.Equal(u.Data, whole.Data) || !u.Format.Equal(whole.Format) {
		t.Errorf("kept %x; %+v, %v, want %+v", kept, u, err, whole)
	}
}

// What stands in the offer is kept as if it had been sent.
func TestKeeperOutOfBand(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for _, track := range []media.Track{
		{Codec: "H264", Fmtp: "sprop-parameter-sets=" + b64(spsSmall) + "," + b64(pps0)},
		{Codec: "H265", Fmtp: "sprop-vps=" + b64(vps265) + ";sprop-sps=" + b64(sps265) + ";sprop-pps=" + b64(pps265)},
	} {
		if kept := NewKeeper(track).Kept(); len(kept) < 2 {
			t.Errorf("%s: kept %x", track.Codec, kept)
		}
	}
}

// A sender cannot make the node keep more and more, and what has no sets costs
// nothing.
func TestKeeperBounds(t *testing.T) {
	k := NewKeeper(media.Track{Codec: "H264"})
	for i := range 1000 {
		sps, pps, idr, inter := renumbered(i%32, i%256)
		for _, p := range [][]byte{sps, pps, idr, inter, append(slices.Clone(pps), make([]byte, maxParameterSet)...), {0x67}, {0x68, 0}, {0x78, 0, 9}, {0x7c}} {
			k.Observe(p)
		}
		if kept := k.Kept(); len(kept) > maxKept || !slices.ContainsFunc(kept, func(p []byte) bool { return bytes.Equal(p, pps) }) {
			t.Fatalf("%d sets are kept, of GOP %d's %x", len(kept), i, pps)
		}
	}
	kept := k.Kept()
	if !slices.IsSortedFunc(kept, func(a, b []byte) int { return int(a[0]&0x1f) - int(b[0]&0x1f) }) {
		t.Errorf("a PPS before the SPS: %x", kept)
	}
	for _, tc := range []struct {
		codec    string
		payloads [][]byte
	}{
		{"H264", [][]byte{p0, idr0, fuA(idr0, 2)[0], fuA(idr0, 2)[1], kept[0], nil}},
		{"H265", [][]byte{trail265, idr265, fu265(idr265, 2)[0], fu265(idr265, 2)[1], nil}},
		{"AV1", [][]byte{{av1Alone, 0x30, 1}, {0x80, 1, 2}, nil}},
	} {
		k := NewKeeper(media.Track{Codec: tc.codec})
		for _, p := range tc.payloads {
			k.Observe(p)
			if n := testing.AllocsPerRun(10, func() { k.Observe(p) }); n > 0 && len(p) > 0 && &p[0] != &kept[0][0] {
				t.Errorf("%s: %v allocations for %x", tc.codec, n, p)
			}
		}
	}
	if NewKeeper(media.Track{Codec: "VP8"}) != nil {
		t.Error("VP8 has no parameter sets")
	}
}

// FuzzKeeper has anything kept, and told to an assembler.
func FuzzKeeper(f *testing.F) {
	f.Add("H264", join(stapA(spsSmall, pps0, idr0), p0, fuA(spsSmall, 1)[0]))
	f.Add("H265", join(vps265, sps265, pps265, ap(vps265, pps265b)))
	f.Add("AV1", join([]byte{0x10, 0x08, 1, 2}))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		track := media.Track{Kind: media.Video, Codec: name}
		k := NewKeeper(track)
		if k == nil {
			return
		}
		for _, p := range cut(data) {
			k.Observe(p)
		}
		if track.Parameters = k.Kept(); len(track.Parameters) > maxKept {
			t.Fatalf("%d sets are kept", len(track.Parameters))
		}
		c, _ := Lookup(name)
		a, err := c.NewAssembler(track)
		if err != nil {
			t.Fatal(err)
		}
		fuzzUnits(t, a, cut(data))
	})
}
