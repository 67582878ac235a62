package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

const (
	// opusClock is the RTP clock of Opus whatever it codes (RFC 7587 4.1), Hz.
	opusClock = 48000
	// opusPreSkip is the encoder delay that dOps declares, 48 kHz samples: what
	// libopus has. It is informative; a recorder that joins a running encoder
	// has nothing to trim.
	opusPreSkip = 312
	// opusMaxPacket is the longest packet, 120 ms (RFC 6716 3.2.5), in ticks.
	opusMaxPacket = 5760
	// opusMaxFrame is the longest compressed frame, bytes (RFC 6716 3.2.1).
	opusMaxFrame = 1275
	// dopsSize is the size of a dOps payload of channel mapping family 0
	// (Encapsulation of Opus in ISOBMFF 4.3.2); the others have a channel
	// mapping table behind it.
	dopsSize = 11
)

var errOpusFrame = errors.New("opus packet: frame lengths do not fit the packet")

// opusAssembler makes an access unit of each packet (RFC 7587 4.2).
type opusAssembler struct {
	format *media.Format
}

func newOpus(t media.Track) (Assembler, error) {
	if t.ClockRate != 0 && t.ClockRate != opusClock {
		return nil, fmt.Errorf("opus track with a clock rate of %d Hz: it must be %d (RFC 7587)", t.ClockRate, opusClock)
	}
	return &opusAssembler{format: opusFormat()}, nil
}

// opusFormat describes a stereo decoder: it plays mono packets too, and a
// sender may change between the two at any packet.
func opusFormat() *media.Format {
	return &media.Format{Codec: "opus", RFC6381: "opus", Timescale: opusClock, Channels: 2, Private: appendDops(nil, 2, 0)}
}

// appendDops appends a dOps payload up to the channel mapping table.
func appendDops(dst []byte, channels, family byte) []byte {
	dst = append(dst, 0, channels)
	dst = binary.BigEndian.AppendUint16(dst, opusPreSkip)
	dst = binary.BigEndian.AppendUint32(dst, opusClock)
	return append(dst, 0, 0, family) // no gain
}

func (a *opusAssembler) Starts([][]byte) bool { return true }

func (a *opusAssembler) Assemble(payloads [][]byte) (Unit, error) {
	if len(payloads) != 1 {
		return Unit{}, fmt.Errorf("opus: %d packets share a timestamp, a packet is a whole access unit", len(payloads))
	}
	d, err := opusDuration(payloads[0])
	if err != nil {
		return Unit{}, err
	}
	return Unit{Data: bytes.Clone(payloads[0]), Key: true, Format: a.format, Duration: d, Reorder: InOrder}, nil
}

// opusFiller returns what stands in for audio that is missing after packet: a
// packet of one frame without data, for which a decoder conceals the loss (RFC
// 6716 3.1 and 4.4), and its duration in 48 kHz ticks. The frame has packet's
// mode, bandwidth and channels so that the decoder does not switch. An empty
// packet has no filler.
func opusFiller(_ *media.Format, packet []byte) ([]byte, media.Ticks) {
	if len(packet) == 0 {
		return nil, 0
	}
	toc := packet[0] &^ 3
	return []byte{toc}, opusFrameDuration(toc)
}

