package load

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// mediaFile opens a file of the repository's test media.
func mediaFile(t testing.TB, name string) *Source {
	t.Helper()
	s, err := Open(filepath.Join("..", "..", "..", "testdata", "media", name))
	if err != nil {
		t.Fatalf("%v (testdata/media/make.sh makes the test media)", err)
	}
	return s
}

func TestOpen(t *testing.T) {
	tests := []struct {
		file     string
		codec    string
		units    int
		keys     int
		duration media.Ticks // of every unit
		nals     int         // slices in every picture, H264 and H265 only
		sets     int
	}{
		{"h264_baseline.h264", "H264", 300, 10, 3000, 1, 2},
		{"h264_slices.h264", "H264", 250, 10, 3600, 4, 2},
		{"h264_high.h264", "H264", 300, 10, 3003, 1, 2},
		{"h265.h265", "H265", 300, 10, 3000, 1, 3},
		{"h265_slices.h265", "H265", 250, 9, 3600, 4, 3},
		{"av1.ivf", "AV1", 300, 10, 3000, 0, 1},
		{"h264_small.h264", "H264", 300, 10, 3000, 1, 2},
		{"vp9_small.ivf", "VP9", 300, 10, 3000, 0, 0},
		{"vp9.ivf", "VP9", 300, 10, 3000, 0, 0},
		{"vp8.ivf", "VP8", 300, 10, 3000, 0, 0},
		{"opus_stereo.ogg", "opus", 501, 501, 960, 0, 0},
		{"opus_mono.ogg", "opus", 501, 501, 960, 0, 0},
		{"opus_51.ogg", "multiopus", 501, 501, 960, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			s := mediaFile(t, tt.file)
			if s.Codec != tt.codec || len(s.Units) != tt.units || len(s.ParameterSets) != tt.sets {
				t.Errorf("codec %s, %d units, %d parameter sets; want %s, %d, %d",
					s.Codec, len(s.Units), len(s.ParameterSets), tt.codec, tt.units, tt.sets)
			}
			if want := tt.duration * media.Ticks(tt.units); s.Duration() != want {
				t.Errorf("duration %d ticks, want %d", s.Duration(), want)
			}
			keys, seen := 0, map[string]bool{}
			for i := range s.Units {
				u := &s.Units[i]
				if u.Key {
					keys++
				}
				if u.Duration != tt.duration {
					t.Fatalf("unit %d lasts %d ticks, want %d", i, u.Duration, tt.duration)
				}
				if seen[string(u.Sample)] {
					t.Errorf("unit %d equals an earlier one: a comparison could not tell them apart", i)
				}
				seen[string(u.Sample)] = true
				if tt.nals > 0 && countSlices(t, tt.codec, u.Sample) != tt.nals {
					t.Fatalf("unit %d has %d slices, want %d", i, countSlices(t, tt.codec, u.Sample), tt.nals)
				}
			}
			if keys != tt.keys {
				t.Errorf("%d key frames, want %d", keys, tt.keys)
			}
		})
	}
}

// countSlices counts the slices of a sample and fails on NAL units that it must not have.
func countSlices(t *testing.T, codec string, sample []byte) int {
	t.Helper()
	slices, others := map[byte]bool{nalSlice: true, nalIDR: true}, map[byte]bool{nalSEI: true}
	if codec == "H265" { // TRAIL_R, IDR_N_LP; prefix SEI
		slices, others = map[byte]bool{1: true, 20: true}, map[byte]bool{39: true}
	}
	n := 0
	for len(sample) > 0 {
		size := int(binary.BigEndian.Uint32(sample))
		nalType := sample[4] & 0x1f
		if codec == "H265" {
			nalType = sample[4] >> 1
		}
		switch {
		case slices[nalType]:
			n++
		case !others[nalType]:
			t.Fatalf("sample has a NAL unit of type %d", nalType)
		}
		sample = sample[4+size:]
	}
	return n
}

func TestHeadAndJoin(t *testing.T) {
	a, b := mediaFile(t, "h264_baseline.h264"), mediaFile(t, "h264_small.h264")
	head := a.Head(2500 * time.Millisecond)
	if len(head.Units) != 90 || len(a.Units) != 300 || len(a.Head(time.Hour).Units) != 300 {
		t.Errorf("the head of 2.5 s has %d units, want 90: up to the next key frame", len(head.Units))
	}
	joined, err := Join(head, b)
	if err != nil {
		t.Fatal(err)
	}
	// Both have the same PPS.
	if len(joined.Units) != 390 || !joined.Units[90].Key || len(joined.ParameterSets) != 3 || len(a.ParameterSets) != 2 {
		t.Errorf("joined: %d units, %d parameter sets", len(joined.Units), len(joined.ParameterSets))
	}
	if _, err := Join(a, mediaFile(t, "vp9.ivf")); err == nil {
		t.Error("H264 and VP9 were joined")
	}
	if _, err := Join(); err == nil {
		t.Error("nothing was joined")
	}
}

func TestTestMediaIsSmall(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", "..", "..", "testdata", "media"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 150_000 {
			t.Errorf("%s has %d bytes, 150,000 are allowed", e.Name(), info.Size())
		}
	}
}

