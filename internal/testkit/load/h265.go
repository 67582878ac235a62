package load

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/hevc"

	"github.com/live777/recorder/internal/media"
)

// isH265 reports whether a byte stream begins as H265 does: with a video
// parameter set or an access unit delimiter, in a NAL unit header that H264
// gives no meaning (ITU-T H.265 7.3.1.2, H.264 table 7-1).
func isH265(data []byte) bool {
	nals := splitNALs(data[:min(len(data), 64)])
	if len(nals) == 0 || len(nals[0]) < 2 {
		return false
	}
	t := hevc.GetNaluType(nals[0][0])
	return nals[0][1] == 1 && nals[0][0]&0x81 == 0 && (t == hevc.NALU_VPS || t == hevc.NALU_AUD)
}

// parseH265 reads an Annex B byte stream of one layer.
func parseH265(data []byte) (*Source, error) {
	s := &Source{Kind: media.Video, Codec: "H265", ClockRate: videoClock}
	var units [][][]byte
	var sps *hevc.SPS
	hasSlice := false
	for _, nal := range splitNALs(data) {
		if len(nal) < 3 {
			continue // end marks
		}
		t := hevc.GetNaluType(nal[0])
		switch t {
		case hevc.NALU_VPS, hevc.NALU_SPS, hevc.NALU_PPS:
			s.addParameterSet(nal)
		}
		if t == hevc.NALU_SPS && sps == nil {
			var err error
			if sps, err = hevc.ParseSPSNALUnit(nal); err != nil {
				return nil, fmt.Errorf("parse SPS: %w", err)
			}
		}
		// ITU-T H.265 7.4.2.4.4.
		first := t < hevc.NALU_VPS && nal[2]&0x80 != 0 || t >= hevc.NALU_VPS && t <= hevc.NALU_AUD || t == hevc.NALU_SEI_PREFIX
		if len(units) == 0 || hasSlice && first {
			units = append(units, nil)
			hasSlice = false
		}
		last := len(units) - 1
		units[last] = append(units[last], nal)
		hasSlice = hasSlice || t < hevc.NALU_VPS
	}
	if sps == nil || !hasSlice {
		return nil, errors.New("the byte stream has no SPS or does not end with a picture")
	}
	num, den, err := h265FrameDuration(sps)
	if err != nil {
		return nil, err
	}
	for i, nals := range units {
		u := h265Unit(nals)
		u.Duration = media.Ticks(int64(i+1)*num/den - int64(i)*num/den)
		s.Units = append(s.Units, u)
	}
	return s, nil
}

// h265FrameDuration returns the duration of a frame in ticks, as a fraction:
// a picture lasts one tick of the clock in the VUI (ITU-T H.265 E.3.1).
func h265FrameDuration(sps *hevc.SPS) (num, den int64, err error) {
	if sps.VUI == nil || sps.VUI.NumUnitsInTick == 0 || sps.VUI.TimeScale == 0 {
		return videoClock, defaultFrameRate, nil
	}
	units, scale := int64(sps.VUI.NumUnitsInTick), int64(sps.VUI.TimeScale)
	if units > maxFrameSeconds*scale {
		return 0, 0, fmt.Errorf("SPS with a frame duration of %d/%d s", units, scale)
	}
	return units * videoClock, scale, nil
}

func h265Unit(nals [][]byte) AccessUnit {
	var u AccessUnit
	for _, nal := range nals {
		u.Data = append(u.Data, 0, 0, 0, 1)
		u.Data = append(u.Data, nal...)
		t := hevc.GetNaluType(nal[0])
		if t >= hevc.NALU_VPS && t <= hevc.NALU_FD { // VPS, SPS, PPS, AUD, end of sequence and bitstream, filler
			continue
		}
		u.Key = u.Key || t == hevc.NALU_IDR_W_RADL || t == hevc.NALU_IDR_N_LP
		u.Sample = binary.BigEndian.AppendUint32(u.Sample, uint32(len(nal)))
		u.Sample = append(u.Sample, nal...)
	}
	return u
}
