package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/live777/recorder/internal/media"
)

// NAL unit types (Rec. ITU-T H.265 table 7-1) and RTP packet types (RFC 7798
// 4.4) that are treated apart.
const (
	h265RASLR     = 9 // the last type of a slice that starts nothing
	h265BLAWLP    = 16
	h265BLAWRADL  = 17
	h265BLANLP    = 18
	h265IDRWRADL  = 19
	h265IDRNLP    = 20
	h265CRA       = 21
	h265LastIRAP  = 23
	h265VPSType   = 32
	h265SPSType   = 33
	h265PPSType   = 34
	h265AUD       = 35
	h265EOB       = 37
	h265Filler    = 38
	h265PrefixSEI = 39
	h265Max       = 47 // the last type that is a NAL unit of its own
	rtpAP         = 48
	rtpFU         = 49
	rtpPACI       = 50
	h265HeaderLen = 2
)

// h265 reads RFC 7798 packets of a single RTP stream in decoding order.
type h265 struct{ h265ParameterSets }

func newH265(t media.Track) (Assembler, error) {
	for _, name := range []string{"sprop-max-don-diff", "sprop-depack-buf-nalus"} {
		v, ok := fmtpParam(t.Fmtp, name)
		if n, err := strconv.Atoi(v); ok && (err != nil || n != 0) {
			return nil, fmt.Errorf("H265 %s=%s: a stream whose NAL units are not sent in decoding order cannot be recorded; publish with %s=0", name, v, name)
		}
	}
	c := &h265{}
	a := &nalAssembler{nalCodec: c, name: "H265", fuName: "FU", apName: "AP"}
	for _, nal := range slices.Concat(h265Sprop(t.Fmtp), t.Parameters) {
		// What is wrong here does not matter as long as the stream has its own.
		_, _ = a.nalCodec.store(nal)
	}
	return a, nil
}

// h265Sprop returns the parameter sets of a=fmtp (RFC 7798 7.1).
func h265Sprop(fmtp string) (nals [][]byte) {
	for _, name := range []string{"sprop-vps", "sprop-sps", "sprop-pps"} {
		nals = append(nals, spropSets(fmtp, name, isH265Set)...)
	}
	return nals
}

func h265Type(first byte) byte { return first >> 1 & 0x3f }

// h265Layer returns the nuh_layer_id of a NAL unit header.
func h265Layer(nal []byte) byte { return nal[0]&1<<5 | nal[1]>>3 }

// isH265Set reports whether nal is a parameter set of the base layer.
func isH265Set(nal []byte) bool {
	return len(nal) > h265HeaderLen && h265Layer(nal) == 0 && slices.Contains([]byte{h265VPSType, h265SPSType, h265PPSType}, h265Type(nal[0]))
}

// nalType implements nalCodec.
func (c *h265) nalType(first byte) (t byte, ok bool) {
	t = h265Type(first)
	return t, t <= h265Max
}

// heads implements nalCodec.
func (c *h265) heads(p []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		switch {
		case len(p) <= h265HeaderLen:
			yield(nil)
		case h265Type(p[0]) == rtpAP:
			for p = p[h265HeaderLen:]; len(p) > 2; {
				n := min(int(binary.BigEndian.Uint16(p)), len(p)-2)
				if !yield(trimStartCode(p[2 : 2+n])) {
					return
				}
				p = p[2+n:]
			}
		case h265Type(p[0]) != rtpFU:
			yield(p)
		case p[2]&0x80 != 0:
			yield(append([]byte{p[2] & 0x3f << 1, p[1]}, p[3:]...))
		default:
			yield(nil)
		}
	}
}

// role implements nalCodec.
func (c *h265) role(nal []byte) nalRole {
	switch t := h265Type(nal[0]); {
	case t == h265AUD:
		return roleDelimiter
	case t == h265VPSType:
		return roleFirstSet
	case t <= h265RASLR, t >= h265BLAWLP && t <= h265CRA:
		if len(nal) > h265HeaderLen && nal[h265HeaderLen]&0x80 != 0 { // first_slice_segment_in_pic_flag
			return roleFirstSlice
		}
		return roleSlice
	}
	return roleOther
}

