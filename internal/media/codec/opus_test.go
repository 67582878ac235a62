package codec

import (
	"bytes"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

func TestOpusStream(t *testing.T) {
	for _, tc := range []struct {
		file     string
		duration media.Ticks
	}{{"celt20.ogg", 960}, {"silk60.ogg", 2880}} {
		a := assembler(t, "opus", "")
		for i, p := range readOgg(t, tc.file) {
			u, err := a.Assemble([][]byte{p})
			if err != nil {
				t.Fatalf("%s: packet %d: %v", tc.file, i, err)
			}
			if !bytes.Equal(u.Data, p) || &u.Data[0] == &p[0] || !u.Key || u.Duration != tc.duration || u.Format == nil || !a.Starts([][]byte{p}) {
				t.Errorf("%s: packet %d: got %+v, want a copy of %d ticks", tc.file, i, u, tc.duration)
			}
		}
	}
}

func TestOpusDuration(t *testing.T) {
	toc := func(config, code byte) byte { return config<<3 | code }
	zeros := func(n int) []byte { return make([]byte, n) }
	for name, tc := range map[string]struct {
		packet []byte
		want   media.Ticks // 0: an error
	}{
		"silk 10 ms":              {[]byte{toc(0, 0), 1}, 480},
		"silk 20 ms":              {[]byte{toc(5, 0), 1}, 960},
		"silk 40 ms":              {[]byte{toc(10, 0), 1}, 1920},
		"silk 60 ms":              {[]byte{toc(11, 0), 1}, 2880},
		"hybrid 10 ms":            {[]byte{toc(12, 0), 1}, 480},
		"hybrid 20 ms":            {[]byte{toc(15, 0), 1}, 960},
		"celt 2.5 ms":             {[]byte{toc(16, 0), 1}, 120},
		"celt 5 ms":               {[]byte{toc(21, 0), 1}, 240},
		"celt 10 ms":              {[]byte{toc(26, 0), 1}, 480},
		"celt 20 ms":              {[]byte{toc(31, 0), 1}, 960},
		"no data":                 {[]byte{toc(31, 0)}, 960},
		"two equal":               {append([]byte{toc(31, 1)}, zeros(4)...), 1920},
		"two equal, odd":          {append([]byte{toc(31, 1)}, zeros(5)...), 0},
		"two":                     {append([]byte{toc(31, 2), 2}, zeros(5)...), 1920},
		"two, first too long":     {append([]byte{toc(31, 2), 6}, zeros(5)...), 0},
		"two, long length":        {append([]byte{toc(31, 2), 252, 1}, zeros(256)...), 1920},
		"two, no length":          {[]byte{toc(31, 2)}, 0},
		"three equal":             {append([]byte{toc(31, 3), 3}, zeros(6)...), 2880},
		"three equal, uneven":     {append([]byte{toc(31, 3), 3}, zeros(7)...), 0},
		"three":                   {append([]byte{toc(31, 3), 0x83, 1, 2}, zeros(6)...), 2880},
		"three, too long":         {append([]byte{toc(31, 3), 0x83, 4, 3}, zeros(6)...), 0},
		"three, length cut":       {[]byte{toc(31, 3), 0x83, 1}, 0},
		"padded":                  {append([]byte{toc(31, 3), 0x42, 3}, zeros(5)...), 1920},
		"padded with 255":         {append([]byte{toc(31, 3), 0x41, 255, 1}, zeros(256)...), 960},
		"padding longer than all": {append([]byte{toc(31, 3), 0x41, 9}, zeros(8)...), 0},
		"padding length cut":      {[]byte{toc(31, 3), 0x41, 255}, 0},
		"no frames":               {[]byte{toc(31, 3), 0}, 0},
		"no frame count":          {[]byte{toc(31, 3)}, 0},
		"120 ms":                  {[]byte{toc(31, 3), 6}, 5760},
		"140 ms":                  {[]byte{toc(31, 3), 7}, 0},
		"frame of 1276 bytes":     {append([]byte{toc(31, 0)}, zeros(1276)...), 0},
		"empty":                   {nil, 0},
	} {
		got, err := opusDuration(tc.packet)
		if got != tc.want || (err != nil) != (tc.want == 0) {
			t.Errorf("%s: got %d, %v, want %d", name, got, err, tc.want)
		}
	}
}

func TestOpusFiller(t *testing.T) {
	for _, tc := range []struct {
		packet, filler []byte
		duration       media.Ticks
	}{
		{[]byte{31<<3 | 4 | 3, 2, 9, 9}, []byte{0xfc}, 960},
		{[]byte{11 << 3, 1}, []byte{11 << 3}, 2880},
		{nil, nil, 0},
	} {
		filler, d := opusFiller(nil, tc.packet)
		if !bytes.Equal(filler, tc.filler) || d != tc.duration {
			t.Errorf("opusFiller(%x) = %x, %d, want %x, %d", tc.packet, filler, d, tc.filler, tc.duration)
		}
		if got, err := opusDuration(filler); len(filler) > 0 && (err != nil || got != d) {
			t.Errorf("the filler of %x has a duration of %d, %v", tc.packet, got, err)
		}
	}
}

func TestOpusSampleEntry(t *testing.T) {
	u, err := assembler(t, "opus", "").Assemble([][]byte{{0xfc, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if f := u.Format; f.RFC6381 != "opus" || f.Timescale != 48000 || f.Channels != 2 {
		t.Errorf("format %+v", f)
	}
	e := entry[*mp4.AudioSampleEntryBox](t, u.Format)
	if e.Type() != "Opus" || e.ChannelCount != 2 || e.SampleSize != 16 || e.SampleRate != 48000 {
		t.Errorf("sample entry %+v", e)
	}
	if d := e.Dops; d == nil || d.Version != 0 || d.OutputChannelCount != 2 || d.PreSkip != 312 || d.InputSampleRate != 48000 || d.OutputGain != 0 || d.ChannelMappingFamily != 0 {
		t.Errorf("dOps %+v", e.Dops)
	}
}

func TestOpusErrors(t *testing.T) {
	a := assembler(t, "opus", "")
	if _, err := a.Assemble([][]byte{{0xfc}, {0xfc}}); err == nil {
		t.Error("two packets with one timestamp were accepted")
	}
	if _, err := newOpus(media.Track{ClockRate: 16000}); err == nil {
		t.Error("a clock rate of 16 kHz was accepted")
	}
}

func FuzzOpus(f *testing.F) {
	f.Add([]byte{31<<3 | 3, 0xc3, 1, 1, 1, 0, 0, 0, 0})
	f.Add([]byte{31<<3 | 2, 1, 0, 0})
	a := &opusAssembler{format: opusFormat()}
	f.Fuzz(func(t *testing.T, p []byte) {
		u, err := a.Assemble([][]byte{p})
		if err != nil {
			return
		}
		checkUnit(t, u, [][]byte{p})
		if u.Duration <= 0 || u.Duration > 5760 {
			t.Errorf("duration %d of %x", u.Duration, p)
		}
		if filler, d := opusFiller(u.Format, p); len(filler) != 1 || u.Duration%d != 0 {
			t.Errorf("filler %x of %d ticks for a packet of %d", filler, d, u.Duration)
		}
	})
}
