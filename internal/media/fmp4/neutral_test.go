package fmp4

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// TestNeutral has ffmpeg decode what stands in for media: black, and silence.
func TestNeutral(t *testing.T) {
	for name, want := range map[string]string{
		"H264": "avc1.42C00D", "H265": "hvc1.1.6.L60.90", "VP9": "vp09.00.11.08", "AV1": "av01.0.00M.08",
		"opus": "opus", "multiopus": "opus",
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := codec.Lookup(name)
			track := media.Track{Kind: c.Kind, Codec: name, ClockRate: c.ClockRate, Channels: c.Channels}
			if name == "multiopus" {
				track.Channels, track.Fmtp = 6, "channel_mapping=0,4,1,2,3,5;num_streams=4;coupled_streams=2"
			}
			u, ok := c.Neutral(track)
			if !ok || u.Format.RFC6381 != want {
				t.Fatalf("neutral unit %v in format %+v, want %s", ok, u.Format, want)
			}
			file := filepath.Join(t.TempDir(), "neutral.mp4")
			if err := os.WriteFile(file, neutral(t, c, &u), 0o644); err != nil {
				t.Fatal(err)
			}
			if c.Kind == media.Audio {
				checkRaw(t, tool(t, "ffmpeg", "-v", "warning", "-i", file, "-f", "s8", "-"), (3*960-312)*u.Format.Channels, 0) // but the encoder's delay
				return
			}
			out := tool(t, "ffmpeg", "-v", "warning", "-i", file, "-fps_mode", "passthrough", "-vf", "extractplanes=y", "-f", "rawvideo", "-")
			checkRaw(t, out, 3*u.Format.Width*u.Format.Height, 16)
		})
	}
}

// neutral writes a unit three times.
func neutral(t *testing.T, c *codec.Codec, u *codec.Unit) []byte {
	t.Helper()
	out, err := Init(1, u.Format)
	if err != nil {
		t.Fatal(err)
	}
	s := Sample{Data: u.Data, Duration: uint32(max(u.Duration, 3000)), Key: u.Key}
	if c.Kind == media.Audio {
		s.Duration = uint32(u.Duration)
	}
	chunk := Chunk{TrackID: 1, Kind: c.Kind, Sequence: 1, First: true, Samples: []Sample{s, s, s}}
	return chunk.Append(out)
}

// checkRaw wants n times one value. The files have nothing else: ffmpeg warns of
// nothing.
func checkRaw(t *testing.T, raw string, n int, value byte) {
	t.Helper()
	if len(raw) != n {
		t.Fatalf("%d bytes were decoded, want %d: %.200q", len(raw), n, raw)
	}
	for i := range len(raw) {
		if raw[i] != value {
			t.Fatalf("byte %d is %d, want %d", i, raw[i], value)
		}
	}
}