// packet adds the NAL units of one RTP payload (RFC 7798 4.4).
func (c *h265) packet(a *nalAssembler, p []byte) error {
	if len(p) < h265HeaderLen {
		return errors.New("H265: packet without a whole header")
	}
	t, ok := c.nalType(p[0])
	if t == rtpFU {
		return c.fu(a, p)
	}
	if err := a.interrupted(); err != nil {
		return err
	}
	switch {
	case t == rtpAP:
		return a.aggregate(p[h265HeaderLen:])
	case t == rtpPACI:
		return errors.New("H265: PACI packets (type 50) are not supported; publish without them")
	case !ok: // unspecified: receivers ignore them
		return nil
	}
	return a.whole(p)
}

// fu adds one fragmentation unit (RFC 7798 4.4.3).
func (c *h265) fu(a *nalAssembler, p []byte) error {
	if len(p) < h265HeaderLen+1 {
		return errors.New("H265: FU without a header")
	}
	header := [h265HeaderLen]byte{p[0]&0x81 | p[2]&0x3f<<1, p[1]}
	return a.fragment(p[2]&0x80 != 0, p[2]&0x40 != 0, header[:], p[3:])
}

// class implements nalCodec. hvc1: parameter sets stand in the sample entry (ISO/IEC
// 14496-15 8.4.2), and only what it cannot know in samples. Layers above the base layer are of no use to a
// decoder of hvc1, and their parameter sets would be taken for the base layer's.
func (c *h265) class(nal []byte) (nalClass, uint8, error) {
	if len(nal) < h265HeaderLen {
		return 0, 0, errors.New("H265: NAL unit without a whole header")
	}
	if h265Layer(nal) != 0 {
		return nalDrop, 0, nil
	}
	switch t := h265Type(nal[0]); {
	case t == h265VPSType, t == h265SPSType, t == h265PPSType:
		return nalSet, 0, nil
	case t == h265AUD, t == h265EOB, t == h265Filler:
		return nalDrop, 0, nil // the end of a sequence stays: a CRA picture after it is another
	case t <= h265RASLR, t >= h265BLAWLP && t <= h265CRA:
		pps, ok := h265SlicePPS(nal)
		switch {
		case !ok:
			return 0, 0, fmt.Errorf("H265: slice of type %d with a broken header", t)
		case t >= h265BLAWLP:
			return nalIRAP, pps, nil
		}
		return nalSlice, pps, nil
	}
	return nalKeep, 0, nil
}

// isKey implements nalCodec. IDR pictures, and BLA pictures without RASL
// pictures, start decoding. Pictures that follow a CRA picture (and some BLA
// pictures) and are shown before it may refer to what came before it; it starts
// decoding only where the stream says that there are none because nothing is
// reordered, as WebRTC senders do it.
func (c *h265) isKey(nal []byte, used idSet) bool {
	switch h265Type(nal[0]) {
	case h265IDRWRADL, h265IDRNLP, h265BLANLP, h265BLAWRADL:
		return true
	}
	for id := range used.all() {
		if sps := c.spsOf(id); sps == nil || sps.reorder > 0 {
			return false
		}
	}
	return true
}

// h265SlicePPS returns the id of the picture parameter set that a slice refers
// to (Rec. ITU-T H.265 7.3.6.1).
func h265SlicePPS(nal []byte) (uint8, bool) {
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[h265HeaderLen:])}
	r.skip(1) // first_slice_segment_in_pic_flag
	if t := h265Type(nal[0]); t >= h265BLAWLP && t <= h265LastIRAP {
		r.skip(1) // no_output_of_prior_pics_flag
	}
	id := r.ue()
	return uint8(id), !r.failed && id < h265MaxPPS
}
