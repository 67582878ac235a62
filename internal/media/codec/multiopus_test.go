package codec

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

const (
	fmtpQuad = "channel_mapping=0,1,2,3;num_streams=2;coupled_streams=2"
	fmtp51   = "channel_mapping=0,4,1,2,3,5;num_streams=4;coupled_streams=2;minptime=10;useinbandfec=1"
	fmtp71   = "channel_mapping=0,6,1,2,3,4,5,7;num_streams=5;coupled_streams=3"
)

func multiopus(tb testing.TB, channels uint16, fmtp string) Assembler {
	tb.Helper()
	c, _ := Lookup("multiopus")
	a, err := c.NewAssembler(media.Track{Kind: media.Audio, Codec: "multiopus", ClockRate: 48000, Channels: channels, Fmtp: fmtp})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// TestMultiopusStream reads what libopus made.
func TestMultiopusStream(t *testing.T) {
	a := multiopus(t, 6, fmtp51)
	packets := readOgg(t, "../../../../testdata/media/opus_51.ogg")
	if len(packets) < 500 {
		t.Fatalf("%d packets", len(packets))
	}
	for i, p := range packets {
		u, err := a.Assemble([][]byte{p})
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if !bytes.Equal(u.Data, p) || &u.Data[0] == &p[0] || !u.Key || u.Duration != 960 || u.Format == nil || !a.Starts([][]byte{p}) {
			t.Errorf("packet %d: got %+v, want a copy of 960 ticks", i, u)
		}
		// The streams are told apart: with another number of them it is no packet.
		if _, err := multiopus(t, 8, strings.Replace(fmtp71, "num_streams=5", "num_streams=9", 1)).Assemble([][]byte{p}); err == nil {
			t.Errorf("packet %d was taken for one of 9 streams", i)
		}
	}
}

func TestOpusDelimited(t *testing.T) {
	toc := func(config, code byte) byte { return config<<3 | code }
	zeros := func(n int) []byte { return make([]byte, n) }
	for name, tc := range map[string]struct {
		packet []byte
		size   int // 0: an error
		want   media.Ticks
	}{
		"one":                     {append([]byte{toc(31, 0), 3}, zeros(9)...), 5, 960},
		"one, no data":            {[]byte{toc(31, 0), 0, 7}, 2, 960},
		"one, long length":        {append([]byte{toc(31, 0), 252, 1}, zeros(300)...), 259, 960},
		"one, cut":                {append([]byte{toc(31, 0), 3}, zeros(2)...), 0, 0},
		"one, no length":          {[]byte{toc(31, 0)}, 0, 0},
		"one, length cut":         {[]byte{toc(31, 0), 252}, 0, 0},
		"two equal":               {append([]byte{toc(31, 1), 2}, zeros(5)...), 6, 1920},
		"two equal, cut":          {append([]byte{toc(31, 1), 2}, zeros(3)...), 0, 0},
		"two":                     {append([]byte{toc(31, 2), 2, 1}, zeros(5)...), 6, 1920},
		"two, no second length":   {[]byte{toc(31, 2), 0}, 0, 0},
		"two, cut":                {append([]byte{toc(31, 2), 2, 2}, zeros(3)...), 0, 0},
		"three equal":             {append([]byte{toc(31, 3), 3, 2}, zeros(7)...), 9, 2880},
		"three":                   {append([]byte{toc(31, 3), 0x83, 1, 2, 3}, zeros(7)...), 11, 2880},
		"padded":                  {append([]byte{toc(31, 3), 0x42, 3, 1}, zeros(6)...), 9, 1920},
		"padded with 255":         {append([]byte{toc(31, 3), 0x41, 255, 1, 0}, zeros(256)...), 260, 960},
		"padding longer than all": {append([]byte{toc(31, 3), 0x41, 9, 0}, zeros(8)...), 0, 0},
		"140 ms":                  {[]byte{toc(31, 3), 7, 0}, 0, 0},
		"empty":                   {nil, 0, 0},
	} {
		size, got, err := readOpusPacket(tc.packet, true)
		if size != tc.size || got != tc.want || (err != nil) != (tc.want == 0) {
			t.Errorf("%s: got %d bytes, %d ticks, %v, want %d, %d", name, size, got, err, tc.size, tc.want)
		}
	}
}

func TestMultiopusErrors(t *testing.T) {
	a := multiopus(t, 4, fmtpQuad)
	for name, payloads := range map[string][][]byte{
		"two packets":                  {{0xfc, 0, 0xfc}, {0xfc, 0, 0xfc}},
		"one stream":                   {{0xfc, 0}},
		"a stereo packet":              {{0xfc, 200, 1}},
		"streams of another duration":  {{0xfc, 0, 16 << 3}},
		"rest is no packet":            {{0xfc, 0, 0xff, 0}},
		"longer than a frame can last": {append([]byte{0xfc, 0, 0xfc}, make([]byte, 1276)...)},
	} {
		if u, err := a.Assemble(payloads); err == nil {
			t.Errorf("%s: got %+v, want an error", name, u)
		}
	}
	if _, err := newMultiopus(media.Track{ClockRate: 44100, Channels: 4, Fmtp: fmtpQuad}); err == nil {
		t.Error("a clock rate of 44.1 kHz was accepted")
	}
}

func TestMultiopusLayoutErrors(t *testing.T) {
	for _, tc := range []struct {
		channels uint16
		fmtp     string
		want     string // in the error
	}{
		{6, "", "without num_streams"},
		{6, "num_streams=4", "without coupled_streams"},
		{6, "num_streams=4;coupled_streams=2", "without channel_mapping"},
		{0, fmtp51, "0 channels"},
		{9, fmtp51, "9 channels"},
		{4, fmtp51, "as many entries"},
		{8, fmtp51, "as many entries"},
		{2, "num_streams=0;coupled_streams=0;channel_mapping=255,255", "at least one stream"},
		{2, "num_streams=1;coupled_streams=2;channel_mapping=0,1", "coupled_streams=2"},
		{2, "num_streams=200;coupled_streams=100;channel_mapping=0,1", "255 decoded"},
		{2, "num_streams=256;coupled_streams=0;channel_mapping=0,1", "num_streams=256"},
		{2, "num_streams=-1;coupled_streams=0;channel_mapping=0,1", "num_streams=-1"},
		{2, "num_streams=1;coupled_streams=1;channel_mapping=0,2", `"2" in channel_mapping`},
		{2, "num_streams=1;coupled_streams=1;channel_mapping=0,", `"" in channel_mapping`},
		{2, "num_streams=1;coupled_streams=1;channel_mapping=0,256", `"256" in channel_mapping`},
	} {
		_, err := newMultiopus(media.Track{Channels: tc.channels, Fmtp: tc.fmtp})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%d channels, %q: got %v, want an error with %q", tc.channels, tc.fmtp, err, tc.want)
		}
		if checkMultiopus(tc.channels, tc.fmtp) == nil {
			t.Errorf("%d channels, %q: Check accepts it", tc.channels, tc.fmtp)
		}
	}
}

