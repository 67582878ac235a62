// Package media has the nouns that every other package shares: tracks, packets, access
// units, formats, segments and recordings. It holds data and the rules about that data.
// It does no I/O, and imports only the standard library and package fault.
package media

import (
	"slices"
	"time"
)

// Kind tells video from audio.
type Kind uint8

// The kinds of media a track can carry.
const (
	Video Kind = iota + 1
	Audio
)

// String returns "video" or "audio", as in SDP and MIME types.
func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	}
	return "unknown"
}

// TrackID numbers the tracks of one publication, from 0.
type TrackID int

// Track is one media track of a publication, as it was negotiated. All but its
// Parameters stay during the publication.
type Track struct {
	ID        TrackID
	Kind      Kind
	Codec     string // encoding name in the spelling of package codec's table: "H264", "VP9", "opus"
	ClockRate uint32 // RTP clock, Hz
	Channels  uint16 // audio only; 0 for video
	Fmtp      string // negotiated a=fmtp parameters, may be empty
	MID       string // SDP a=mid of the m-line that carries the track
	RID       string // simulcast layer (RFC 8852); empty where there is one encoding only
	// Parameters are RTP payloads with the parameter sets that the sender has sent so
	// far. Somebody who joins late needs them, because the sender may send them once.
	// Shared, read only.
	Parameters [][]byte
}

// Packet is one RTP packet of a track, decrypted, in the order of arrival.
//
// Packets are shared by all subscribers of a stream: nobody writes to one after
// it has been published.
type Packet struct {
	Track     TrackID
	SSRC      uint32
	Seq       uint16
	Timestamp uint32 // RTP timestamp, Track.ClockRate ticks, wraps
	Marker    bool
	Payload   []byte    // without RTP header and padding; empty for padding and probe packets
	Arrival   time.Time // when it was read from the socket; carries a monotonic reading
}

// SenderReport is the pair of clocks in an RTCP sender report (RFC 3550 6.4.1).
type SenderReport struct {
	Track   TrackID
	SSRC    uint32
	NTP     uint64 // 32.32 fixed point seconds since 1900
	RTP     uint32 // the same instant on the track's RTP clock
	Arrival time.Time
}

// Discard counts packets that reached the process and are no part of a track.
type Discard struct {
	Cause   string `json:"cause"` // in words: "payload type 97 came, 96 was negotiated"
	Packets int64  `json:"packets"`
}

// ntpEpochOffset is the number of seconds from 1900 to 1970.
const ntpEpochOffset = 2208988800

// NTPTime converts a 32.32 fixed point NTP timestamp to a time.Time.
func NTPTime(ntp uint64) time.Time {
	sec := int64(ntp>>32) - ntpEpochOffset
	nsec := int64((ntp & 0xffffffff) * 1e9 >> 32)
	return time.Unix(sec, nsec)
}

// Later returns the later of two times.
func Later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// NTP converts t to a 32.32 fixed point NTP timestamp.
func NTP(t time.Time) uint64 {
	sec := uint64(t.Unix() + ntpEpochOffset)
	frac := (uint64(t.Nanosecond())<<32 + 5e8) / 1e9
	return sec<<32 + frac
}

// Ticks is a time or a duration in units of a track's timescale. For every
// codec here the timescale is the RTP clock rate, so that nothing is rounded.
type Ticks int64

// Duration converts t at timescale (Hz) to a time.Duration, rounded to the
// nearest nanosecond. It does not overflow below 292 years.
func (t Ticks) Duration(timescale uint32) time.Duration {
	ts := int64(timescale)
	sec, rest := int64(t)/ts, int64(t)%ts
	half := ts / 2
	if rest < 0 {
		half = -half
	}
	return time.Duration(sec)*time.Second + time.Duration((rest*int64(time.Second)+half)/ts)
}

// TicksOf converts d to ticks of timescale (Hz), rounded to the nearest tick.
func TicksOf(d time.Duration, timescale uint32) Ticks {
	ts := int64(timescale)
	sec, rest := int64(d/time.Second), int64(d%time.Second)
	half := int64(time.Second) / 2
	if rest < 0 {
		half = -half
	}
	return Ticks(sec*ts + (rest*ts+half)/int64(time.Second))
}

// Format is what a decoder must know before the first frame of a track: the
// content of an init segment. A Format is immutable.
type Format struct {
	Codec     string // row of package codec's table: "H264"
	RFC6381   string // codecs parameter: "avc1.42C01F", "vp09.00.31.08", "opus"; with profile and level
	Timescale uint32 // Hz
	Width     int    // coded pixels; 0 for audio
	Height    int
	SAR       Ratio // shape of the pixels; zero: they are square, or nothing is known
	BitDepth  int   // of a sample of a pixel; 0 for audio
	Chroma    Chroma
	Colour    Colour // what the init segment says of it
	Channels  int    // audio only
	// Private is the payload of the codec configuration box (avcC, vpcC after
	// its version and flags, dOps): the sample entry is built from it.
	Private []byte
}

// Ratio is a ratio of two numbers without a common divisor.
type Ratio struct{ Num, Den int }

// Chroma is a format of chroma samples, as chroma_format_idc (Rec. ITU-T H.264
// 6.2, H.265 6.2).
type Chroma uint8

// The formats of chroma samples.
const (
	ChromaNone Chroma = iota // monochrome; audio
	Chroma420
	Chroma422
	Chroma444
)

// Colour is how the samples are to be understood (ISO/IEC 23091-2), in an init
// segment that says so. Zero for all others.
type Colour struct {
	Primaries, Transfer, Matrix uint8
	FullRange                   bool
}

// Equal reports whether one Period may have both formats: a player goes from one to the
// other without knowing anything new. Parameter sets of video, which are a part of
// Private, may differ, because the samples carry those that decoders need (package
// codec).
func (f *Format) Equal(g *Format) bool {
	if f == nil || g == nil {
		return f == g
	}
	return f.Codec == g.Codec && f.RFC6381 == g.RFC6381 && f.Timescale == g.Timescale &&
		f.Width == g.Width && f.Height == g.Height && f.SAR == g.SAR &&
		f.BitDepth == g.BitDepth && f.Chroma == g.Chroma && f.Colour == g.Colour &&
		f.Channels == g.Channels && (f.Width > 0 || slices.Equal(f.Private, g.Private))
}

// SameInit reports whether one init segment serves both formats.
func (f *Format) SameInit(g *Format) bool {
	return f.Equal(g) && (f == g || slices.Equal(f.Private, g.Private))
}

// Frame is an access unit: everything that is decoded at one instant, as the
// bytes of one sample of the file format. A Frame is immutable once handed on.
type Frame struct {
	Track     TrackID
	Timestamp int64 // decode time: RTP timestamp, unwrapped, monotone over wraps, Format.Timescale ticks
	// Composition is the presentation time less Timestamp, in ticks; negative for
	// B-frames. What is not reordered has 0.
	Composition Ticks
	Duration    Ticks   // from the bitstream where it says so (Opus), else 0
	Key         bool    // decoding can start here (SAP type 1)
	Format      *Format // what was in force when it was sent; never nil
	Data        []byte
	// Arrival is when the packet that completed it came. If that packet was lost and
	// sent again, it counts as arrived with the first packet that overtook it.
	Arrival time.Time
}
