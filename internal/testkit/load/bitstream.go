package load

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Every returns s with units that last d each.
func (s *Source) Every(d time.Duration) *Source {
	slow := *s
	slow.Units = slices.Clone(s.Units)
	for i := range slow.Units {
		slow.Units[i].Duration = media.TicksOf(d, s.ClockRate)
	}
	return &slow
}

// SEIFirst returns H264 whose key frames begin with SEI, in front of the
// parameter sets, as H.264 7.4.1.2.3 allows and ffmpeg copies them from a file.
// A key frame that has no SEI gets one.
func (s *Source) SEIFirst() (*Source, error) {
	return s.changed(func(_ int, nals [][]byte) ([][]byte, error) {
		sei, rest := split(nals, func(nal []byte) bool { return nal[0]&nalTypeMask == nalSEI })
		if len(sei) == 0 {
			sei = [][]byte{append([]byte{nalSEI, 5, 18}, "load: identified  \x80"...)} // user data unregistered (D.1.7): 16 bytes of UUID, 2 more
		}
		return append(sei, rest...), nil
	})
}

// SetsOnce returns H264 whose parameter sets stand in front of the first key
// frame and of no other.
func (s *Source) SetsOnce() (*Source, error) {
	return s.changed(func(n int, nals [][]byte) ([][]byte, error) {
		if n == 0 {
			return nals, nil
		}
		_, rest := split(nals, isSet)
		return rest, nil
	})
}

// Most ids that OpenH264 gives before it begins anew (H.264 allows 31 and 255).
const (
	maxSPSID = 32
	maxPPSID = 57
)

// NewIDs returns H264 whose parameter sets have other ids with each key frame,
// and are the same otherwise, as OpenH264 makes them by default. It reads CAVLC only.
func (s *Source) NewIDs() (*Source, error) {
	s, err := s.withSets()
	if err != nil {
		return nil, err
	}
	key := -1
	changed := *s
	changed.Units, changed.ParameterSets = slices.Clone(s.Units), nil
	for i := range s.Units {
		if s.Units[i].Key {
			key++
		}
		nals := splitNALs(s.Units[i].Data)
		for j, nal := range nals {
			if nals[j], err = withIDs(nal, uint(key%maxSPSID), uint(key%maxPPSID)); err != nil {
				return nil, fmt.Errorf("access unit %d: %w", i, err)
			}
			if isSet(nals[j]) {
				changed.addParameterSet(nals[j])
			}
		}
		changed.Units[i] = rebuilt(&s.Units[i], nals)
	}
	return &changed, nil
}

// withSets returns s with parameter sets in front of each key frame.
func (s *Source) withSets() (*Source, error) {
	return s.changed(func(_ int, nals [][]byte) ([][]byte, error) {
		if slices.ContainsFunc(nals, isSet) {
			return nals, nil
		}
		return append(slices.Clone(s.ParameterSets), nals...), nil
	})
}

// changed returns s with the NAL units of its key frames changed; n counts them.
func (s *Source) changed(change func(n int, nals [][]byte) ([][]byte, error)) (*Source, error) {
	if s.Codec != "H264" {
		return nil, fmt.Errorf("the bitstream of %s cannot be changed", s.Codec)
	}
	result := *s
	result.Units = slices.Clone(s.Units)
	n := 0
	for i := range result.Units {
		if !result.Units[i].Key {
			continue
		}
		nals, err := change(n, splitNALs(s.Units[i].Data))
		if err != nil {
			return nil, fmt.Errorf("access unit %d: %w", i, err)
		}
		result.Units[i] = rebuilt(&s.Units[i], nals)
		n++
	}
	return &result, nil
}

// rebuilt returns u made of other NAL units.
func rebuilt(u *AccessUnit, nals [][]byte) AccessUnit {
	made := h264Unit(nals)
	made.Duration, made.SHA256 = u.Duration, sha256.Sum256(made.Sample)
	return made
}

func isSet(nal []byte) bool { t := nal[0] & nalTypeMask; return t == nalSPS || t == nalPPS }

// split returns the NAL units for which is says yes, and the others.
func split(nals [][]byte, is func([]byte) bool) (yes, no [][]byte) {
	for _, nal := range nals {
		if is(nal) {
			yes = append(yes, nal)
		} else {
			no = append(no, nal)
		}
	}
	return yes, no
}

// withIDs returns a NAL unit with other ids of parameter sets in it.
func withIDs(nal []byte, sps, pps uint) ([]byte, error) {
	r := &bitReader{data: bytes.ReplaceAll(nal[1:], []byte{0, 0, 3}, []byte{0, 0})} // 7.4.1
	w := &bitWriter{}
	switch t := nal[0] & nalTypeMask; t {
	case nalSPS: // 7.3.2.1.1
		w.bits(r.bits(24), 24) // profile, constraints, level
		r.ue()
		w.ue(sps)
	case nalPPS: // 7.3.2.2
		r.ue()
		r.ue()
		w.ue(pps)
		w.ue(sps)
		if r.bits(1) != 0 {
			return nil, errors.New("its parameter sets have ids, and CABAC with them, which cannot be moved by bits")
		}
		w.bits(0, 1)
	case nalSlice, nalIDR: // 7.3.3
		w.ue(r.ue()) // first_mb_in_slice
		w.ue(r.ue()) // slice_type
		r.ue()
		w.ue(pps)
	default:
		return nal, nil
	}
	if r.short {
		return nil, errors.New("a NAL unit is cut off")
	}
	w.rest(r)
	return append([]byte{nal[0]}, escaped(w.data)...), nil
}

// escaped inserts the bytes that keep start codes out of a NAL unit (H.264 7.4.1).
func escaped(rbsp []byte) []byte {
	out := make([]byte, 0, len(rbsp)+len(rbsp)/64)
	zeros := 0
	for _, b := range rbsp {
		if zeros >= 2 && b <= 3 {
			out = append(out, 3)
			zeros = 0
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}

// bitReader reads an RBSP; reading beyond its end makes it short.
type bitReader struct {
	data  []byte
	pos   int // bit
	short bool
}

func (r *bitReader) bits(n int) (v uint) {
	for range n {
		if r.pos >= 8*len(r.data) {
			r.short = true
			return 0
		}
		v = v<<1 | uint(r.data[r.pos/8]>>(7-r.pos%8)&1)
		r.pos++
	}
	return v
}

// ue reads an Exp-Golomb number (H.264 9.1).
func (r *bitReader) ue() uint {
	zeros := 0
	for !r.short && zeros < 32 && r.bits(1) == 0 {
		zeros++
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

// bitWriter writes an RBSP.
type bitWriter struct {
	data []byte
	pos  int // bit
}

func (w *bitWriter) bits(v uint, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.pos%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.pos/8] |= byte(v>>i&1) << (7 - w.pos%8)
		w.pos++
	}
}

func (w *bitWriter) ue(v uint) {
	n := 0
	for (v+1)>>(n+1) > 0 {
		n++
	}
	w.bits(0, n)
	w.bits(v+1, n+1)
}

// rest writes what r still has up to the stop bit, which is the last one that is set.
func (w *bitWriter) rest(r *bitReader) {
	end := 8 * len(r.data)
	for end > r.pos && r.data[(end-1)/8]>>(7-(end-1)%8)&1 == 0 {
		end--
	}
	for end-r.pos >= 32 {
		w.bits(r.bits(32), 32)
	}
	n := end - r.pos
	w.bits(r.bits(n), n)
}
