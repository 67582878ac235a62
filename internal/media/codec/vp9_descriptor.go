package codec

import (
	"encoding/binary"
	"errors"
)

// vp9MaxLayers is the number of spatial layers that a descriptor can name.
const vp9MaxLayers = 8

// vp9Size is a picture size in pixels.
type vp9Size struct{ width, height uint32 }

// vp9Sizes has the sizes of n spatial layers.
type vp9Sizes struct {
	n    int
	size [vp9MaxLayers]vp9Size
}

// vp9Descriptor is what is needed of a VP9 payload descriptor (RFC 9628 4.2).
type vp9Descriptor struct {
	begin, end bool  // of a layer frame
	layer      uint8 // spatial
	sizes      vp9Sizes
}

var errVP9Descriptor = errors.New("VP9: the payload descriptor is cut short")

// parse reads the descriptor at the start of p and returns its length. At
// least one byte of the frame must follow it.
func (d *vp9Descriptor) parse(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, errVP9Descriptor
	}
	b := p[0]
	hasPID, predicted, hasLayer, flexible := b&0x80 != 0, b&0x40 != 0, b&0x20 != 0, b&0x10 != 0
	d.begin, d.end = b&0x08 != 0, b&0x04 != 0
	n := 1
	if hasPID { // 7 bits, or 15 with the top bit set
		if n < len(p) && p[n]&0x80 != 0 {
			n++
		}
		n++
	}
	if hasLayer {
		if n >= len(p) {
			return 0, errVP9Descriptor
		}
		d.layer = p[n] >> 1 & 7
		n++
		if !flexible {
			n++ // TL0PICIDX
		}
	}
	if flexible && predicted {
		more := true
		for refs := 0; more; refs++ {
			if n >= len(p) || refs == 3 {
				return 0, errors.New("VP9: the payload descriptor has a broken reference list")
			}
			more = p[n]&1 != 0
			n++
		}
	}
	if b&0x02 != 0 {
		used, ok := d.sizes.parse(p[min(n, len(p)):])
		if !ok {
			return 0, errVP9Descriptor
		}
		n += used
	}
	if n >= len(p) {
		return 0, errVP9Descriptor
	}
	return n, nil
}

// parse reads a scalability structure (RFC 9628 4.2.1) and returns its length.
func (s *vp9Sizes) parse(p []byte) (int, bool) {
	if len(p) == 0 {
		return 0, false
	}
	layers, hasSizes, hasGroup := int(p[0]>>5)+1, p[0]&0x10 != 0, p[0]&0x08 != 0
	n := 1
	if hasSizes {
		if len(p) < n+4*layers {
			return 0, false
		}
		for i := range layers {
			s.size[i].width = uint32(binary.BigEndian.Uint16(p[n:]))
			s.size[i].height = uint32(binary.BigEndian.Uint16(p[n+2:]))
			n += 4
		}
		s.n = layers
	}
	if !hasGroup {
		return n, true
	}
	if n >= len(p) {
		return 0, false
	}
	pictures := int(p[n])
	n++
	for range pictures {
		if n >= len(p) {
			return 0, false
		}
		n += 1 + int(p[n]>>2&3) // its references
	}
	return n, n <= len(p)
}
