package codec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/avc"
	mp4bits "github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

const maxSPS = 32

// h264ParameterSets keeps all parameter sets by id: a slice may refer to one
// that came long before.
type h264ParameterSets struct {
	sps [maxSPS]*h264SPS
	pps map[uint8]h264PPS
}

type h264SPS struct {
	nal  []byte
	info *avc.SPS
}

type h264PPS struct {
	nal []byte
	sps uint8
}

// Keys of the sets of H264: their type and id.
const (
	h264SPSKey = h264SPSType << 8
	h264PPSKey = h264PPSType << 8
)

// store implements nalCodec: nal is a SPS or PPS with its header.
func (ps *h264ParameterSets) store(nal []byte) (changed bool, err error) {
	if nal[0]&0x1f == h264SPSType {
		return ps.storeSPS(nal)
	}
	return ps.storePPS(nal)
}

func (ps *h264ParameterSets) storeSPS(nal []byte) (changed bool, err error) {
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[1:])}
	r.skip(24) // profile, constraints, level
	id := r.ue()
	if r.failed || id >= maxSPS {
		return false, errors.New("H264: sequence parameter set with a broken id")
	}
	if old := ps.sps[id]; old != nil && bytes.Equal(old.nal, nal) {
		return false, nil
	}
	info, err := parseH264SPS(nal)
	if err != nil {
		return false, err
	}
	ps.sps[id] = &h264SPS{nal, info}
	return true, nil
}

func (ps *h264ParameterSets) storePPS(nal []byte) (changed bool, err error) {
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[1:])}
	id, sps := r.ue(), r.ue()
	if r.failed || id >= maxPPS || sps >= maxSPS {
		return false, errors.New("H264: picture parameter set with a broken id")
	}
	if bytes.Equal(ps.pps[uint8(id)].nal, nal) {
		return false, nil
	}
	if ps.pps == nil {
		ps.pps = make(map[uint8]h264PPS)
	}
	ps.pps[uint8(id)] = h264PPS{nal, uint8(sps)}
	return true, nil
}

// parseH264SPS parses an SPS as far as a sample entry needs it.
func parseH264SPS(nal []byte) (*avc.SPS, error) {
	parse := func(vui bool) (*avc.SPS, error) {
		return guard("H264: sequence parameter set", nal, func(nal []byte) (*avc.SPS, error) { return avc.ParseSPSNALUnit(nal, vui) })
	}
	info, err := parse(true)
	if err != nil { // what decoders do not need may be broken
		info, err = parse(false)
	}
	if err != nil {
		return nil, err
	}
	// Cropping that exceeds the picture wraps around to huge numbers.
	if info.Width-1 >= maxDimension || info.Height-1 >= maxDimension {
		return nil, fmt.Errorf("H264: sequence parameter set with an impossible size of %dx%d", info.Width, info.Height)
	}
	if info.ChromaFormatIDC > 3 || info.BitDepthLumaMinus8 > 6 || info.BitDepthChromaMinus8 > 6 {
		return nil, errors.New("H264: sequence parameter set with an impossible chroma format or bit depth")
	}
	return info, nil
}

// h264SlicePPS returns the id of the picture parameter set that a slice refers to
// (Rec. ITU-T H.264 7.3.3).
func h264SlicePPS(nal []byte) (uint8, bool) {
	var buf [16]byte // three codes of at most 31 + 1 + 31 bits have less
	r := bitReader{data: unescape(buf[:0], nal[1:])}
	r.ue() // first_mb_in_slice
	r.ue() // slice_type
	id := r.ue()
	return uint8(id), !r.failed && id < maxPPS
}

// chain implements nalCodec.
func (ps *h264ParameterSets) chain(dst []nalSetOf, id uint8) ([]nalSetOf, error) {
	pps, ok := ps.pps[id]
	if !ok {
		return nil, fmt.Errorf("a picture without its picture parameter set %d: it cannot be decoded", id)
	}
	sps := ps.sps[pps.sps]
	if sps == nil {
		return nil, fmt.Errorf("a picture without its sequence parameter set %d: it cannot be decoded", pps.sps)
	}
	return append(dst, nalSetOf{h264SPSKey | uint16(pps.sps), sps.nal}, nalSetOf{h264PPSKey | uint16(id), pps.nal}), nil
}

// describe implements nalCodec. The sample entry has the SPS and every PPS that
// refers to it, for later pictures may use any of them.
func (ps *h264ParameterSets) describe(used idSet) (*media.Format, []nalSetOf, error) {
	spsID := -1
	var chain []nalSetOf
	for id := range used.all() {
		var err error
		if chain, err = ps.chain(chain[:0], id); err != nil {
			return nil, nil, err
		}
		if spsID >= 0 && int(ps.pps[id].sps) != spsID {
			return nil, nil, errors.New("the slices of a key frame refer to different sequence parameter sets")
		}
		spsID = int(ps.pps[id].sps)
	}
	var set idSet
	for id, pps := range ps.pps {
		if int(pps.sps) == spsID {
			set.add(id)
		}
	}
	entry := chain[:1] // the SPS
	var nals [][]byte
	for id := range set.all() {
		nals = append(nals, ps.pps[id].nal)
		entry = append(entry, nalSetOf{h264PPSKey | uint16(id), ps.pps[id].nal})
	}
	if len(nals) >= maxPPS { // numOfPictureParameterSets has 8 bits
		return nil, nil, fmt.Errorf("%d picture parameter sets do not fit a sample entry", len(nals))
	}
	f, err := h264Format(ps.sps[spsID], nals)
	return f, entry, err
}

