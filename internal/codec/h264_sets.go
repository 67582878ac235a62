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
	sps    [maxSPS]*h264SPS
	pps    map[uint8]h264PPS
	active idSet // PPS that the last key frame brought into force, unchanged since
}

type h264SPS struct {
	nal  []byte
	info *avc.SPS
}

type h264PPS struct {
	nal []byte
	sps uint8
}

// store keeps nal, a SPS or PPS with its header. It keeps a reference.
func (ps *h264ParameterSets) store(nal []byte) error {
	if nal[0]&0x1f == h264SPSType {
		return ps.storeSPS(nal)
	}
	return ps.storePPS(nal)
}

func (ps *h264ParameterSets) storeSPS(nal []byte) error {
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[1:])}
	r.skip(24) // profile, constraints, level
	id := r.ue()
	if r.failed || id >= maxSPS {
		return errors.New("H264: sequence parameter set with a broken id")
	}
	if old := ps.sps[id]; old != nil && bytes.Equal(old.nal, nal) {
		return nil
	}
	info, err := parseH264SPS(nal)
	if err != nil {
		return err
	}
	ps.sps[id] = &h264SPS{nal, info}
	for p, pps := range ps.pps {
		if uint32(pps.sps) == id {
			ps.active.remove(p)
		}
	}
	return nil
}

func (ps *h264ParameterSets) storePPS(nal []byte) error {
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[1:])}
	id, sps := r.ue(), r.ue()
	if r.failed || id >= maxPPS || sps >= maxSPS {
		return errors.New("H264: picture parameter set with a broken id")
	}
	if bytes.Equal(ps.pps[uint8(id)].nal, nal) {
		return nil
	}
	if ps.pps == nil {
		ps.pps = make(map[uint8]h264PPS)
	}
	ps.pps[uint8(id)] = h264PPS{nal, uint8(sps)}
	ps.active.remove(uint8(id))
	return nil
}

// parseH264SPS parses an SPS as far as a sample entry needs it.
func parseH264SPS(nal []byte) (*avc.SPS, error) {
	info, err := guard("H264: sequence parameter set", nal, func(nal []byte) (*avc.SPS, error) {
		return avc.ParseSPSNALUnit(nal, false)
	})
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

// inForce implements nalCodec.
func (ps *h264ParameterSets) inForce(id uint8) bool { return ps.active.has(id) }

// activate brings the parameter sets of an IDR picture into force, whose
// slices refer to the picture parameter sets used, and returns its format: the
// SPS and every PPS that refers to it, for later pictures may use any of them.
func (ps *h264ParameterSets) activate(used idSet) (*media.Format, error) {
	spsID := -1
	for id := range used.all() {
		pps, ok := ps.pps[id]
		switch {
		case !ok:
			return nil, fmt.Errorf("H264: key frame without its picture parameter set %d: it cannot be decoded", id)
		case spsID >= 0 && int(pps.sps) != spsID:
			return nil, errors.New("H264: the slices of a key frame refer to different sequence parameter sets")
		}
		spsID = int(pps.sps)
	}
	sps := ps.sps[spsID]
	if sps == nil {
		return nil, fmt.Errorf("H264: key frame without its sequence parameter set %d: it cannot be decoded", spsID)
	}
	var set idSet
	for id, pps := range ps.pps {
		if int(pps.sps) == spsID {
			set.add(id)
		}
	}
	var nals [][]byte
	for id := range set.all() {
		nals = append(nals, ps.pps[id].nal)
	}
	if len(nals) >= maxPPS { // numOfPictureParameterSets has 8 bits
		return nil, fmt.Errorf("H264: %d picture parameter sets do not fit a sample entry", len(nals))
	}
	f, err := h264Format(sps, nals)
	if err != nil {
		return nil, err
	}
	ps.active = set
	return f, nil
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
		Private:   sw.Bytes(),
	}, nil
}

// avc1Entry builds the avc1 sample entry (ISO/IEC 14496-15 5.4.2).
func avc1Entry(f *media.Format) (mp4.Box, error) {
	rec, err := avc.DecodeAVCDecConfRec(f.Private)
	if err != nil {
		return nil, fmt.Errorf("H264 format: %w", err)
	}
	return visualEntry("avc1", f, &mp4.AvcCBox{DecConfRec: rec}), nil
}

// visualEntry builds a VisualSampleEntry (ISO/IEC 14496-12 12.1.3) with the
// box config.
func visualEntry(name string, f *media.Format, config mp4.Box) *mp4.VisualSampleEntryBox {
	e := mp4.CreateVisualSampleEntryBox(name, uint16(f.Width), uint16(f.Height), config)
	e.CompressorName = "" // says nothing about the stream that the box does not
	return e
}
