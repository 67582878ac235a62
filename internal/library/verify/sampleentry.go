package verify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/Eyevinn/mp4ff/av1"
	"github.com/Eyevinn/mp4ff/hevc"
	"github.com/Eyevinn/mp4ff/mp4"
)

// readSampleEntry sets what the sample entry says, in the terms of RFC 6381 and
// the codecs' file format bindings.
func (in *initSegment) readSampleEntry(stsd *mp4.StsdBox) error {
	if len(stsd.Children) != 1 {
		return fmt.Errorf("has %d sample entries, one is expected", len(stsd.Children))
	}
	switch entry := stsd.Children[0].(type) {
	case *mp4.VisualSampleEntryBox:
		in.Width, in.Height = int(entry.Width), int(entry.Height)
		return in.readVisual(entry)
	case *mp4.AudioSampleEntryBox:
		in.Channels = int(entry.ChannelCount)
		if entry.Type() != "Opus" || entry.Dops == nil {
			return fmt.Errorf("sample entry %q cannot be read", entry.Type())
		}
		in.Codecs = "opus"
		return nil
	}
	return fmt.Errorf("sample entry %q cannot be read", stsd.Children[0].Type())
}

func (in *initSegment) readVisual(entry *mp4.VisualSampleEntryBox) error {
	switch {
	case entry.AvcC != nil:
		return in.readAVC(entry)
	case entry.HvcC != nil: // "hev1" is an original's
		return in.readHEVC(entry.Type(), &entry.HvcC.DecConfRec)
	case entry.Av1C != nil && entry.Type() == "av01":
		return in.readAV1(&entry.Av1C.CodecConfRec)
	case entry.VppC != nil:
		c := entry.VppC
		in.Codecs = fmt.Sprintf("%s.%02d.%02d.%02d", entry.Type(), c.Profile, c.Level, c.BitDepth)
		in.check = checkVP9
		return nil
	}
	return fmt.Errorf("sample entry %q cannot be read", entry.Type())
}

func (in *initSegment) readAVC(entry *mp4.VisualSampleEntryBox) error {
	c := entry.AvcC.DecConfRec
	in.check, in.isSet = checkAVC, isAVCSet
	in.ParameterSets = slices.Concat(c.SPSnalus, c.PPSnalus)
	in.Codecs = fmt.Sprintf("%s.%02X%02X%02X", entry.Type(), c.AVCProfileIndication, c.ProfileCompatibility, c.AVCLevelIndication)
	if len(c.SPSnalus) == 0 || len(c.PPSnalus) == 0 {
		return errors.New("avcC has no parameter sets")
	}
	return nil
}

// readHEVC reads an hvcC (ISO/IEC 14496-15 8.3.3.1): what hvc1 leaves out of
// the samples must be complete in it.
func (in *initSegment) readHEVC(entry string, c *hevc.DecConfRec) error {
	in.check, in.isSet = checkHEVC, isHEVCSet
	var b strings.Builder
	if c.GeneralProfileSpace > 0 {
		b.WriteByte('A' + c.GeneralProfileSpace - 1)
	}
	tier := 'L'
	if c.GeneralTierFlag {
		tier = 'H'
	}
	fmt.Fprintf(&b, "%d.%X.%c%d", c.GeneralProfileIDC, bits.Reverse32(c.GeneralProfileCompatibilityFlags), tier, c.GeneralLevelIDC)
	for flags := c.GeneralConstraintIndicatorFlags << 16; flags != 0; flags <<= 8 {
		fmt.Fprintf(&b, ".%X", flags>>56)
	}
	in.Codecs = entry + "." + b.String()
	for _, t := range []hevc.NaluType{hevc.NALU_VPS, hevc.NALU_SPS, hevc.NALU_PPS} {
		i := slices.IndexFunc(c.NaluArrays, func(a hevc.NaluArray) bool { return a.NaluType() == t })
		if i < 0 || len(c.NaluArrays[i].Nalus) == 0 || c.NaluArrays[i].Complete() != 1 {
			return fmt.Errorf("hvcC has no complete array of %v", t)
		}
		in.ParameterSets = append(in.ParameterSets, c.NaluArrays[i].Nalus...)
	}
	return nil
}

// readAV1 reads an av1C (AV1 Codec ISO Media File Format Binding 2.3).
func (in *initSegment) readAV1(c *av1.CodecConfRec) error {
	depth, tier := 8+2*c.HighBitdepth+2*c.TwelveBit, 'M'
	if c.SeqTier0 == 1 {
		tier = 'H'
	}
	in.Codecs = fmt.Sprintf("av01.%d.%02d%c.%02d", c.SeqProfile, c.SeqLevelIdx0, tier, depth)
	obus, err := av1.SplitOBUs(c.ConfigOBUs)
	if err != nil {
		return fmt.Errorf("av1C: %w", err)
	}
	if len(obus) == 0 || obus[0].Header.Type != av1.OBUSequenceHeader || !obus[0].Header.HasSizeField {
		return errors.New("av1C does not begin with a sequence header that has a size")
	}
	header := obus[0].Encode()
	in.ParameterSets = [][]byte{header}
	in.check = func(s *Sample) error { return checkAV1(s, header) }
	return nil
}

// nals splits data into NAL units with four-byte lengths (ISO/IEC 14496-15
// 5.3.2), none empty.
func nals(data []byte) (units [][]byte, ok bool) {
	for len(data) > 0 {
		if len(data) < 4 {
			return nil, false
		}
		n := binary.BigEndian.Uint32(data)
		if n == 0 || uint64(n) > uint64(len(data)-4) {
			return nil, false
		}
		units = append(units, data[4:4+n])
		data = data[4+n:]
	}
	return units, true
}

