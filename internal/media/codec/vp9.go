package codec

import (
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/Eyevinn/mp4ff/vp9"

	"github.com/live777/recorder/internal/media"
)

const (
	// vp9MaxFrames is what a superframe can hold (VP9 bitstream specification
	// annex B).
	vp9MaxFrames = 8
	// vp9MinRate is the frame rate that levels are computed for at least: a
	// WebRTC sender may go up to it at any time without a new key frame.
	vp9MinRate = 30
	// vpccSize is the size of a vpcC payload without version, flags and codec
	// initialization data.
	vpccSize = 8
)

// vp9Assembler makes samples of RFC 9628 packets: all spatial layers of one
// picture are one sample.
type vp9Assembler struct {
	format *media.Format
	slots  [8]vp9Size // sizes of the reference frames

	// Of the unit being assembled:
	buf    []byte     // the layer frames, one after the other
	layers []vp9Layer // where they end
}

// vp9Layer is the frame of one spatial layer; it begins where the one before
// it ends.
type vp9Layer struct {
	id  uint8
	end int // in the buffer

	newEnd int // while another buffer is made
}

func newVP9(media.Track) (Assembler, error) { return &vp9Assembler{}, nil }

// Starts reports whether the first payload begins the frame of the lowest
// spatial layer.
func (a *vp9Assembler) Starts(payloads [][]byte) bool {
	var d vp9Descriptor
	_, err := d.parse(payloads[0])
	return err == nil && d.begin && d.layer == 0
}

// Assemble implements Assembler.
func (a *vp9Assembler) Assemble(payloads [][]byte) (Unit, error) {
	sizes, err := a.collect(payloads)
	if err != nil {
		return Unit{}, err
	}
	key, err := vp9IsKey(a.buf)
	if err != nil {
		return Unit{}, err
	}
	key = key && a.layers[0].id == 0
	if key {
		f, err := vp9Format(a.buf, a.layers, sizes)
		if err != nil {
			return Unit{}, err
		}
		if !f.Equal(a.format) {
			a.format = f
		}
	}
	a.follow()
	u := Unit{Data: a.buf, Key: key, Format: a.format, Reorder: InOrder}
	if len(a.layers) > 1 {
		u.Data, err = vp9Superframe(a.buf, a.layers)
		return u, err
	}
	a.buf = nil // the caller owns it now
	return u, nil
}

// follow notes the sizes of the layers' frames and hides all but the last, so that a
// decoder shows one of them. Frames of one size stay as they are: those that follow a
// shown one of their size are coded otherwise.
func (a *vp9Assembler) follow() {
	profile := a.buf[0]>>5&1 | a.buf[0]>>3&2
	var out []byte
	start := 0
	for i := range a.layers {
		l := &a.layers[i]
		frame := a.buf[start:l.end]
		start = l.end
		size, ok := vp9LayerSize(frame, profile, &a.slots)
		if len(a.layers) > 1 {
			if _, inner := vp9Index(frame); ok && inner == 0 && i < len(a.layers)-1 && a.differs(i+1, start, profile, size) {
				if hidden, ok := vp9Hide(frame, size.width); ok {
					frame = hidden
				}
			}
			out = append(out, frame...)
			l.newEnd = len(out)
		}
	}
	if out == nil {
		return
	}
	a.buf = out
	for i := range a.layers {
		a.layers[i].end = a.layers[i].newEnd
	}
}

// differs reports whether layer i, which begins at start, has another size.
func (a *vp9Assembler) differs(i, start int, profile byte, size vp9Size) bool {
	slots := a.slots // the frame is looked at again, when its turn comes
	next, ok := vp9LayerSize(a.buf[start:a.layers[i].end], profile, &slots)
	return ok && next != size
}

