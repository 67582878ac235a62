package codec

import (
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/vp9"

	"github.com/live777/recorder/internal/media"
)

// vp9TopSize returns the size of the highest layer of a key picture: from the
// scalability structure, which a sender puts into its key frames, else from
// the frame headers. h is the header of the lowest layer's key frame.
func vp9TopSize(buf []byte, layers []vp9Layer, sizes vp9Sizes, h *vp9.Header) (vp9Size, error) {
	top := int(layers[len(layers)-1].id)
	if top < sizes.n && sizes.size[top].width > 0 && sizes.size[top].height > 0 {
		return sizes.size[top], nil
	}
	// A key frame fills all reference slots, and each layer may replace some
	// before the next refers to them.
	var slots [8]vp9Size
	size := vp9Size{h.Width, h.Height}
	for i := range slots {
		slots[i] = size
	}
	for i := 1; i < len(layers); i++ {
		var ok bool
		if size, ok = vp9LayerSize(buf[layers[i-1].end:layers[i].end], h.Profile, &slots); !ok {
			return vp9Size{}, fmt.Errorf("VP9: the frame header of spatial layer %d is broken", layers[i].id)
		}
	}
	return size, nil
}

// vp9Shape reads the shape of pixels from the size at which a key frame is to be
// shown (VP9 bitstream specification 7.2.4, render_size). h is its header.
func vp9Shape(frame []byte, h *vp9.Header) media.Ratio {
	r := bitReader{data: frame}
	r.skip(4) // frame_marker, profile
	if h.Profile == 3 {
		r.skip(1)
	}
	r.skip(4 + 24) // show_existing_frame, frame_type, show_frame, error_resilient_mode, frame_sync_code
	vp9SkipColor(&r, h.Profile)
	r.skip(32)     // frame_size
	if !r.flag() { // render_and_frame_size_different
		return media.Ratio{}
	}
	width, height := r.u(16)+1, r.u(16)+1
	if r.failed {
		return media.Ratio{}
	}
	return renderRatio(h.Width, h.Height, width, height)
}

// vp9LayerSize reads the size of a frame from its uncompressed header (VP9
// bitstream specification 6.2) and notes it in the slots that it refreshes.
func vp9LayerSize(frame []byte, profile byte, slots *[8]vp9Size) (vp9Size, bool) {
	r := bitReader{data: frame}
	r.skip(4) // frame_marker, profile
	if profile == 3 {
		r.skip(1)
	}
	if r.flag() { // show_existing_frame
		size := slots[r.u(3)]
		return size, !r.failed
	}
	if !r.flag() { // frame_type: a key frame of its own
		hdr, err := vp9.ParseFrameHeader(frame)
		if err != nil {
			return vp9Size{}, false
		}
		size := vp9Size{hdr.Width, hdr.Height}
		for i := range slots {
			slots[i] = size
		}
		return size, true
	}
	shown, resilient := r.flag(), r.flag()
	intraOnly := !shown && r.flag()
	if !resilient {
		r.skip(2) // reset_frame_context
	}
	var refresh uint32
	var size vp9Size
	if intraOnly {
		refresh, size = vp9IntraSize(&r, profile)
	} else {
		refresh, size = vp9InterSize(&r, slots)
	}
	if r.failed {
		return vp9Size{}, false
	}
	for i := range slots {
		if refresh>>i&1 != 0 {
			slots[i] = size
		}
	}
	return size, true
}

// vp9IntraSize reads the rest of an intra-only frame's header up to its size.
func vp9IntraSize(r *bitReader, profile byte) (refresh uint32, size vp9Size) {
	r.skip(24) // frame_sync_code
	if profile > 0 {
		vp9SkipColor(r, profile)
	}
	refresh = r.u(8)
	return refresh, vp9Size{r.u(16) + 1, r.u(16) + 1}
}

// vp9SkipColor passes over color_config (6.2.2).
func vp9SkipColor(r *bitReader, profile byte) {
	if profile >= 2 {
		r.skip(1) // ten_or_twelve_bit
	}
	sub := profile == 1 || profile == 3
	switch rgb := r.u(3) == vp9.CSRGB; {
	case rgb && sub:
		r.skip(1) // reserved_zero
	case !rgb && sub:
		r.skip(4) // color_range, subsampling_x, subsampling_y, reserved_zero
	case !rgb:
		r.skip(1) // color_range
	}
}

// vp9InterSize reads the rest of an inter frame's header up to its size, which
// may be that of a reference (6.2.5).
func vp9InterSize(r *bitReader, slots *[8]vp9Size) (refresh uint32, size vp9Size) {
	refresh = r.u(8)
	var refs [3]uint32
	for i := range refs {
		refs[i] = r.u(3)
		r.skip(1) // ref_frame_sign_bias
	}
	for _, ref := range refs {
		if r.flag() { // found_ref
			return refresh, slots[ref]
		}
	}
	return refresh, vp9Size{r.u(16) + 1, r.u(16) + 1}
}

// vp9Superframe returns the layer frames in buf with the index that a decoder
// needs to find them, which RTP does not carry (VP9 bitstream specification
// annex B). A layer frame that is a superframe already gives its frames.
func vp9Superframe(buf []byte, layers []vp9Layer) ([]byte, error) {
	out := make([]byte, 0, len(buf)+2+4*vp9MaxFrames)
	var sizes []int
	start := 0
	for _, l := range layers {
		frame := buf[start:l.end]
		start = l.end
		inner, index := vp9Index(frame)
		if index == 0 {
			inner = append(inner, len(frame))
		}
		sizes = append(sizes, inner...)
		out = append(out, frame[:len(frame)-index]...)
	}
	if len(sizes) > vp9MaxFrames {
		return nil, fmt.Errorf("VP9: picture of %d frames, a superframe holds %d", len(sizes), vp9MaxFrames)
	}
	return vp9AppendIndex(out, sizes)
}

// vp9AppendIndex appends the superframe index for frames of the given sizes.
func vp9AppendIndex(out []byte, sizes []int) ([]byte, error) {
	mag := 1
	for _, s := range sizes {
		for ; s>>(8*mag) != 0; mag++ {
			if mag == 4 {
				return nil, errors.New("VP9: frame of more than 4 GiB")
			}
		}
	}
	marker := byte(0xc0 | (mag-1)<<3 | (len(sizes) - 1))
	out = append(out, marker)
	for _, s := range sizes {
		for i := range mag {
			out = append(out, byte(s>>(8*i)))
		}
	}
	return append(out, marker), nil
}

// vp9Index parses the superframe index at the end of data: the sizes of the
// frames and the length of the index, which is 0 where there is none.
func vp9Index(data []byte) (sizes []int, length int) {
	if len(data) == 0 {
		return nil, 0
	}
	marker := data[len(data)-1]
	mag, frames := int(marker>>3&3)+1, int(marker&7)+1
	length = 2 + mag*frames
	if marker&0xe0 != 0xc0 || len(data) < length || data[len(data)-length] != marker {
		return nil, 0
	}
	p := data[len(data)-length+1:]
	sum := 0
	for range frames {
		s := 0
		for i := range mag {
			s |= int(p[i]) << (8 * i)
		}
		p = p[mag:]
		sizes = append(sizes, s)
		sum += s
	}
	if sum != len(data)-length { // it only looked like an index
		return nil, 0
	}
	return sizes, length
}
