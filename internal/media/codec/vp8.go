package codec

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/live777/recorder/internal/media"
)

const (
	vp8TagSize       = 3  // frame tag (RFC 6386 9.1)
	vp8KeyHeaderSize = 10 // the tag, the start code and the size of a key frame
	vp8StartCode     = 0x9d012a
	vp8SizeMask      = 0x3fff // the two bits above are a scaling that decoders leave to the display
)

// vp8Assembler makes samples of RFC 7741 packets: the payloads of one
// timestamp, one after the other, are the frame with all its partitions.
type vp8Assembler struct {
	format *media.Format
}

func newVP8(media.Track) (Assembler, error) { return &vp8Assembler{}, nil }

// Starts reports whether the first payload begins a frame.
func (a *vp8Assembler) Starts(payloads [][]byte) bool {
	d, _, err := parseVP8Descriptor(payloads[0])
	return err == nil && d.begins()
}

// Assemble implements Assembler.
func (a *vp8Assembler) Assemble(payloads [][]byte) (Unit, error) {
	size := 0
	for _, p := range payloads {
		size += len(p)
	}
	frame := make([]byte, 0, size)
	for i, p := range payloads {
		d, n, err := parseVP8Descriptor(p)
		switch {
		case err != nil:
			return Unit{}, err
		case i == 0 && !d.begins():
			return Unit{}, errors.New("VP8: the start of a frame is missing")
		case i > 0 && d.begins():
			return Unit{}, errors.New("VP8: a frame starts before the last one ended")
		}
		frame = append(frame, p[n:]...)
	}
	h, err := parseVP8Header(frame)
	if err != nil {
		return Unit{}, err
	}
	if h.key && (a.format == nil || a.format.Width != h.width || a.format.Height != h.height) {
		a.format = &media.Format{Codec: "VP8", RFC6381: "vp8", Timescale: videoClock, Width: h.width, Height: h.height}
	}
	return Unit{Data: frame, Key: h.key, Format: a.format, Reorder: InOrder}, nil
}

// vp8Descriptor is what is needed of a VP8 payload descriptor (RFC 7741 4.2).
type vp8Descriptor struct {
	start     bool  // S: the payload begins a partition
	partition uint8 // PID
}

// begins reports whether the packet is the first of its frame.
func (d vp8Descriptor) begins() bool { return d.start && d.partition == 0 }

// parseVP8Descriptor reads the descriptor at the start of p and returns its
// length. At least one byte of the frame must follow it.
func parseVP8Descriptor(p []byte) (d vp8Descriptor, n int, err error) {
	if len(p) < 2 {
		return d, 0, errVP8Descriptor
	}
	d.start, d.partition = p[0]&0x10 != 0, p[0]&0x07
	n = 1
	if p[0]&0x80 != 0 { // X: an octet with I, L, T and K
		x := p[1]
		n++
		if x&0x80 != 0 { // I: a picture ID of 7 bits, or of 15 with the top bit set
			if n < len(p) && p[n]&0x80 != 0 {
				n++
			}
			n++
		}
		if x&0x40 != 0 { // L: TL0PICIDX
			n++
		}
		if x&0x30 != 0 { // T or K: TID, Y and KEYIDX share an octet
			n++
		}
	}
	if n >= len(p) {
		return d, 0, errVP8Descriptor
	}
	return d, n, nil
}

var errVP8Descriptor = errors.New("VP8: the payload descriptor is cut short")

// vp8Header is what is needed of a frame header (RFC 6386 9.1).
type vp8Header struct {
	key           bool
	width, height int // of a key frame
}

// parseVP8Header reads the header of a frame and checks what a decoder refuses
// outright.
func parseVP8Header(frame []byte) (h vp8Header, err error) {
	if len(frame) < vp8TagSize {
		return h, errors.New("VP8: the frame tag is cut short")
	}
	tag := uint32(frame[0]) | uint32(frame[1])<<8 | uint32(frame[2])<<16
	h.key = tag&1 == 0
	head := vp8TagSize
	if h.key {
		head = vp8KeyHeaderSize
	}
	if first := int(tag >> 5); len(frame) < head || first > len(frame)-head {
		return h, fmt.Errorf("VP8: a frame of %d bytes is shorter than its first partition", len(frame))
	}
	if !h.key {
		return h, nil
	}
	if binary.BigEndian.Uint32(frame[2:])&0xffffff != vp8StartCode {
		return h, errors.New("VP8: a key frame has no start code")
	}
	h.width = int(binary.LittleEndian.Uint16(frame[6:])) & vp8SizeMask
	h.height = int(binary.LittleEndian.Uint16(frame[8:])) & vp8SizeMask
	if h.width == 0 || h.height == 0 {
		return h, fmt.Errorf("VP8: a key frame of %dx%d pixels", h.width, h.height)
	}
	return h, nil
}