// collect strips the descriptors and checks that each layer frame is whole. It
// returns the sizes of the layers where the sender says them.
func (a *vp9Assembler) collect(payloads [][]byte) (sizes vp9Sizes, err error) {
	total := 0
	for _, p := range payloads {
		total += len(p)
	}
	if cap(a.buf) < total {
		a.buf = make([]byte, 0, total)
	}
	a.buf, a.layers = a.buf[:0], a.layers[:0]
	open := false
	for _, p := range payloads {
		var d vp9Descriptor
		n, err := d.parse(p)
		switch {
		case err != nil:
			return sizes, err
		case d.begin && open:
			return sizes, errors.New("VP9: a layer frame starts before the last one ended")
		case !d.begin && !open:
			return sizes, errors.New("VP9: the start of a layer frame is missing")
		case d.begin && len(a.layers) == vp9MaxFrames:
			return sizes, fmt.Errorf("VP9: picture of more than %d layer frames", vp9MaxFrames)
		case d.begin:
			a.layers = append(a.layers, vp9Layer{id: d.layer})
		case d.layer != a.layers[len(a.layers)-1].id:
			return sizes, errors.New("VP9: the spatial layer changes within a layer frame")
		}
		if d.sizes.n > 0 {
			sizes = d.sizes
		}
		a.buf = append(a.buf, p[n:]...)
		a.layers[len(a.layers)-1].end = len(a.buf)
		open = !d.end
	}
	if open || len(a.layers) == 0 {
		return sizes, errors.New("VP9: the end of a layer frame is missing")
	}
	return sizes, nil
}

// vp9IsKey reports whether frame starts with a key frame. The bitstream
// decides, not the descriptor's P bit: there are packetizers that never set it.
func vp9IsKey(frame []byte) (bool, error) {
	r := bitReader{data: frame}
	marker, profile := r.u(2), r.u(1)|r.u(1)<<1
	if profile == 3 {
		r.skip(1) // reserved_zero
	}
	showExisting, interFrame := r.flag(), r.flag()
	if r.failed || marker != 2 {
		return false, errors.New("VP9: not a VP9 frame")
	}
	return !showExisting && !interFrame, nil
}

// vp9Format builds the format of a key picture: all but the size from its
// lowest layer.
func vp9Format(buf []byte, layers []vp9Layer, sizes vp9Sizes) (*media.Format, error) {
	h, err := vp9.ParseFrameHeader(buf[:layers[0].end])
	if err != nil {
		return nil, fmt.Errorf("VP9: key frame: %w", err)
	}
	size := vp9Size{h.Width, h.Height}
	if len(layers) > 1 {
		if size, err = vp9TopSize(buf, layers, sizes, h); err != nil {
			return nil, err
		}
	}
	if size.width > maxDimension || size.height > maxDimension {
		return nil, fmt.Errorf("VP9: a picture of %dx%d does not fit a sample entry", size.width, size.height)
	}
	level := vp9.Level(size.width, size.height, vp9MinRate)
	primaries, transfer, matrix := h.CICP()
	fullRange := byte(0)
	if h.ColorRange {
		fullRange = 1
	}
	return &media.Format{
		Codec:     "VP9",
		RFC6381:   fmt.Sprintf("vp09.%02d.%02d.%02d", h.Profile, level, h.BitDepth),
		Timescale: videoClock,
		Width:     int(size.width),
		Height:    int(size.height),
		SAR:       vp9Shape(buf[:layers[0].end], h),
		BitDepth:  int(h.BitDepth),
		Chroma:    chromaOf(h.SubsamplingX, h.SubsamplingY, false),
		Colour:    media.Colour{Primaries: primaries, Transfer: transfer, Matrix: matrix, FullRange: h.ColorRange},
		Private: []byte{
			h.Profile, level,
			h.BitDepth<<4 | h.VpcCChromaSubsampling()<<1 | fullRange,
			primaries, transfer, matrix,
			0, 0, // no codec initialization data
		},
	}, nil
}

// vp09Entry builds the vp09 sample entry (VP Codec ISO Media File Format
// Binding 1.0).
func vp09Entry(f *media.Format) (mp4.Box, error) {
	p := f.Private
	if len(p) != vpccSize {
		return nil, fmt.Errorf("VP9 format: vpcC of %d bytes, want %d", len(p), vpccSize)
	}
	return visualEntry("vp09", f, &mp4.VppCBox{
		Version:                 1,
		Profile:                 p[0],
		Level:                   p[1],
		BitDepth:                p[2] >> 4,
		ChromaSubsampling:       p[2] >> 1 & 7,
		VideoFullRangeFlag:      p[2] & 1,
		ColourPrimaries:         p[3],
		TransferCharacteristics: p[4],
		MatrixCoefficients:      p[5],
	}), nil
}
