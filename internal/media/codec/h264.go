package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/live777/recorder/internal/media"
)

// NAL unit types (Rec. ITU-T H.264 table 7-1) and RTP payload types (RFC 6184
// table 1) that are treated apart.
const (
	h264PartitionA = 2
	h264IDR        = 5
	h264SEI        = 6
	h264SPSType    = 7
	h264PPSType    = 8
	h264AUD        = 9
	h264EndOfSeq   = 10
	h264EndStream  = 11
	h264Filler     = 12
	h264SPSExt     = 13
	h264SubsetSPS  = 15
	h264Max        = 23 // the last type that is a NAL unit of its own
	rtpSTAPA       = 24
	rtpSTAPB       = 25
	rtpMTAP24      = 27
	rtpFUA         = 28
	rtpFUB         = 29
)

// h264 reads RFC 6184 packets in single NAL unit and non-interleaved mode.
type h264 struct{ h264ParameterSets }

func newH264(t media.Track) (Assembler, error) {
	if mode, _ := fmtpParam(t.Fmtp, "packetization-mode"); mode == "2" {
		return nil, errors.New("H264 packetization-mode=2 (interleaved) cannot be recorded; publish with packetization-mode 1 or 0")
	}
	c := &h264{}
	for _, nal := range slices.Concat(spropParameterSets(t.Fmtp), t.Parameters) {
		// What is wrong here does not matter as long as the stream has its own.
		_, _ = c.store(nal)
	}
	return &nalAssembler{nalCodec: c, name: "H264", fuName: "FU-A", apName: "STAP-A", sets: nalSets{always: true}}, nil
}

// spropParameterSets returns the parameter sets of a=fmtp (RFC 6184 8.1).
func spropParameterSets(fmtp string) [][]byte {
	return spropSets(fmtp, "sprop-parameter-sets", func(nal []byte) bool {
		t := nal[0] & 0x1f
		return t == h264SPSType || t == h264PPSType
	})
}

// heads implements nalCodec.
func (c *h264) heads(p []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		switch {
		case len(p) == 0:
			yield(nil)
		case p[0]&0x1f == rtpSTAPA:
			for p = p[1:]; len(p) > 2; {
				n := min(int(binary.BigEndian.Uint16(p)), len(p)-2)
				if !yield(trimStartCode(p[2 : 2+n])) {
					return
				}
				p = p[2+n:]
			}
		case p[0]&0x1f != rtpFUA:
			yield(p)
		case len(p) > 2 && p[1]&0x80 != 0:
			yield(p[1:]) // the FU header has the type where a NAL unit has it
		default:
			yield(nil)
		}
	}
}

// role implements nalCodec.
func (c *h264) role(nal []byte) nalRole {
	switch nal[0] & 0x1f {
	case h264AUD:
		return roleDelimiter
	case h264SPSType:
		return roleFirstSet
	case 1, h264PartitionA, h264IDR:
		if len(nal) > 1 && nal[1]&0x80 != 0 { // first_mb_in_slice is 0: the code is a single 1 bit
			return roleFirstSlice
		}
		return roleSlice
	}
	return roleOther
}

// packet adds the NAL units of one RTP payload (RFC 6184 5.4).
func (c *h264) packet(a *nalAssembler, p []byte) error {
	t, ok := c.nalType(p[0])
	if t == rtpFUA {
		return c.fuA(a, p)
	}
	if err := a.interrupted(); err != nil {
		return err
	}
	switch {
	case t == rtpSTAPA:
		return a.aggregate(p[1:])
	case t >= rtpSTAPB && t <= rtpMTAP24 || t == rtpFUB:
		return fmt.Errorf("H264: packet type %d belongs to interleaved mode, which was not negotiated", t)
	case !ok: // reserved: receivers ignore them
		return nil
	}
	return a.whole(p)
}

// nalType implements nalCodec.
func (c *h264) nalType(first byte) (t byte, ok bool) {
	t = first & 0x1f
	return t, t > 0 && t <= h264Max
}

// fuA adds one FU-A (RFC 6184 5.8).
func (c *h264) fuA(a *nalAssembler, p []byte) error {
	if len(p) < 2 {
		return errors.New("H264: FU-A without a header")
	}
	header := [1]byte{p[0]&0xe0 | p[1]&0x1f}
	return a.fragment(p[1]&0x80 != 0, p[1]&0x40 != 0, header[:], p[2:])
}

// class implements nalCodec. The sets come back with the key frames that need them.
// ISO/IEC 14496-15 5.3.2 wants avc1 samples without sets and has avc3 for others,
// which not every player takes; but a key frame that is read after others of other
// sets needs its own, and which sender will change them nobody knows beforehand.
// Players know avc1 with sets: ffmpeg writes it of every byte stream.
func (c *h264) class(nal []byte) (nalClass, uint8, error) {
	switch t := nal[0] & 0x1f; t {
	case h264SPSType, h264PPSType:
		return nalSet, 0, nil
	case h264AUD, h264EndOfSeq, h264EndStream, h264Filler, h264SPSExt, h264SubsetSPS:
		return nalDrop, 0, nil
	case 1, h264PartitionA, h264IDR: // these have a slice header
		pps, ok := h264SlicePPS(nal)
		switch {
		case !ok:
			return 0, 0, fmt.Errorf("H264: slice of type %d with a broken header", t)
		case t == h264IDR:
			return nalIRAP, pps, nil
		}
		return nalSlice, pps, nil
	case h264SEI:
		if h264RecoveryPoint(nal[1:]) {
			return nalRecovery, 0, nil
		}
	}
	return nalKeep, 0, nil
}

// h264RecoveryPoint looks for a recovery point among SEI messages (Rec. ITU-T H.264
// 7.3.2.3.1, D.1.8) that is not a broken link.
func h264RecoveryPoint(sei []byte) bool {
	const recoveryPoint = 6
	for len(sei) > 1 { // the last byte has the trailing bits
		var kind, size int
		kind, sei = h264SEINumber(sei)
		size, sei = h264SEINumber(sei)
		if size > len(sei) {
			return false
		}
		if kind == recoveryPoint {
			var buf [16]byte
			r := bitReader{data: unescape(buf[:0], sei[:size])}
			r.ue()    // recovery_frame_cnt
			r.skip(1) // exact_match_flag
			broken := r.flag()
			return !r.failed && !broken
		}
		sei = sei[size:]
	}
	return false
}

// h264SEINumber reads the type or the size of a SEI message.
func h264SEINumber(sei []byte) (n int, rest []byte) {
	for len(sei) > 0 && sei[0] == 0xff {
		n, sei = n+0xff, sei[1:]
	}
	if len(sei) > 0 {
		n, sei = n+int(sei[0]), sei[1:]
	}
	return n, sei
}

// isKey implements nalCodec: an IDR picture refers to nothing before it.
func (c *h264) isKey([]byte, idSet) bool { return true }
