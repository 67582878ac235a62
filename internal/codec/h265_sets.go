package codec

import (
	"bytes"
	"errors"
	"fmt"

	mp4bits "github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/hevc"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

// Numbers of parameter set ids (Rec. ITU-T H.265 7.4.3).
const (
	h265MaxVPS = 16
	h265MaxSPS = 16
	h265MaxPPS = 64
)

// h265ParameterSets keeps all parameter sets by id: a slice may refer to one
// that came long before.
type h265ParameterSets struct {
	vps    [h265MaxVPS][]byte
	sps    [h265MaxSPS]*h265SPS
	pps    [h265MaxPPS]*h265PPS
	active idSet // PPS that the last key frame brought into force, unchanged since
}

type h265SPS struct {
	nal     []byte
	info    *hevc.SPS
	reorder bool // pictures may be shown in another order than they are sent
}

type h265PPS struct {
	nal []byte
	sps uint8
}

// store keeps nal, a VPS, SPS or PPS with its header. It keeps a reference.
func (ps *h265ParameterSets) store(nal []byte) error {
	switch h265Type(nal[0]) {
	case h265VPSType:
		if len(nal) <= h265HeaderLen {
			return errors.New("H265: empty video parameter set")
		}
		ps.vps[nal[h265HeaderLen]>>4] = nal
		return nil
	case h265SPSType:
		return ps.storeSPS(nal)
	}
	return ps.storePPS(nal)
}

func (ps *h265ParameterSets) storeSPS(nal []byte) error {
	for _, old := range ps.sps {
		if old != nil && bytes.Equal(old.nal, nal) {
			return nil
		}
	}
	sps, err := parseH265SPS(nal)
	if err != nil {
		return err
	}
	id := sps.info.SpsID
	ps.sps[id] = sps
	for p, pps := range &ps.pps {
		if pps != nil && pps.sps == id {
			ps.active.remove(uint8(p))
		}
	}
	return nil
}

func (ps *h265ParameterSets) storePPS(nal []byte) error {
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[h265HeaderLen:])}
	id, sps := r.ue(), r.ue()
	if r.failed || id >= h265MaxPPS || sps >= h265MaxSPS {
		return errors.New("H265: picture parameter set with a broken id")
	}
	if old := ps.pps[id]; old != nil && bytes.Equal(old.nal, nal) {
		return nil
	}
	ps.pps[id] = &h265PPS{nal, uint8(sps)}
	ps.active.remove(uint8(id))
	return nil
}

// parseH265SPS parses an SPS as far as a sample entry needs it.
func parseH265SPS(nal []byte) (*h265SPS, error) {
	info, err := guard("H265: sequence parameter set", nal, hevc.ParseSPSNALUnit)
	if err != nil {
		return nil, err
	}
	if info.SpsID >= h265MaxSPS {
		return nil, errors.New("H265: sequence parameter set with a broken id")
	}
	// A window that exceeds the picture wraps around to huge numbers.
	if w, h := info.ImageSize(); w-1 >= maxDimension || h-1 >= maxDimension {
		return nil, fmt.Errorf("H265: sequence parameter set with an impossible size of %dx%d", w, h)
	}
	if info.ChromaFormatIDC > 3 || info.BitDepthLumaMinus8 > 7 || info.BitDepthChromaMinus8 > 7 {
		return nil, errors.New("H265: sequence parameter set with an impossible chroma format or bit depth")
	}
	// The last entry is that of the highest temporal layer, and so of the whole.
	order := info.SubLayeringOrderingInfos
	return &h265SPS{nal, info, len(order) == 0 || order[len(order)-1].MaxNumReorderPics > 0}, nil
}

// spsOf returns the SPS that a PPS refers to, nil where one is missing.
func (ps *h265ParameterSets) spsOf(pps uint8) *h265SPS {
	if int(pps) >= len(ps.pps) || ps.pps[pps] == nil {
		return nil
	}
	return ps.sps[ps.pps[pps].sps]
}

// inForce implements nalCodec.
func (ps *h265ParameterSets) inForce(id uint8) bool { return ps.active.has(id) }

