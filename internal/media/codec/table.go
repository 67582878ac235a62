package codec

import "github.com/live777/recorder/internal/media"

// videoClock is the RTP clock rate of every video codec here (RFC 6184 8.2.1,
// RFC 7741 6.1, RFC 7798 7.1, RFC 9628 7.1), Hz.
const videoClock = 90000

// table has the codecs in order of preference: what can be recorded first,
// VP8 last of the video codecs because players do not accept it in fragmented
// MP4, and fewer of them take WebM.
var table = []*Codec{
	{
		Name: "H264", Kind: media.Video, ClockRate: videoClock,
		// Single NAL unit mode stands behind non-interleaved mode, which every
		// browser offers and which does not need slices that fit a packet.
		Fmtp: []string{
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f",
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
			"level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
			"level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f",
			"level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=4d001f",
			"level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=640c1f",
			"level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=64001f",
		},
		// High 10, High 4:2:2, High 4:4:4 Predictive and CAVLC 4:4:4 Intra: 10 bits, and
		// more colour.
		// Chromium plays them, Firefox does not.
		Rare: []string{
			"packetization-mode=1;profile-level-id=6e001f", "packetization-mode=0;profile-level-id=6e001f",
			"packetization-mode=1;profile-level-id=7a001f", "packetization-mode=0;profile-level-id=7a001f",
			"packetization-mode=1;profile-level-id=f4001f", "packetization-mode=0;profile-level-id=f4001f",
			"packetization-mode=1;profile-level-id=2c001f", "packetization-mode=0;profile-level-id=2c001f",
		},
		NewAssembler: newH264,
		neutral:      neutralNALs(neutralH264),
		SampleEntry:  avc1Entry,
	},
	{
		Name: "VP9", Kind: media.Video, ClockRate: videoClock,
		Fmtp:         []string{"profile-id=0", "profile-id=2"},
		Rare:         []string{"profile-id=1", "profile-id=3"}, // 4:2:2 and 4:4:4
		NewAssembler: newVP9,
		neutral:      neutralFrame(0x0c, neutralVP9), // a layer frame begins and ends
		SampleEntry:  vp09Entry,
	},
	{
		Name: "AV1", Kind: media.Video, ClockRate: videoClock,
		Fmtp:         []string{"level-idx=5;profile=0;tier=0"},
		Rare:         []string{"profile=1", "profile=2"}, // 4:4:4, and 4:2:2 or 12 bits
		NewAssembler: newAV1,
		neutral:      neutralOBUs(neutralAV1),
		SampleEntry:  av01Entry,
	},
	{
		Name: "H265", Kind: media.Video, ClockRate: videoClock,
		Fmtp:         []string{"level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST", "profile-id=2"}, // Main, Main 10
		Rare:         []string{"profile-id=3", "profile-id=4"},                                      // a still picture, range extensions: 4:2:2 and 4:4:4
		NewAssembler: newH265,
		neutral:      neutralNALs(neutralH265),
		SampleEntry:  hvc1Entry,
	},
	{
		Name: "VP8", Kind: media.Video, ClockRate: videoClock,
		Fmtp:         []string{""},
		NewAssembler: newVP8,
		neutral:      neutralFrame(0x10, neutralVP8), // a partition begins
		Container:    WebM,
	},
	{
		Name: "opus", Kind: media.Audio, ClockRate: opusClock, Channels: 2,
		// stereo=1: a browser sends two channels only to a receiver that says
		// it prefers them (RFC 7587 6.1).
		Fmtp:         []string{"minptime=10;stereo=1;useinbandfec=1"},
		NewAssembler: newOpus,
		neutral:      neutralOpus,
		Filler:       opusFiller,
		SampleEntry:  opusEntry,
	},
	{
		// Surround sound as browsers send it.
		Name: "multiopus", Kind: media.Audio, ClockRate: opusClock,
		Check:        checkMultiopus,
		NewAssembler: newMultiopus,
		neutral:      neutralMultiopus,
		Filler:       multiopusFiller,
		SampleEntry:  opusEntry,
	},
	{
		Name: "G722", Kind: media.Audio, ClockRate: 8000, Channels: 1,
		Fmtp: []string{""},
		Why:  "G722 has no place in fragmented MP4 that players support; publish Opus instead",
	},
	{
		Name: "PCMU", Kind: media.Audio, ClockRate: 8000, Channels: 1,
		Fmtp: []string{""},
		Why:  "PCMU has no place in fragmented MP4 that players support; publish Opus instead",
	},
	{
		Name: "PCMA", Kind: media.Audio, ClockRate: 8000, Channels: 1,
		Fmtp: []string{""},
		Why:  "PCMA has no place in fragmented MP4 that players support; publish Opus instead",
	},
}