// opusFrameDuration returns the duration of one frame by its configuration
// number (RFC 6716 table 2), in 48 kHz ticks.
func opusFrameDuration(toc byte) media.Ticks {
	config := toc >> 3
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [...]media.Ticks{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return [...]media.Ticks{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		return [...]media.Ticks{120, 240, 480, 960}[config&3]
	}
}

// opusDuration checks the framing of a packet (RFC 6716 3.4, R1 to R7) and
// returns its duration in 48 kHz ticks.
func opusDuration(p []byte) (media.Ticks, error) {
	_, d, err := readOpusPacket(p, false)
	return d, err
}

// readOpusPacket checks the framing of the packet that p begins with and returns
// its size in bytes and its duration in 48 kHz ticks. A packet that is not
// delimited (RFC 6716 3) ends where p does; the length of one that is (RFC 6716
// appendix B) is in it.
func readOpusPacket(p []byte, delimited bool) (size int, d media.Ticks, err error) {
	h, err := readOpusHeader(p)
	if err != nil {
		return 0, 0, err
	}
	d = opusFrameDuration(p[0]) * media.Ticks(h.frames)
	if d > opusMaxPacket {
		return 0, 0, fmt.Errorf("opus packet of %d frames is longer than 120 ms", h.frames)
	}
	size = h.size + h.padding
	alike := h.frames // frames at the end that have one length
	if h.vbr {
		alike = 1
		for range h.frames - 1 {
			n, used, ok := opusFrameLen(p, h.size)
			if !ok {
				return 0, 0, errOpusFrame
			}
			h.size += used
			size += used + n
		}
	}
	if delimited {
		n, used, ok := opusFrameLen(p, h.size)
		if size += used + n*alike; !ok || size > len(p) {
			return 0, 0, errOpusFrame
		}
		return size, d, nil
	}
	if rest := len(p) - size; rest < 0 || rest%alike != 0 || rest/alike > opusMaxFrame {
		return 0, 0, errOpusFrame
	}
	return len(p), d, nil
}

// opusHeader is what a packet has before the lengths of its frames.
type opusHeader struct {
	size    int // bytes
	frames  int
	padding int  // bytes at the packet's end
	vbr     bool // each frame has a length of its own
}

// readOpusHeader reads the TOC byte and what belongs to it (RFC 6716 3.1, 3.2).
func readOpusHeader(p []byte) (opusHeader, error) {
	h := opusHeader{size: 1, frames: 1}
	switch {
	case len(p) == 0:
		return h, errors.New("opus packet is empty")
	case p[0]&3 != 3:
		h.vbr = p[0]&3 == 2
		if p[0]&3 != 0 {
			h.frames = 2
		}
		return h, nil
	case len(p) == 1:
		return h, errOpusFrame
	}
	h.size, h.frames, h.vbr = 2, int(p[1]&0x3f), p[1]&0x80 != 0
	if h.frames == 0 {
		return h, errors.New("opus packet without a frame")
	}
	for more := p[1]&0x40 != 0; more; h.size++ {
		if h.size == len(p) {
			return h, errOpusFrame
		}
		n := int(p[h.size])
		if more = n == 255; more {
			n = 254
		}
		h.padding += n
	}
	return h, nil
}

// opusFrameLen reads a one or two byte frame length at p[at:] (RFC 6716
// 3.2.1).
func opusFrameLen(p []byte, at int) (n, used int, ok bool) {
	switch b := p[at:]; {
	case len(b) == 0:
		return 0, 0, false
	case b[0] < 252:
		return int(b[0]), 1, true
	case len(b) < 2:
		return 0, 0, false
	default:
		return int(b[0]) + 4*int(b[1]), 2, true
	}
}

// opusEntry builds the Opus sample entry (Encapsulation of Opus in ISOBMFF
// 4.3.1).
func opusEntry(f *media.Format) (mp4.Box, error) {
	p := f.Private
	if len(p) < dopsSize || p[10] == 0 && len(p) != dopsSize || p[10] != 0 && len(p) != dopsSize+2+int(p[1]) {
		return nil, fmt.Errorf("opus format: dOps of %d bytes is malformed", len(p))
	}
	dops := &mp4.DopsBox{
		Version:              p[0],
		OutputChannelCount:   p[1],
		PreSkip:              binary.BigEndian.Uint16(p[2:]),
		InputSampleRate:      binary.BigEndian.Uint32(p[4:]),
		OutputGain:           int16(binary.BigEndian.Uint16(p[8:])),
		ChannelMappingFamily: p[10],
	}
	if table := p[dopsSize:]; len(table) > 0 {
		dops.StreamCount, dops.CoupledCount, dops.ChannelMapping = table[0], table[1], table[2:]
	}
	return mp4.CreateAudioSampleEntryBox("Opus", uint16(f.Channels), 16, opusClock, dops), nil
}