func TestMultiopusSampleEntry(t *testing.T) {
	for _, tc := range []struct {
		channels                 uint16
		fmtp                     string
		family, streams, coupled byte
		mapping                  []byte
	}{
		{4, fmtpQuad, 1, 2, 2, []byte{0, 1, 2, 3}},
		{6, fmtp51, 1, 4, 2, []byte{0, 4, 1, 2, 3, 5}},
		{8, fmtp71, 1, 5, 3, []byte{0, 6, 1, 2, 3, 4, 5, 7}},
		{2, "channel_mapping=0,1;num_streams=1;coupled_streams=1", 1, 1, 1, []byte{0, 1}},
		{6, "channel_mapping=0,1,4,5,2,3;num_streams=4;coupled_streams=2", 255, 4, 2, []byte{0, 1, 4, 5, 2, 3}},
		{3, "channel_mapping=0, 255, 1;num_streams=2;coupled_streams=0", 255, 2, 0, []byte{0, 255, 1}},
	} {
		f := multiopus(t, tc.channels, tc.fmtp).(*multiopusAssembler).format
		if f.Codec != "multiopus" || f.RFC6381 != "opus" || f.Timescale != 48000 || f.Channels != int(tc.channels) {
			t.Errorf("%s: format %+v", tc.fmtp, f)
		}
		e := entry[*mp4.AudioSampleEntryBox](t, f)
		if e.Type() != "Opus" || e.ChannelCount != tc.channels || e.SampleSize != 16 || e.SampleRate != 48000 {
			t.Errorf("%s: sample entry %+v", tc.fmtp, e)
		}
		if d := e.Dops; d == nil || d.Version != 0 || d.OutputChannelCount != byte(tc.channels) || d.PreSkip != 312 || d.InputSampleRate != 48000 ||
			d.OutputGain != 0 || d.ChannelMappingFamily != tc.family || d.StreamCount != tc.streams || d.CoupledCount != tc.coupled || !slices.Equal(d.ChannelMapping, tc.mapping) {
			t.Errorf("%s: dOps %+v", tc.fmtp, e.Dops)
		}
	}
	if _, err := opusEntry(&media.Format{Private: append(appendDops(nil, 6, 1), 4, 2, 0)}); err == nil {
		t.Error("a mapping table that is cut off was accepted")
	}
}

