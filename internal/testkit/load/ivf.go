package load

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtp/codecs/vp9"

	"github.com/live777/recorder/internal/media"
)

const (
	ivfFileHeader  = 32
	ivfFrameHeader = 12
	// Bounds that keep the timestamp arithmetic within 64 bits; the first is
	// two years at 30 frames a second.
	ivfMaxTime      = 1 << 31
	ivfMaxNumerator = 1 << 15
)

// parseIVF reads an IVF file with VP8, VP9 or AV1.
func parseIVF(data []byte) (*Source, error) {
	if len(data) < ivfFileHeader {
		return nil, errors.New("IVF header is cut off")
	}
	s := &Source{Kind: media.Video, ClockRate: videoClock}
	switch fourCC := string(data[8:12]); fourCC {
	case "VP80":
		s.Codec = "VP8"
	case "VP90":
		s.Codec = "VP9"
	case "AV01":
		s.Codec = "AV1"
	default:
		return nil, fmt.Errorf("IVF file with codec %q, VP80, VP90 and AV01 are supported", fourCC)
	}
	den := uint64(binary.LittleEndian.Uint32(data[16:]))
	num := uint64(binary.LittleEndian.Uint32(data[20:]))
	if den == 0 || num == 0 || num > ivfMaxNumerator {
		return nil, fmt.Errorf("IVF time base %d/%d is not usable", num, den)
	}
	headerSize := int(binary.LittleEndian.Uint16(data[6:]))
	if headerSize < ivfFileHeader || headerSize > len(data) {
		return nil, fmt.Errorf("IVF header claims %d bytes", headerSize)
	}
	var times []media.Ticks
	for rest := data[headerSize:]; len(rest) > 0; {
		if len(rest) < ivfFrameHeader {
			return nil, errors.New("IVF frame header is cut off")
		}
		size := uint64(binary.LittleEndian.Uint32(rest))
		pts := binary.LittleEndian.Uint64(rest[4:])
		if rest = rest[ivfFrameHeader:]; size > uint64(len(rest)) || size == 0 || pts > ivfMaxTime {
			return nil, fmt.Errorf("IVF frame %d has %d bytes at time %d, %d bytes are left", len(times), size, pts, len(rest))
		}
		frame := rest[:size:size]
		rest = rest[size:]
		times = append(times, media.Ticks(pts*num*videoClock/den))
		u, err := s.ivfUnit(frame)
		if err != nil {
			return nil, fmt.Errorf("IVF frame %d: %w", len(s.Units), err)
		}
		s.Units = append(s.Units, u)
	}
	setDurations(s.Units, times)
	return s, nil
}

func (s *Source) ivfUnit(frame []byte) (AccessUnit, error) {
	if s.Codec == "AV1" {
		return s.av1Unit(frame)
	}
	return AccessUnit{Data: frame, Sample: frame, Key: s.isKey(frame)}, nil
}

// isKey reports whether a VP8 or VP9 frame is a key frame: RFC 6386 9.1, VP9
// bitstream specification 6.2.
func (s *Source) isKey(frame []byte) bool {
	if s.Codec == "VP8" {
		return frame[0]&1 == 0
	}
	var h vp9.Header
	return h.Unmarshal(frame) == nil && !h.NonKeyFrame && !h.ShowExistingFrame
}

// setDurations sets each duration to the distance to the next unit; the last
// lasts as long as the one before it, or one nominal frame where it is alone.
func setDurations(units []AccessUnit, times []media.Ticks) {
	last := media.Ticks(videoClock / defaultFrameRate)
	for i := range units {
		if i+1 < len(times) {
			last = times[i+1] - times[i]
		}
		units[i].Duration = last
	}
}