var errNoNALs = errors.New("is not a sequence of NAL units with their lengths")

// errUnmarked: players cannot begin where they could.
var errUnmarked = errors.New("is a key frame and not marked as sync sample")

// checkAVC wants an IDR picture, or a recovery point (H.264 D.2.8), in a sync
// sample, and no IDR picture in others.
func checkAVC(s *Sample) error {
	units, ok := nals(s.Data)
	if !ok {
		return errNoNALs
	}
	idr, recovery := false, false
	for _, nal := range units {
		switch nal[0] & 0x1f {
		case 5:
			idr = true
		case 6:
			recovery = recovery || hasRecoveryPoint(nal[1:])
		}
	}
	switch {
	case idr && !s.Key:
		return errUnmarked
	case s.Key && !idr && !recovery:
		return errors.New("is marked as sync sample but has neither an IDR picture nor a recovery point")
	}
	return nil
}

// hasRecoveryPoint looks for a recovery point among SEI messages (H.264 7.3.2.3.1).
func hasRecoveryPoint(sei []byte) bool {
	const recoveryPoint = 6
	number := func() (n int) {
		for len(sei) > 0 && sei[0] == 0xff {
			n, sei = n+0xff, sei[1:]
		}
		if len(sei) > 0 {
			n, sei = n+int(sei[0]), sei[1:]
		}
		return n
	}
	for len(sei) > 1 { // the last byte is the trailing bits
		kind, size := number(), number()
		if kind == recoveryPoint && size > 0 {
			return true
		}
		sei = sei[min(size, len(sei)):]
	}
	return false
}

// takeSets takes the parameter sets out of the data of a sample.
func (s *Sample) takeSets(isSet func(nal []byte) bool) {
	units, ok := nals(s.Data)
	if !ok || !slices.ContainsFunc(units, isSet) {
		return
	}
	s.Data = nil
	for _, nal := range units {
		if isSet(nal) {
			s.Sets = append(s.Sets, nal)
			continue
		}
		s.Data = binary.BigEndian.AppendUint32(s.Data, uint32(len(nal)))
		s.Data = append(s.Data, nal...)
	}
}

func isAVCSet(nal []byte) bool { return nal[0]&0x1f == 7 || nal[0]&0x1f == 8 }

func isHEVCSet(nal []byte) bool {
	t := hevc.GetNaluType(nal[0])
	return t >= hevc.NALU_VPS && t <= hevc.NALU_PPS
}

// checkHEVC wants an IRAP picture in a sync sample, and no IDR picture in others.
func checkHEVC(s *Sample) error {
	units, ok := nals(s.Data)
	if !ok {
		return errNoNALs
	}
	irap, idr := false, false
	for _, nal := range units {
		t := hevc.GetNaluType(nal[0])
		irap = irap || t >= hevc.NALU_BLA_W_LP && t <= hevc.NALU_IRAP_VCL23
		idr = idr || t == hevc.NALU_IDR_W_RADL || t == hevc.NALU_IDR_N_LP
	}
	if idr && !s.Key {
		return errUnmarked
	}
	if s.Key && !irap {
		return errors.New("is marked as sync sample but has no IRAP picture")
	}
	return nil
}

// checkVP9 wants a key frame in a sync sample, and none in others: by the first
// bits of the uncompressed header (VP9 Bitstream 6.2) of the first frame.
func checkVP9(s *Sample) error {
	head := s.Data[0]
	if head>>6 != 2 {
		return errors.New("does not begin with a VP9 frame")
	}
	head <<= 2
	if head>>6 == 3 {
		head <<= 1 // profile 3 has a reserved bit
	}
	key := head>>4&3 == 0 // neither show_existing_frame nor a frame that is not a key frame
	return checkMark(s, key)
}

// checkVP8 does the same for VP8 (RFC 6386 9.1).
func checkVP8(s *Sample) error { return checkMark(s, s.Data[0]&1 == 0) }

// checkMark compares the mark of a sample with what it is.
func checkMark(s *Sample, key bool) error {
	switch {
	case key && !s.Key:
		return errUnmarked
	case s.Key && !key:
		return errors.New("is marked as sync sample but is no key frame")
	}
	return nil
}

// checkAV1 wants OBUs with sizes, none that samples must not have, no other
// sequence header than that of the sample entry, and in a sync sample one before
// a key frame that is shown (AV1 Codec ISO Media File Format Binding 2.4, 2.5).
func checkAV1(s *Sample, header []byte) error {
	obus, err := av1.SplitOBUs(s.Data)
	if err != nil {
		return fmt.Errorf("is not a sequence of OBUs: %w", err)
	}
	headed, frame := false, false
	for _, o := range obus {
		if !o.Header.HasSizeField {
			return errors.New("has an OBU without a size")
		}
		switch o.Header.Type {
		case av1.OBUTemporalDelimiter, av1.OBUPadding, av1.OBUTileList, av1.OBURedundantFrameHeader:
			return fmt.Errorf("has an OBU that does not belong there, %v", o.Header.Type)
		case av1.OBUSequenceHeader:
			headed = true
			o.Header.ExtensionFlag, o.Header.HeaderSize = false, 1
			if !slices.Equal(o.Encode(), header) {
				return errors.New("has another sequence header than the sample entry")
			}
		case av1.OBUFrame, av1.OBUFrameHeader:
			key := len(o.Payload) > 0 && o.Payload[0]&0xf0 == 0x10
			if s.Key && !frame && (!key || !headed) {
				return errors.New("is marked as sync sample but does not begin with a sequence header and a key frame")
			}
			if !s.Key && !frame && key && headed {
				return errUnmarked
			}
			frame = true
		}
	}
	if !frame {
		return errors.New("has no frame")
	}
	return nil
}