// h264Format builds the AVCDecoderConfigurationRecord (ISO/IEC 14496-15
// 5.3.3.1.2) and the rest of a format.
func h264Format(sps *h264SPS, pps [][]byte) (*media.Format, error) {
	rec := avc.DecConfRec{
		AVCProfileIndication: sps.nal[1],
		ProfileCompatibility: sps.nal[2],
		AVCLevelIndication:   sps.nal[3],
		SPSnalus:             [][]byte{sps.nal},
		PPSnalus:             pps,
		ChromaFormat:         sps.info.ChromaFormatIDC,
		BitDepthLumaMinus1:   byte(sps.info.BitDepthLumaMinus8), // the library's name is wrong, its place is right
		BitDepthChromaMinus1: byte(sps.info.BitDepthChromaMinus8),
	}
	sw := mp4bits.NewFixedSliceWriter(int(rec.Size()))
	if err := rec.EncodeSW(sw); err != nil {
		return nil, fmt.Errorf("encode avcC: %w", err)
	}
	return &media.Format{
		Codec:     "H264",
		RFC6381:   fmt.Sprintf("avc1.%02X%02X%02X", sps.nal[1], sps.nal[2], sps.nal[3]),
		Timescale: videoClock,
		Width:     int(sps.info.Width),
		Height:    int(sps.info.Height),
		SAR:       sps.sar(),
		BitDepth:  8 + int(max(sps.info.BitDepthLumaMinus8, sps.info.BitDepthChromaMinus8)),
		Chroma:    media.Chroma(sps.info.ChromaFormatIDC),
		Private:   sw.Bytes(),
	}, nil
}

// Profiles (Rec. ITU-T H.264 annex A) and constraint flags of an SPS.
const (
	h264Baseline     = 66
	h264IntraOnly    = 0x10 // constraint_set3_flag, of the High profiles for professionals
	h264NoBSlices    = 0x04 // constraint_set5_flag
	h264MaxReordered = 16
)

// reorder implements nalCodec (Rec. ITU-T H.264 E.2.1, max_num_reorder_frames).
// Where the SPS does not say it, the limit would be the size of the decoded picture
// buffer, which is up to 16 pictures for senders that reorder nothing: then it is
// left to what is seen.
func (ps *h264ParameterSets) reorder(pps uint8) int {
	sps := ps.sps[ps.pps[pps].sps]
	if sps == nil {
		return 0
	}
	if sps.info.PicOrderCntType == 2 {
		return InOrder
	}
	switch flags := sps.nal[2]; sps.info.Profile {
	case h264Baseline:
		return InOrder
	case 77, 100, 118, 128:
		if flags&h264NoBSlices != 0 {
			return InOrder
		}
	case 110, 122, 244, 44:
		if flags&h264IntraOnly != 0 {
			return InOrder
		}
	}
	if vui := sps.info.VUI; vui != nil && vui.BitstreamRestrictionFlag {
		return int(min(vui.MaxNumReorderFrames, h264MaxReordered))
	}
	return 0
}

// picOrder implements nalCodec (Rec. ITU-T H.264 7.3.3). It is not known of fields, and
// of the types of counting that few use.
func (ps *h264ParameterSets) picOrder(nal []byte) (p picOrder) {
	var buf [48]byte
	r := bitReader{data: unescape(buf[:0], nal[1:])}
	r.ue() // first_mb_in_slice
	p.both = r.ue()%5 == 1
	sps := ps.sps[ps.pps[uint8(r.ue())].sps]
	p.reset, p.reference = nal[0]&0x1f == h264IDR, nal[0]&0x60 != 0
	if sps == nil || sps.info.PicOrderCntType != 0 || sps.info.Profile == h264Baseline {
		return p
	}
	if sps.info.SeparateColourPlaneFlag {
		r.skip(2) // colour_plane_id
	}
	r.skip(int(min(sps.info.Log2MaxFrameNumMinus4, 12)) + 4) // frame_num
	if !sps.info.FrameMbsOnlyFlag && r.flag() {
		return p // field_pic_flag
	}
	if p.reset {
		r.ue() // idr_pic_id
	}
	p.bits = int(min(sps.info.Log2MaxPicOrderCntLsbMinus4, 12)) + 4
	p.lsb = r.u(p.bits)
	p.known = !r.failed
	return p
}

func (s *h264SPS) sar() media.Ratio {
	if s.info.VUI == nil {
		return media.Ratio{}
	}
	return ratio(s.info.VUI.SampleAspectRatioWidth, s.info.VUI.SampleAspectRatioHeight)
}

// avc1Entry builds the avc1 sample entry (ISO/IEC 14496-15 5.4.2).
func avc1Entry(f *media.Format) (mp4.Box, error) {
	rec, err := avc.DecodeAVCDecConfRec(f.Private)
	if err != nil {
		return nil, fmt.Errorf("H264 format: %w", err)
	}
	return visualEntry("avc1", f, &mp4.AvcCBox{DecConfRec: rec}), nil
}
