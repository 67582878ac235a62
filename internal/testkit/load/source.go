// Package load publishes media files over WHIP, packet by packet and with
// faults on demand, and keeps an exact log of what it sent: the sender that
// tests and measurements compare a recording with.
package load

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/live777/recorder/internal/media"
)

// AccessUnit is one access unit of a file: a picture or an audio packet. It is
// shared by all publishers of its Source and must not be changed.
type AccessUnit struct {
	// Data is what the packetizer gets: H264 and H265 as an Annex B byte stream
	// with everything the file has, AV1 a temporal unit, VP8 and VP9 a frame,
	// Opus a packet.
	Data []byte
	// Sample is what a recording of the unit has to hold, byte by byte: H264 and
	// H265 as NAL units with four-byte lengths and without access unit delimiters,
	// filler, end marks and parameter sets (ISO/IEC 14496-15 5.3.2, 8.3.2), AV1
	// without temporal delimiters, padding, tile lists and redundant frame headers
	// (AV1 Codec ISO Media File Format Binding 2.4), all others as Data.
	Sample   []byte
	SHA256   [sha256.Size]byte // of Sample
	Key      bool              // decoding can start here
	Duration media.Ticks       // in units of Source.ClockRate, always positive
	// Composition is by how much later the unit is shown than its place among those
	// that are sent says, where pictures are reordered; below 0 for B-frames.
	Composition media.Ticks
}

// Source is a media file in memory. It is immutable and may be used by any
// number of publishers at once.
type Source struct {
	Kind      media.Kind
	Codec     string // encoding name: "H264", "H265", "VP9", "AV1", "VP8", "opus", "multiopus"
	ClockRate uint32 // RTP clock, Hz
	Channels  uint16 // as in a=rtpmap; 0 for video
	Fmtp      string // a=fmtp parameters of "multiopus"; empty where they do not depend on the file
	Units     []AccessUnit
	// ParameterSets are the H264 SPS and PPS, the H265 VPS, SPS and PPS, and the
	// AV1 sequence header OBUs, in the order of the file and each once; nil for
	// other codecs.
	ParameterSets [][]byte
}

// Open reads the media file at path: an H264 or H265 Annex B byte stream, an
// IVF file with VP8, VP9 or AV1, or an Ogg file with Opus, which has up to 255 channels. The content decides,
// not the name.
func Open(path string) (*Source, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open media file: %w", err)
	}
	s, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("parse media file %s: %w", path, err)
	}
	return s, nil
}

// Parse reads a media file from memory, see Open. It keeps references to data.
func Parse(data []byte) (*Source, error) {
	var (
		s   *Source
		err error
	)
	switch {
	case bytes.HasPrefix(data, []byte("DKIF")):
		s, err = parseIVF(data)
	case bytes.HasPrefix(data, []byte("OggS")):
		s, err = parseOgg(data)
	case bytes.HasPrefix(data, []byte{0, 0, 1}), bytes.HasPrefix(data, []byte{0, 0, 0, 1}):
		if isH265(data) {
			s, err = parseH265(data)
		} else {
			s, err = parseH264(data)
		}
	default:
		return nil, errors.New("neither an H264 or H265 byte stream nor an IVF or Ogg file")
	}
	if err != nil {
		return nil, err
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	return s, nil
}

// finish drops what comes before the first key frame, so that every loop starts
// with one, and computes the digests.
func (s *Source) finish() error {
	first := 0
	for first < len(s.Units) && !s.Units[first].Key {
		first++
	}
	s.Units = s.Units[first:]
	if len(s.Units) == 0 {
		return errors.New("no key frame in the file")
	}
	for i := range s.Units {
		u := &s.Units[i]
		if u.Duration <= 0 {
			return fmt.Errorf("access unit %d lasts %d ticks: timestamps must rise", first+i, u.Duration)
		}
		u.SHA256 = sha256.Sum256(u.Sample)
	}
	return nil
}

// Duration returns the length of one loop in ticks of ClockRate.
func (s *Source) Duration() media.Ticks {
	var d media.Ticks
	for i := range s.Units {
		d += s.Units[i].Duration
	}
	return d
}

// Head returns the beginning of s up to the first key frame at or after d: one
// loop of it lasts d or little more. All of s if it is shorter.
func (s *Source) Head(d time.Duration) *Source {
	head := *s
	var end media.Ticks
	for i := range s.Units {
		if s.Units[i].Key && end >= media.TicksOf(d, s.ClockRate) {
			head.Units = s.Units[:i:i]
			break
		}
		end += s.Units[i].Duration
	}
	return &head
}

// Join returns a Source that plays parts one after the other, as an encoder
// does that changes its resolution. They must be of one codec.
func Join(parts ...*Source) (*Source, error) {
	if len(parts) == 0 {
		return nil, errors.New("no media to join")
	}
	joined := *parts[0]
	joined.Units, joined.ParameterSets = nil, nil
	for _, p := range parts {
		if p.Codec != joined.Codec || p.ClockRate != joined.ClockRate || p.Channels != joined.Channels || p.Fmtp != joined.Fmtp {
			return nil, fmt.Errorf("cannot join %s to %s", p.Codec, joined.Codec)
		}
		joined.Units = append(joined.Units, p.Units...)
		for _, set := range p.ParameterSets {
			joined.addParameterSet(set)
		}
	}
	return &joined, nil
}

// cursor walks over a Source in an endless loop.
type cursor struct {
	src  *Source
	next int
}

// unit returns the access unit under the cursor.
func (c *cursor) unit() *AccessUnit { return &c.src.Units[c.next] }

// advance moves to the next unit; after the last comes the first, a key frame.
func (c *cursor) advance() { c.next = (c.next + 1) % len(c.src.Units) }

// seekKey moves forward to a key frame, and not at all when it is at one. It
// ends, for the first unit of a Source is one.
func (c *cursor) seekKey() {
	for !c.unit().Key {
		c.advance()
	}
}