func TestMultiopusFiller(t *testing.T) {
	a := multiopus(t, 6, fmtp51).(*multiopusAssembler)
	for _, tc := range []struct {
		packet, filler []byte
		duration       media.Ticks
	}{
		{[]byte{0xfc, 1, 9, 0xfc, 0, 0xf8, 2, 9, 9, 0xf8, 7}, []byte{0xfc, 0, 0xfc, 0, 0xf8, 0, 0xf8}, 960},
		// The third stream has two frames of 10 ms where the others have one of 20.
		{[]byte{0xfc, 0, 0xfc, 0, 26<<3 | 1, 0, 0xf8}, []byte{0xfc, 0, 0xfc, 0, 0xfc, 0, 0xf8}, 960},
		{[]byte{0xff, 2, 0, 0xff, 2, 0, 0xfb, 2, 0, 0xfb, 2}, []byte{0xfc, 0, 0xfc, 0, 0xf8, 0, 0xf8}, 960},
		{[]byte{0xfc}, []byte{0xfc, 0, 0xfc, 0, 0xfc, 0, 0xfc}, 960}, // no packet of four streams
		{nil, nil, 0},
	} {
		filler, d := multiopusFiller(a.format, tc.packet)
		if !bytes.Equal(filler, tc.filler) || d != tc.duration {
			t.Errorf("the filler of %x is %x, %d, want %x, %d", tc.packet, filler, d, tc.filler, tc.duration)
		}
		if len(filler) == 0 {
			continue
		}
		if u, err := a.Assemble([][]byte{filler}); err != nil || u.Duration != d {
			t.Errorf("the filler of %x is a packet of %d ticks, %v", tc.packet, u.Duration, err)
		}
	}
}

func FuzzMultiopus(f *testing.F) {
	f.Add(uint16(6), fmtp51, []byte{0xfc, 1, 9, 0xfc, 0, 0xf8, 2, 9, 9, 0xf8, 7})
	f.Add(uint16(4), fmtpQuad, []byte{0xff, 0xc3, 1, 1, 1, 0, 0, 0, 0, 0xff, 3})
	f.Add(uint16(8), fmtp71, []byte{31<<3 | 2, 1, 0, 0})
	f.Fuzz(func(t *testing.T, channels uint16, fmtp string, p []byte) {
		made, err := newMultiopus(media.Track{Channels: channels, Fmtp: fmtp})
		if err != nil {
			return
		}
		a := made.(*multiopusAssembler)
		if _, err := opusEntry(a.format); err != nil {
			t.Errorf("%q has no sample entry: %v", fmtp, err)
		}
		filler, d := multiopusFiller(a.format, p)
		if u, err := a.Assemble([][]byte{filler}); len(p) > 0 && (err != nil || u.Duration != d) {
			t.Errorf("the filler %x of %x is a packet of %d ticks, not %d: %v", filler, p, u.Duration, d, err)
		}
		u, err := a.Assemble([][]byte{p})
		if err != nil {
			return
		}
		checkUnit(t, u, [][]byte{p})
		if u.Duration <= 0 || u.Duration > opusMaxPacket || u.Duration%d != 0 {
			t.Errorf("duration %d of %x, filler %d", u.Duration, p, d)
		}
	})
}
