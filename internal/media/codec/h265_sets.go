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
	vps [h265MaxVPS][]byte
	sps [h265MaxSPS]*h265SPS
	pps [h265MaxPPS]*h265PPS
}

type h265SPS struct {
	nal     []byte
	info    *hevc.SPS
	reorder int // sps_max_num_reorder_pics
}

type h265PPS struct {
	nal    []byte
	sps    uint8
	output bool // output_flag_present_flag
	extra  int  // num_extra_slice_header_bits
}

// Keys of the sets of H265: their type and id.
const (
	h265VPSKey = h265VPSType << 8
	h265SPSKey = h265SPSType << 8
	h265PPSKey = h265PPSType << 8
)

// store implements nalCodec: nal is a VPS, SPS or PPS with its header.
func (ps *h265ParameterSets) store(nal []byte) (changed bool, err error) {
	switch h265Type(nal[0]) {
	case h265VPSType:
		if len(nal) <= h265HeaderLen {
			return false, errors.New("H265: empty video parameter set")
		}
		vps := &ps.vps[nal[h265HeaderLen]>>4]
		changed = !bytes.Equal(*vps, nal)
		*vps = nal
		return changed, nil
	case h265SPSType:
		return ps.storeSPS(nal)
	}
	return ps.storePPS(nal)
}

func (ps *h265ParameterSets) storeSPS(nal []byte) (changed bool, err error) {
	for _, old := range ps.sps {
		if old != nil && bytes.Equal(old.nal, nal) {
			return false, nil
		}
	}
	sps, err := parseH265SPS(nal)
	if err != nil {
		return false, err
	}
	ps.sps[sps.info.SpsID] = sps
	return true, nil
}

func (ps *h265ParameterSets) storePPS(nal []byte) (changed bool, err error) {
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[min(h265HeaderLen, len(nal)):])}
	id, sps := r.ue(), r.ue()
	if r.failed || id >= h265MaxPPS || sps >= h265MaxSPS {
		return false, errors.New("H265: picture parameter set with a broken id")
	}
	if old := ps.pps[id]; old != nil && bytes.Equal(old.nal, nal) {
		return false, nil
	}
	r.skip(1) // dependent_slice_segments_enabled_flag
	output, extra := r.flag(), r.u(3)
	ps.pps[id] = &h265PPS{nal, uint8(sps), output, int(extra)}
	return true, nil
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
	sps := &h265SPS{nal: nal, info: info, reorder: h265MaxReordered}
	// The last entry is that of the highest temporal layer, and so of the whole.
	if order := info.SubLayeringOrderingInfos; len(order) > 0 {
		sps.reorder = min(int(order[len(order)-1].MaxNumReorderPics), h265MaxReordered)
	}
	return sps, nil
}

// h265MaxReordered is the most pictures that a decoder holds (Rec. ITU-T H.265 A.4.2).
const h265MaxReordered = 16

// reorder implements nalCodec.
func (ps *h265ParameterSets) reorder(pps uint8) int {
	if sps := ps.spsOf(pps); sps != nil {
		return sps.reorder
	}
	return 0
}

// spsOf returns the SPS that a PPS refers to, nil where one is missing.
func (ps *h265ParameterSets) spsOf(pps uint8) *h265SPS {
	if int(pps) >= len(ps.pps) || ps.pps[pps] == nil {
		return nil
	}
	return ps.sps[ps.pps[pps].sps]
}

// chain implements nalCodec.
func (ps *h265ParameterSets) chain(dst []nalSetOf, id uint8) ([]nalSetOf, error) {
	if int(id) >= len(ps.pps) || ps.pps[id] == nil {
		return nil, fmt.Errorf("a picture without its picture parameter set %d: it cannot be decoded", id)
	}
	spsID := ps.pps[id].sps
	sps := ps.sps[spsID]
	if sps == nil {
		return nil, fmt.Errorf("a picture without its sequence parameter set %d: it cannot be decoded", spsID)
	}
	vps := ps.vps[sps.info.VpsID]
	if vps == nil {
		return nil, fmt.Errorf("a picture without its video parameter set %d: it cannot be decoded", sps.info.VpsID)
	}
	return append(dst, nalSetOf{h265VPSKey | uint16(sps.info.VpsID), vps}, nalSetOf{h265SPSKey | uint16(spsID), sps.nal},
		nalSetOf{h265PPSKey | uint16(id), ps.pps[id].nal}), nil
}

