// Package codec has one file and one table row for each codec: how its packets
// become access units, which of them start a decoder, and how it is named and
// described in a file. What all codecs share (waiting for key frames, loss,
// time, muxing) is not here.
package codec

import (
	"strings"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

// Container is a file format for segments.
type Container uint8

// The containers.
const (
	MP4  Container = iota // fragmented MP4, CMAF (ISO/IEC 23000-19)
	WebM                  // Matroska (RFC 9559), for what players do not take in MP4
)

// Codec is a row of the table.
type Codec struct {
	Name      string // encoding name as in a=rtpmap, in the spelling used everywhere here
	Kind      media.Kind
	ClockRate uint32 // RTP clock, Hz; also the timescale in files
	Channels  uint16 // as in a=rtpmap; 0 for video, and where Check decides

	// Fmtp lists the a=fmtp variants to negotiate, best first; at least one
	// entry, which may be "". Empty where there is a Check.
	Fmtp []string

	// Rare lists further variants, of profiles that can be recorded, but that few
	// players decode: they are taken where a sender offers nothing else.
	Rare []string

	// Check tells what is wrong with the channels in a=rtpmap and the a=fmtp
	// parameters of a codec for which they describe the stream itself, so that
	// an answer repeats those of the offer. Nil for all others.
	Check func(channels uint16, fmtp string) error

	// NewAssembler returns an assembler for one track. It is nil for a codec
	// that the node carries to viewers but that cannot be recorded; Why then
	// says so to the user.
	NewAssembler func(media.Track) (Assembler, error)
	Why          string

	// Filler makes a packet that stands for audio of format f that was lost or
	// never sent next to the packet like, and its duration. Nil for video, and for audio
	// that has no such packet.
	Filler func(f *media.Format, like []byte) (data []byte, duration media.Ticks)

	// neutral has the payloads of the packets of Neutral; nil for what cannot be
	// recorded.
	neutral func(media.Track) ([][]byte, error)

	// Container is what the segments of the codec's tracks are.
	Container Container

	// SampleEntry builds the sample entry (ISO/IEC 14496-12 8.5.2) for f. It is
	// nil for a codec whose Container is not MP4.
	SampleEntry func(f *media.Format) (mp4.Box, error)
}

// Recordable reports whether tracks of the codec can be recorded.
func (c *Codec) Recordable() bool { return c.NewAssembler != nil }

// Unit is what an Assembler makes of the packets of one access unit.
type Unit struct {
	Data     []byte        // sample bytes; the caller owns them. Empty: nothing to store (parameter sets alone)
	Key      bool          // SAP type 1: decoding can start here
	Format   *media.Format // in force for this unit; the same pointer as long as it does not change; nil before the first key frame
	Duration media.Ticks   // where the bitstream says it (Opus), else 0
	// Reorder is how many units may come before one that is shown before them, at
	// most; 0 where the bitstream does not say it, InOrder where there are none.
	Reorder int
	// Order is the place of a picture among those that are shown since the last Key,
	// where the bitstream tells it (Ordered). Bidirectional says that it is predicted
	// from two others, of which one may be shown later.
	Order         int64
	Ordered       bool
	Bidirectional bool
}

// InOrder is the Reorder of a unit whose bitstream cannot reorder.
const InOrder = -1

// Assembler turns the RTP payloads of one track into access units. It keeps
// parameter sets, and nothing of a unit that failed. Not safe for concurrent
// use. No input may make it panic or allocate beyond a small multiple of the
// input.
type Assembler interface {
	// Starts reports whether payloads, in sequence order and without a gap, have
	// the beginning of an access unit, as Assemble gets them. It is used after a
	// loss only, to tell whether it is missing; an assembler that cannot tell returns
	// false.
	Starts(payloads [][]byte) bool

	// Assemble makes an access unit of payloads: all that have one RTP
	// timestamp, in sequence order without a gap, none empty. For audio it is
	// called with one payload. The error says what is malformed; the unit is
	// then lost.
	Assemble(payloads [][]byte) (Unit, error)
}

// Lookup returns the row with the given encoding name; case does not matter
// (RFC 8866 6.6).
func Lookup(name string) (*Codec, bool) {
	for _, c := range table {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
	}
	return nil, false
}

// All returns the table, in the order of preference for answers: what can be
// recorded first, VP8 last of the video codecs, for fewer players take WebM. The rows are shared: read only.
func All() []*Codec { return table }
