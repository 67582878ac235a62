package load

import (
	"fmt"

	"github.com/pion/rtp/codecs/av1/obu"
)

// obuRedundantFrameHeader is the only type that package obu does not name as a
// type that samples leave out (AV1 bitstream specification 6.2.2).
const obuRedundantFrameHeader = 7

// av1Unit makes an access unit of a temporal unit in the low-overhead bitstream
// format (AV1 bitstream specification 5.2). New sequence headers become
// parameter sets of s.
func (s *Source) av1Unit(data []byte) (AccessUnit, error) {
	u := AccessUnit{Data: data}
	hasHeader, hasFrame := false, false
	for rest := data; len(rest) > 0; {
		h, err := obu.ParseOBUHeader(rest)
		if err != nil {
			return u, fmt.Errorf("parse OBU: %w", err)
		}
		if !h.HasSizeField {
			return u, fmt.Errorf("OBU of type %d without a size", h.Type)
		}
		n, length, err := obu.ReadLeb128(rest[h.Size():])
		start := h.Size() + int(length)
		if err != nil || uint64(n) > uint64(len(rest)-start) {
			return u, fmt.Errorf("OBU of type %d is cut off", h.Type)
		}
		unit, payload := rest[:start+int(n)], rest[start:start+int(n)]
		rest = rest[len(unit):]
		switch h.Type {
		case obu.OBUTemporalDelimiter, obu.OBUPadding, obu.OBUTileList, obuRedundantFrameHeader:
			continue
		case obu.OBUSequenceHeader:
			hasHeader = true
			s.addParameterSet(unit)
		case obu.OBUFrame, obu.OBUFrameHeader:
			// show_existing_frame 0, frame_type KEY_FRAME, show_frame 1 (5.9.2).
			u.Key = u.Key || !hasFrame && hasHeader && len(payload) > 0 && payload[0]&0xf0 == 0x10
			hasFrame = true
		}
		u.Sample = append(u.Sample, unit...)
	}
	return u, nil
}