func TestOpusHead(t *testing.T) {
	for _, tc := range []struct {
		head     string
		codec    string // "": an error
		channels uint16
		fmtp     string
	}{
		{"OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00", "opus", 2, ""},
		{"OpusHead\x01\x06\x38\x01\x80\xbb\x00\x00\x00\x00\x01\x04\x02\x00\x04\x01\x02\x03\x05", "multiopus", 6,
			"channel_mapping=0,4,1,2,3,5;coupled_streams=2;minptime=10;num_streams=4;useinbandfec=1"},
		{"OpusHead\x01\x06\x38\x01\x80\xbb\x00\x00\x00\x00\x01\x04\x02\x00\x04\x01\x02\x03", "", 0, ""},
		{"OpusHead\x01\x06\x38\x01\x80\xbb\x00\x00\x00\x00\x01\x04", "", 0, ""},
		{"OpusHead", "", 0, ""},
	} {
		s, err := opusSource([]byte(tc.head))
		if tc.codec == "" {
			if err == nil {
				t.Errorf("%q was accepted", tc.head)
			}
			continue
		}
		if err != nil || s.Codec != tc.codec || s.Channels != tc.channels || s.Fmtp != tc.fmtp {
			t.Errorf("%q: %+v, %v", tc.head, s, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	ivf := make([]byte, 32)
	copy(ivf, "DKIF")
	binary.LittleEndian.PutUint16(ivf[6:], 32)
	copy(ivf[8:], "VP90")
	timeless := append([]byte(nil), ivf...)
	binary.LittleEndian.PutUint32(ivf[16:], 30)
	binary.LittleEndian.PutUint32(ivf[20:], 1)
	tests := map[string]struct{ data, err string }{
		"nothing":           {"", "neither"},
		"other file":        {"RIFF....", "neither"},
		"no picture":        {"\x00\x00\x01\x67\x42\xc0\x1f", "does not end with a picture"},
		"picture, no SPS":   {"\x00\x00\x01\x65\x88\x80", "no SPS"},
		"IVF header":        {"DKIF", "cut off"},
		"IVF time base":     {string(timeless), "time base"},
		"IVF without frame": {string(ivf), "no key frame"},
		"IVF frame cut off": {string(ivf) + "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x82", "1 bytes are left"},
		"Ogg page":          {"OggS", "page header"},
		"H265, no SPS":      {"\x00\x00\x01\x40\x01\x0c\x00\x00\x01\x26\x01\x80\x80", "no SPS"},
		"AV1 OBU cut off":   {av1File("\x12\x00\x32\x05\x10"), "type 6 is cut off"},
		"AV1 without sizes": {av1File("\x30\x10"), "type 6 without a size"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}

// av1File returns an IVF file with one temporal unit.
func av1File(unit string) string {
	h := make([]byte, 44)
	copy(h, "DKIF")
	binary.LittleEndian.PutUint16(h[6:], 32)
	copy(h[8:], "AV01")
	binary.LittleEndian.PutUint32(h[16:], 30)
	binary.LittleEndian.PutUint32(h[20:], 1)
	binary.LittleEndian.PutUint32(h[32:], uint32(len(unit)))
	return string(h) + unit
}

func TestAV1Sample(t *testing.T) {
	// Temporal delimiter, sequence header, metadata, padding, frame header, redundant frame header, tile group.
	s := &Source{Codec: "AV1"}
	u, err := s.av1Unit([]byte("\x12\x00\x0a\x01h\x2a\x01m\x7a\x01p\x1a\x01\x10\x3a\x01\x10\x22\x01t"))
	if err != nil || !u.Key || string(u.Sample) != "\x0a\x01h\x2a\x01m\x1a\x01\x10\x22\x01t" || len(s.ParameterSets) != 1 {
		t.Errorf("got %q, key %v, %v", u.Sample, u.Key, err)
	}
	if u, err = s.av1Unit([]byte("\x1a\x01\x10")); err != nil || u.Key {
		t.Errorf("a frame without a sequence header: key %v, %v", u.Key, err)
	}
}

func TestOpusDuration(t *testing.T) {
	tests := []struct {
		packet string
		want   media.Ticks
		ok     bool
	}{
		{"", 0, false},
		{"\x00", 480, true},              // SILK 10 ms
		{"\x18", 2880, true},             // SILK 60 ms
		{"\x68", 960, true},              // hybrid 20 ms
		{"\x80", 120, true},              // CELT 2.5 ms
		{"\xfc", 960, true},              // CELT 20 ms, stereo
		{"\xfd", 1920, true},             // two frames
		{"\xff", 0, false},               // code 3 without its count
		{"\xff\x03", 2880, true},         // three frames
		{"\xff\x00", 0, false},           // no frame
		{"\xff\x3f", 63 * 960, false},    // more than 120 ms
		{"\x83\xb0rest", 48 * 120, true}, // flags above the count
	}
	for _, tt := range tests {
		if got, ok := opusDuration([]byte(tt.packet)); got != tt.want || ok != tt.ok {
			t.Errorf("opusDuration(%q) = %d, %v; want %d, %v", tt.packet, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	entries, err := filepath.Glob(filepath.Join("..", "..", "..", "testdata", "media", "*.*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range entries {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 4000)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		if len(s.Units) == 0 || !s.Units[0].Key {
			t.Error("a source must begin with a key frame")
		}
		for i := range s.Units {
			if s.Units[i].Duration <= 0 || len(s.Units[i].Data) == 0 {
				t.Errorf("unit %d: duration %d, %d bytes", i, s.Units[i].Duration, len(s.Units[i].Data))
			}
		}
	})
}
