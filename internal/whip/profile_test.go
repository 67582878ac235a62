package whip

import (
	"strconv"
	"strings"
	"testing"
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