// describe implements nalCodec. The sample entry has the SPS, its VPS and every
// PPS that refers to it, for later pictures may use any of them.
func (ps *h265ParameterSets) describe(used idSet) (*media.Format, []nalSetOf, error) {
	var sps *h265SPS
	var chain []nalSetOf
	for id := range used.all() {
		var err error
		if chain, err = ps.chain(chain[:0], id); err != nil {
			return nil, nil, err
		}
		if s := ps.spsOf(id); sps != nil && s != sps {
			return nil, nil, errors.New("the slices of a key frame refer to different sequence parameter sets")
		}
		sps = ps.spsOf(id)
	}
	vps, entry := chain[0].nal, chain[:2] // the VPS and the SPS
	var nals [][]byte
	for id, pps := range &ps.pps {
		if pps != nil && pps.sps == sps.info.SpsID {
			nals = append(nals, pps.nal)
			entry = append(entry, nalSetOf{h265PPSKey | uint16(id), pps.nal})
		}
	}
	f, err := h265Format(vps, sps, nals)
	return f, entry, err
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
		SAR:       sps.sar(),
		BitDepth:  8 + int(max(sps.info.BitDepthLumaMinus8, sps.info.BitDepthChromaMinus8)),
		Chroma:    media.Chroma(sps.info.ChromaFormatIDC),
		Private:   sw.Bytes(),
	}, nil
}

// picOrder implements nalCodec (Rec. ITU-T H.265 7.3.6.1).
func (ps *h265ParameterSets) picOrder(nal []byte) (p picOrder) {
	var buf [32]byte
	r := bitReader{data: unescape(buf[:0], nal[h265HeaderLen:])}
	t := h265Type(nal[0])
	irap := t >= h265BLAWLP && t <= h265LastIRAP
	idr := t == h265IDRWRADL || t == h265IDRNLP
	first := r.flag()
	if irap {
		r.skip(1) // no_output_of_prior_pics_flag
	}
	id := r.ue()
	if id >= h265MaxPPS || ps.pps[id] == nil || ps.spsOf(uint8(id)) == nil || !first {
		return p
	}
	pps, sps := ps.pps[id], ps.spsOf(uint8(id)).info
	r.skip(pps.extra)
	p.both = r.ue() == 0 // slice_type
	p.reset = irap && t != h265CRA
	p.bits = int(min(sps.Log2MaxPicOrderCntLsbMinus4, 12)) + 4
	// Those of a sub-layer that no other picture refers to, and leading pictures, are not
	// counted from.
	p.reference = nal[1]&7 == 1 && (t > 14 || t&1 == 1) && (t < 6 || t > h265RASLR)
	if pps.output {
		r.skip(1) // pic_output_flag
	}
	if sps.SeparateColourPlaneFlag {
		r.skip(2) // colour_plane_id
	}
	if !idr {
		p.lsb = r.u(p.bits)
	}
	p.known = !r.failed
	return p
}

func (s *h265SPS) sar() media.Ratio {
	if s.info.VUI == nil {
		return media.Ratio{}
	}
	return ratio(s.info.VUI.SampleAspectRatioWidth, s.info.VUI.SampleAspectRatioHeight)
}

// hvc1Entry builds the hvc1 sample entry (ISO/IEC 14496-15 8.4.1).
func hvc1Entry(f *media.Format) (mp4.Box, error) {
	rec, err := hevc.DecodeHEVCDecConfRec(f.Private)
	if err != nil {
		return nil, fmt.Errorf("H265 format: %w", err)
	}
	return visualEntry("hvc1", f, &mp4.HvcCBox{DecConfRec: rec}), nil
}
