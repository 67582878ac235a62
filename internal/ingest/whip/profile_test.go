package whip

import (
	"cmp"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/testkit/load"
)

// TestProfiles: what can be recorded is taken, what most players play first, and a
// refusal says which profile was offered.
func TestProfiles(t *testing.T) {
	for name, tc := range map[string]struct {
		lines []string // 96, 97 ...
		want  string   // of the chosen format, or else of the error
	}{
		"high 4:2:2":             {[]string{"H264/90000 packetization-mode=1;profile-level-id=7a0028"}, "profile-level-id=7a0028"},
		"high 10, single NALs":   {[]string{"H264/90000 profile-level-id=6E0028"}, "profile-level-id=6E0028"},
		"intra 4:4:4":            {[]string{"H264/90000 packetization-mode=1;profile-level-id=2c001f"}, "profile-level-id=2c001f"},
		"high 4:4:4":             {[]string{"H264/90000 packetization-mode=1;profile-level-id=f4001f"}, "profile-level-id=f4001f"},
		"the usual before it":    {[]string{"H264/90000 packetization-mode=1;profile-level-id=f4001f", "H264/90000 packetization-mode=1;profile-level-id=42e01f"}, "profile-level-id=42e01f"},
		"VP8 before it":          {[]string{"H264/90000 packetization-mode=1;profile-level-id=7a0028", "VP8/90000"}, "VP8"},
		"main 10":                {[]string{"H265/90000 profile-id=2"}, "profile-id=2"},
		"range extensions":       {[]string{"H265/90000 profile-id=4;tx-mode=SRST"}, "profile-id=4"},
		"VP9 4:4:4":              {[]string{"VP9/90000 profile-id=1"}, "profile-id=1"},
		"AV1 high":               {[]string{"AV1/90000 profile=1", "AV1/90000 profile=0"}, "profile=0"},
		"extended":               {[]string{"H264/90000 packetization-mode=1;profile-level-id=58001f"}, `"H264 profile-level-id=58001f;packetization-mode=1"`},
		"interleaved":            {[]string{"H264/90000 packetization-mode=2;profile-level-id=42e01f"}, `"H264 profile-level-id=42e01f;packetization-mode=2"`},
		"scalable":               {[]string{"H265/90000 profile-id=7"}, `"H265 profile-id=7"`},
		"several streams":        {[]string{"H265/90000 profile-id=1;tx-mode=MRST"}, `"H265 profile-id=1;tx-mode=MRST"`},
		"error correction alone": {[]string{"red/90000", "ulpfec/90000", "flexfec-03/90000 repair-window=10000000"}, `offered "red" "ulpfec" "flexfec-03"`},
		"error correction first": {[]string{"red/90000", "ulpfec/90000", "flexfec-03/90000", "H264/90000 packetization-mode=1;profile-level-id=42e01f"}, "profile-level-id=42e01f"},
	} {
		t.Run(name, func(t *testing.T) {
			var formats, lines []string
			for i, line := range tc.lines {
				pt := strconv.Itoa(96 + i)
				rtpmap, fmtp, _ := strings.Cut(line, " ")
				formats = append(formats, pt)
				lines = append(lines, "a=rtpmap:"+pt+" "+rtpmap)
				if fmtp != "" {
					lines = append(lines, "a=fmtp:"+pt+" "+fmtp)
				}
			}
			o, err := parseOffer(offerOf(formats, lines...), publishing)
			if err != nil {
				t.Fatal(err)
			}
			cs, err := chooseForPublisher(o)
			var got string
			if err != nil {
				got = err.Error()
			} else {
				got = cs[0].codec.name + " " + cs[0].codec.fmtp
			}
			if !strings.Contains(got, tc.want) || (err != nil) != strings.Contains(tc.want, `"`) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestRecordableFormats: whatever bit depth and chroma format the codecs can describe,
// an offer of their profile is taken.
func TestRecordableFormats(t *testing.T) {
	for _, tc := range []struct {
		codec, format string // as ffmpeg calls it
		depth         int
		chroma        media.Chroma
	}{
		{"H264", "gray", 8, media.ChromaNone},
		{"H264", "yuv420p10le", 10, media.Chroma420},
		{"H264", "yuv422p", 8, media.Chroma422},
		{"H264", "yuv422p10le", 10, media.Chroma422},
		{"H264", "yuv444p", 8, media.Chroma444},
		{"H264", "yuv444p10le", 10, media.Chroma444},
		{"H265", "gray", 8, media.ChromaNone},
		{"H265", "yuv420p10le", 10, media.Chroma420},
		{"H265", "yuv420p12le", 12, media.Chroma420},
		{"H265", "yuv422p10le", 10, media.Chroma422},
		{"H265", "yuv444p", 8, media.Chroma444},
		{"H265", "yuv444p12le", 12, media.Chroma444},
		{"VP9", "yuv420p10le", 10, media.Chroma420},
		{"VP9", "yuv422p", 8, media.Chroma422},
		{"VP9", "yuv444p", 8, media.Chroma444},
		{"VP9", "yuv420p12le", 12, media.Chroma420},
		{"VP9", "yuv444p10le", 10, media.Chroma444},
		{"AV1", "gray", 8, media.ChromaNone},
		{"AV1", "yuv420p10le", 10, media.Chroma420},
		{"AV1", "yuv420p12le", 12, media.Chroma420},
		{"AV1", "yuv422p10le", 10, media.Chroma422},
		{"AV1", "yuv444p", 8, media.Chroma444},
	} {
		t.Run(tc.codec+" "+tc.format, func(t *testing.T) {
			t.Parallel()
			f := encoded(t, tc.codec, tc.format)
			if f.BitDepth != tc.depth || f.Chroma != tc.chroma {
				t.Fatalf("described as %+v", f)
			}
			fmtp := profileIn(f.RFC6381)
			o, err := parseOffer(offerOf([]string{"96"}, "a=rtpmap:96 "+tc.codec+"/90000", "a=fmtp:96 "+fmtp), publishing)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := chooseForPublisher(o); err != nil {
				t.Errorf("%s (%s): %v", f.RFC6381, fmtp, err)
			}
		})
	}
}

// encoded is how a codec describes a picture that ffmpeg has made in a pixel format.
func encoded(t *testing.T, name, format string) *media.Format {
	t.Helper()
	how := map[string]struct {
		encoder, file string
		packets       rtp.Payloader
	}{
		"H264": {"libx264", "h264", &codecs.H264Payloader{}},
		"H265": {"libx265", "hevc", &codecs.H265Payloader{}},
		"VP9":  {"libvpx-vp9", "ivf", &codecs.VP9Payloader{}},
		"AV1":  {"libaom-av1", "ivf", &codecs.AV1Payloader{}},
	}[name]
	data, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=1", "-frames:v", "1",
		"-c:v", how.encoder, "-pix_fmt", format, "-f", how.file, "-").Output()
	if err != nil {
		t.Fatalf("ffmpeg (install the Debian package ffmpeg if it is missing): %v", err)
	}
	src, err := load.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	row, _ := codec.Lookup(name)
	a, err := row.NewAssembler(media.Track{Kind: media.Video, Codec: name, ClockRate: row.ClockRate})
	if err != nil {
		t.Fatal(err)
	}
	u, err := a.Assemble(how.packets.Payload(1200, src.Units[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	return u.Format
}

// profileIn returns the a=fmtp parameters that a sender of a bitstream has for it.
func profileIn(rfc6381 string) string {
	entry, rest, _ := strings.Cut(rfc6381, ".")
	profile, _, _ := strings.Cut(rest, ".")
	if entry == "avc1" {
		return "packetization-mode=1;profile-level-id=" + profile
	}
	profile = cmp.Or(strings.TrimLeft(profile, "0"), "0")
	if entry == "av01" {
		return "profile=" + profile
	}
	return "profile-id=" + profile
}
