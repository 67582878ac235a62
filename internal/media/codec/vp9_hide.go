package codec

// vp9Hide returns a frame that is not shown and else the same, and whether there is
// one: frame must be an inter frame or a key frame that is shown. width is that of
// the frame.
//
// Senders of spatial layers mark the frame of each layer as shown, and leave it to
// the receiver to show one. A superframe has one shown frame (VP9 bitstream
// specification annex B); decoders other than libvpx show each that is marked.
func vp9Hide(frame []byte, width uint32) ([]byte, bool) {
	r := bitReader{data: frame}
	marker, profile := r.u(2), byte(r.u(1)|r.u(1)<<1)
	if profile == 3 {
		r.skip(1)
	}
	existing, inter, at := r.flag(), r.flag(), r.pos
	shown, resilient := r.flag(), r.flag()
	if r.failed || marker != 2 || existing || !shown {
		return nil, false
	}
	if !inter { // the flag changes nothing else in the header of a key frame
		out := append([]byte(nil), frame...)
		out[at>>3] &^= 0x80 >> (at & 7)
		return out, true
	}
	room := r.pos // for intra_only, which frames that are shown do not have
	if !resilient {
		r.skip(2) // reset_frame_context
	}
	vp9SkipInter(&r, resilient)
	vp9SkipTools(&r, width)
	r.skip(16) // header_size_in_bytes
	if r.pos > len(frame)*8 || r.failed {
		return nil, false
	}
	header, rest := frame[:(r.pos+7)/8], frame[(r.pos+7)/8:]
	out := make([]byte, (r.pos+1+7)/8, len(frame)+1)
	for i := range r.pos {
		bit := header[i>>3] >> (7 - i&7) & 1
		if i == at {
			bit = 0
		}
		to := i
		if i >= room {
			to++
		}
		out[to>>3] |= bit << (7 - to&7)
	}
	return append(out, rest...), true
}

// vp9SkipInter passes over the header of an inter frame, from refresh_frame_flags to
// frame_context_idx (6.2).
func vp9SkipInter(r *bitReader, resilient bool) {
	r.skip(8 + 3*4) // refresh_frame_flags, references
	found := false
	for i := 0; i < 3 && !found; i++ {
		found = r.flag()
	}
	if !found {
		r.skip(32) // frame_size
	}
	if r.flag() { // render_and_frame_size_different
		r.skip(32)
	}
	r.skip(1)      // allow_high_precision_mv
	if !r.flag() { // is_filter_switchable
		r.skip(2)
	}
	if !resilient {
		r.skip(2) // refresh_frame_context, frame_parallel_decoding_mode
	}
	r.skip(2) // frame_context_idx
}

// vp9SkipTools passes over the parameters of the loop filter, the quantizer, the
// segments and the tiles (6.2.8 to 6.2.14).
func vp9SkipTools(r *bitReader, width uint32) {
	r.skip(6 + 3)     // loop_filter_level, loop_filter_sharpness
	delta := r.flag() // loop_filter_delta_enabled
	if delta {
		delta = r.flag() // loop_filter_delta_update
	}
	if delta {
		for range 4 + 2 {
			skipIf(r, 7)
		}
	}
	r.skip(8) // base_q_idx
	for range 3 {
		skipIf(r, 5)
	}
	if r.flag() { // segmentation_enabled
		vp9SkipSegments(r)
	}
	blocks := (width + 63) / 64 // superblocks in a row
	least, most := 0, 1
	for 64<<least < blocks {
		least++
	}
	for blocks>>most >= 4 {
		most++
	}
	for n := least; n < most-1 && r.flag(); n++ {
	}
	if r.flag() { // tile_rows_log2
		r.skip(1)
	}
}

// vp9SkipSegments passes over the rest of segmentation_params (6.2.11).
func vp9SkipSegments(r *bitReader) {
	if r.flag() { // segmentation_update_map
		for range 7 {
			skipIf(r, 8)
		}
		temporal := r.flag()
		for range 3 {
			if temporal {
				skipIf(r, 8)
			}
		}
	}
	if !r.flag() { // segmentation_update_data
		return
	}
	r.skip(1) // segmentation_abs_or_delta_update
	for range 8 {
		for _, bits := range [4]int{8 + 1, 6 + 1, 2, 0} { // values, with the sign
			skipIf(r, bits)
		}
	}
}

// skipIf passes over a flag and, if it is set, over n bits.
func skipIf(r *bitReader, n int) {
	if r.flag() {
		r.skip(n)
	}
}
