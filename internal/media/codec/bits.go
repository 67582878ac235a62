package codec

// bitReader reads fields of a big-endian bit string. Reading past the end, or
// a number that does not fit, sets failed and yields 0 from then on, so that a
// parser checks once, at its end.
type bitReader struct {
	data   []byte
	pos    int // bits
	failed bool
}

// u reads n bits, at most 32, as an unsigned number.
func (r *bitReader) u(n int) uint32 {
	if r.failed || r.pos+n > len(r.data)*8 {
		r.failed = true
		return 0
	}
	var v uint32
	for range n {
		v = v<<1 | uint32(r.data[r.pos>>3]>>(7-r.pos&7)&1)
		r.pos++
	}
	return v
}

// flag reads one bit.
func (r *bitReader) flag() bool { return r.u(1) == 1 }

// skip passes over n bits.
func (r *bitReader) skip(n int) { r.pos += n }

// ue reads an unsigned Exp-Golomb code (Rec. ITU-T H.264 9.1).
func (r *bitReader) ue() uint32 {
	zeros := 0
	for !r.flag() {
		zeros++
		if r.failed || zeros > 31 {
			r.failed = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.u(zeros)
}

// unescape appends the RBSP of the start of a NAL unit to dst, which it fills
// up to its capacity: body, the bytes after the header, without the emulation
// prevention bytes (Rec. ITU-T H.264 7.3.1, H.265 7.3.1.1).
func unescape(dst, body []byte) []byte {
	zeros := 0
	for _, b := range body {
		if len(dst) == cap(dst) {
			break
		}
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
		dst = append(dst, b)
	}
	return dst
}
