package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/Eyevinn/mp4ff/bits"

	"github.com/live777/recorder/internal/media"
)

// NAL unit types (ITU-T H.264 table 7-1).
const (
	nalSlice      = 1
	nalPartitionA = 2
	nalIDR        = 5
	nalSEI        = 6
	nalSPS        = 7
	nalPPS        = 8
	nalAUD        = 9
	nalFiller     = 12
	nalPrefix     = 14
	nalReserved18 = 18
)

const (
	videoClock       = 90000
	defaultFrameRate = 30 // where the SPS has no timing
	maxFrameSeconds  = 10 // keeps timestamps within 64 bits
)

// parseH264 reads an Annex B byte stream.
func parseH264(data []byte) (*Source, error) {
	s := &Source{Kind: media.Video, Codec: "H264", ClockRate: videoClock}
	var units [][][]byte
	hasSlice := false
	for _, nal := range splitNALs(data) {
		if nal[0]&0x1f == nalSPS || nal[0]&0x1f == nalPPS {
			s.addParameterSet(nal)
		}
		if len(units) == 0 || hasSlice && startsAccessUnit(nal) {
			units = append(units, nil)
			hasSlice = false
		}
		last := len(units) - 1
		units[last] = append(units[last], nal)
		hasSlice = hasSlice || isSlice(nal)
	}
	if len(units) == 0 || !hasSlice {
		return nil, errors.New("the byte stream does not end with a picture")
	}
	num, den, err := s.frameDuration()
	if err != nil {
		return nil, err
	}
	for i, nals := range units {
		u := h264Unit(nals)
		u.Duration = media.Ticks(int64(i+1)*num/den - int64(i)*num/den)
		s.Units = append(s.Units, u)
	}
	return s, nil
}

// splitNALs returns the NAL units of a byte stream (ITU-T H.264 Annex B), none empty.
func splitNALs(data []byte) [][]byte {
	startCode := []byte{0, 0, 1}
	var nals [][]byte
	for {
		i := bytes.Index(data, startCode)
		if i < 0 {
			return nals
		}
		data = data[i+len(startCode):]
		nal := data
		if end := bytes.Index(data, startCode); end >= 0 {
			nal = data[:end]
		}
		// Zero bytes before a start code belong to it: a NAL unit ends in a one bit.
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
}

// isSlice reports whether nal has coded picture data of a primary picture.
func isSlice(nal []byte) bool {
	t := nal[0] & 0x1f
	return t >= nalSlice && t <= nalIDR
}

// startsAccessUnit reports whether nal, after a slice, begins the next access
// unit (ITU-T H.264 7.4.1.2.3). Redundant pictures and arbitrary slice order do
// not occur in the profiles that are used here, so a slice begins a picture
// exactly when its first_mb_in_slice is 0, which is a leading one bit.
func startsAccessUnit(nal []byte) bool {
	switch t := nal[0] & 0x1f; {
	case t == nalSlice, t == nalPartitionA, t == nalIDR:
		return len(nal) > 1 && nal[1]&0x80 != 0
	case t >= nalSEI && t <= nalAUD, t >= nalPrefix && t <= nalReserved18:
		return true
	}
	return false
}

func h264Unit(nals [][]byte) AccessUnit {
	var u AccessUnit
	for _, nal := range nals {
		u.Data = append(u.Data, 0, 0, 0, 1)
		u.Data = append(u.Data, nal...)
		t := nal[0] & 0x1f
		if t >= nalSPS && t <= nalFiller { // SPS, PPS, AUD, end of sequence, end of stream, filler
			continue
		}
		u.Key = u.Key || t == nalIDR
		u.Sample = binary.BigEndian.AppendUint32(u.Sample, uint32(len(nal)))
		u.Sample = append(u.Sample, nal...)
	}
	return u
}

func (s *Source) addParameterSet(nal []byte) {
	known := slices.ContainsFunc(s.ParameterSets, func(p []byte) bool { return bytes.Equal(p, nal) })
	if !known {
		s.ParameterSets = append(s.ParameterSets, nal)
	}
}

// frameDuration returns the duration of a frame in ticks, as a fraction, from
// the first SPS.
func (s *Source) frameDuration() (num, den int64, err error) {
	for _, nal := range s.ParameterSets {
		if nal[0]&0x1f != nalSPS {
			continue
		}
		units, scale, err := spsTiming(nal)
		if err != nil {
			return 0, 0, err
		}
		if units > maxFrameSeconds*scale {
			return 0, 0, fmt.Errorf("SPS with a frame duration of %d/%d s", 2*units, scale)
		}
		if units > 0 && scale > 0 {
			return 2 * units * videoClock, scale, nil
		}
		return videoClock, defaultFrameRate, nil
	}
	return 0, 0, errors.New("no SPS in the byte stream")
}

// spsTiming returns num_units_in_tick and time_scale of an SPS, 0 where it has
// none (ITU-T H.264 7.3.2.1.1 and E.1.1). All counts are bounded by the syntax
// that is read, so that no SPS can keep it busy.
func spsTiming(nal []byte) (units, scale int64, err error) {
	r := bits.NewEBSPReader(bytes.NewReader(nal[1:]))
	profile := r.Read(8)
	r.Read(16)        // constraint flags, level
	r.ReadExpGolomb() // seq_parameter_set_id
	if slices.Contains([]uint{100, 110, 122, 244, 44, 83, 86, 118, 128}, profile) {
		if r.ReadExpGolomb() == 3 { // chroma_format_idc
			r.Read(1)
		}
		r.ReadExpGolomb() // bit depths
		r.ReadExpGolomb()
		r.Read(1)
		if r.ReadFlag() {
			return 0, 0, errors.New("an SPS with scaling matrices is not supported")
		}
	}
	r.ReadExpGolomb() // log2_max_frame_num_minus4
	switch r.ReadExpGolomb() {
	case 0:
		r.ReadExpGolomb()
	case 1:
		return 0, 0, errors.New("an SPS with pic_order_cnt_type 1 is not supported")
	}
	r.ReadExpGolomb() // max_num_ref_frames
	r.Read(1)
	r.ReadExpGolomb() // width and height
	r.ReadExpGolomb()
	if !r.ReadFlag() { // frame_mbs_only_flag
		r.Read(1)
	}
	r.Read(1)
	if r.ReadFlag() { // cropping
		for range 4 {
			r.ReadExpGolomb()
		}
	}
	if r.ReadFlag() {
		units, scale = vuiTiming(r)
	}
	if err := r.AccError(); err != nil {
		return 0, 0, fmt.Errorf("parse SPS: %w", err)
	}
	return units, scale, nil
}

// vuiTiming reads the VUI up to its timing information (ITU-T H.264 E.1.1).
func vuiTiming(r *bits.EBSPReader) (units, scale int64) {
	if r.ReadFlag() && r.Read(8) == 255 { // aspect ratio, Extended_SAR
		r.Read(32)
	}
	if r.ReadFlag() { // overscan
		r.Read(1)
	}
	if r.ReadFlag() { // video signal type
		r.Read(4)
		if r.ReadFlag() {
			r.Read(24)
		}
	}
	if r.ReadFlag() { // chroma sample location
		r.ReadExpGolomb()
		r.ReadExpGolomb()
	}
	if !r.ReadFlag() {
		return 0, 0
	}
	return int64(r.Read(32)), int64(r.Read(32))
}