// activate brings the parameter sets of a key frame into force, whose slices
// refer to the picture parameter sets used, and returns its format: the SPS,
// its VPS and every PPS that refers to it, for later pictures may use any of
// them.
func (ps *h265ParameterSets) activate(used idSet) (*media.Format, error) {
	var sps *h265SPS
	for id := range used.all() {
		if ps.pps[id] == nil {
			return nil, fmt.Errorf("H265: key frame without its picture parameter set %d: it cannot be decoded", id)
		}
		s := ps.spsOf(id)
		switch {
		case s == nil:
			return nil, fmt.Errorf("H265: key frame without its sequence parameter set %d: it cannot be decoded", ps.pps[id].sps)
		case sps != nil && s != sps:
			return nil, errors.New("H265: the slices of a key frame refer to different sequence parameter sets")
		}
		sps = s
	}
	vps := ps.vps[sps.info.VpsID]
	if vps == nil {
		return nil, fmt.Errorf("H265: key frame without its video parameter set %d: it cannot be decoded", sps.info.VpsID)
	}
	var set idSet
	var nals [][]byte
	for id, pps := range &ps.pps {
		if pps != nil && pps.sps == sps.info.SpsID {
			set.add(uint8(id))
			nals = append(nals, pps.nal)
		}
	}
	f, err := h265Format(vps, sps, nals)
	if err != nil {
		return nil, err
	}
	ps.active = set
	return f, nil
}

// h265Format builds the HEVCDecoderConfigurationRecord (ISO/IEC 14496-15
// 8.3.3.1.2) and the rest of a format.
func h265Format(vps []byte, sps *h265SPS, pps [][]byte) (*media.Format, error) {
	ptl := sps.info.ProfileTierLevel
	rec := hevc.DecConfRec{
		ConfigurationVersion:             1,
		GeneralProfileSpace:              ptl.GeneralProfileSpace,
		GeneralTierFlag:                  ptl.GeneralTierFlag,
		GeneralProfileIDC:                ptl.GeneralProfileIDC,
		GeneralProfileCompatibilityFlags: ptl.GeneralProfileCompatibilityFlags,
		GeneralConstraintIndicatorFlags:  ptl.GeneralConstraintIndicatorFlags,
		GeneralLevelIDC:                  ptl.GeneralLevelIDC,
		ChromaFormatIDC:                  sps.info.ChromaFormatIDC,
		BitDepthLumaMinus8:               sps.info.BitDepthLumaMinus8,
		BitDepthChromaMinus8:             sps.info.BitDepthChromaMinus8,
		NumTemporalLayers:                sps.info.MaxSubLayersMinus1 + 1,
		LengthSizeMinusOne:               nalLengthSize - 1,
		NaluArrays: []hevc.NaluArray{
			hevc.NewNaluArray(true, hevc.NALU_VPS, [][]byte{vps}),
			hevc.NewNaluArray(true, hevc.NALU_SPS, [][]byte{sps.nal}),
			hevc.NewNaluArray(true, hevc.NALU_PPS, pps),
		},
	}
	if sps.info.TemporalIDNestingFlag {
		rec.TemporalIDNested = 1
	}
	sw := mp4bits.NewFixedSliceWriter(int(rec.Size()))
	if err := rec.EncodeSW(sw); err != nil {
		return nil, fmt.Errorf("encode hvcC: %w", err)
	}
	width, height := sps.info.ImageSize()
	return &media.Format{
		Codec:     "H265",
		RFC6381:   hevc.CodecString("hvc1", sps.info),
		Timescale: videoClock,
		Width:     int(width),
		Height:    int(height),
		Private:   sw.Bytes(),
	}, nil
}

// hvc1Entry builds the hvc1 sample entry (ISO/IEC 14496-15 8.4.1).
func hvc1Entry(f *media.Format) (mp4.Box, error) {
	rec, err := hevc.DecodeHEVCDecConfRec(f.Private)
	if err != nil {
		return nil, fmt.Errorf("H265 format: %w", err)
	}
	return visualEntry("hvc1", f, &mp4.HvcCBox{DecConfRec: rec}), nil
}
