package codec

import (
	"bytes"
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/Eyevinn/mp4ff/av1"

	"github.com/live777/recorder/internal/media"
)

// maxKept bounds how many parameter sets are kept of a track, the newest: a
// sender that has more sends them again and again.
const maxKept = 32

// Keeper keeps the parameter sets that a track's packets carry, for who joins
// later: there are senders that send them once. Observe is called by one goroutine
// at a time, Kept by any.
type Keeper struct {
	kind kept
	sets []keptSet // by age
	kept atomic.Pointer[[][]byte]
}

// keptSet is a parameter set as the payload of a packet.
type keptSet struct {
	key     uint16
	payload []byte
}

// kept is what tells the codecs apart.
type kept interface {
	// may reports, at little cost, whether a payload may have parameter sets.
	may(payload []byte) bool
	// each yields the payloads of packets with one parameter set each, of those that
	// a payload has whole. They are parts of it.
	each(payload []byte, yield func([]byte))
	// key returns the type and id of a parameter set by its payload, false where it is
	// broken. Lower keys come first in a stream.
	key(payload []byte) (uint16, bool)
}

// NewKeeper returns a Keeper for the packets of t, which knows what is in its a=fmtp
// already; nil for a codec that has no parameter sets apart from its frames.
func NewKeeper(t media.Track) *Keeper {
	switch t.Codec {
	case "H264":
		k := &Keeper{kind: keptH264{}}
		for _, nal := range spropParameterSets(t.Fmtp) {
			k.Observe(nal)
		}
		return k
	case "H265":
		k := &Keeper{kind: keptH265{}}
		for _, nal := range h265Sprop(t.Fmtp) {
			k.Observe(nal)
		}
		return k
	case "AV1":
		return &Keeper{kind: keptAV1{}}
	}
	return nil
}

// Observe looks at the payload of the next packet. It keeps nothing of it.
func (k *Keeper) Observe(payload []byte) {
	if len(payload) == 0 || !k.kind.may(payload) {
		return
	}
	changed := false
	k.kind.each(payload, func(p []byte) { changed = k.add(p) || changed })
	if !changed {
		return
	}
	ordered := slices.Clone(k.sets)
	slices.SortStableFunc(ordered, func(a, b keptSet) int { return cmp.Compare(a.key, b.key) })
	payloads := make([][]byte, len(ordered))
	for i := range ordered {
		payloads[i] = ordered[i].payload
	}
	k.kept.Store(&payloads)
}

// Kept returns the payloads of packets that tell a decoder what is kept. The
// caller must not change them.
func (k *Keeper) Kept() [][]byte {
	if p := k.kept.Load(); p != nil {
		return *p
	}
	return nil
}

// add keeps a parameter set in place of that with the same type and id, and
// reports whether it is news.
func (k *Keeper) add(p []byte) bool {
	if len(p) > maxParameterSet || slices.ContainsFunc(k.sets, func(s keptSet) bool { return bytes.Equal(s.payload, p) }) {
		return false
	}
	key, ok := k.kind.key(p)
	if !ok {
		return false
	}
	k.sets = slices.DeleteFunc(k.sets, func(s keptSet) bool { return s.key == key })
	if len(k.sets) == maxKept {
		k.sets = slices.Delete(k.sets, 0, 1)
	}
	k.sets = append(k.sets, keptSet{key, bytes.Clone(p)})
	return true
}

type keptH264 struct{}

func (keptH264) may(p []byte) bool {
	switch t := p[0] & 0x1f; t {
	case rtpSTAPA:
		return true
	case rtpFUA:
		return len(p) > 2 && p[1]&0x80 != 0 && h264Aside(p[1]&0x1f)
	default:
		return t == 0 || h264Aside(t)
	}
}

// h264Aside reports whether a NAL unit is a parameter set, or what stands beside
// them, where some packetizers forget the start codes of those that follow.
func h264Aside(t byte) bool { return t >= 6 && t <= h264AUD }

func (keptH264) each(p []byte, yield func([]byte)) {
	whole := p[0]&0x1f != rtpFUA || len(p) > 1 && p[1]&0x40 != 0
	eachSet((&h264{}).heads(trimStartCode(p)), whole, func(nal []byte) bool { return nal[0]&0x1f == h264SPSType || nal[0]&0x1f == h264PPSType }, yield)
}

func (keptH264) key(nal []byte) (uint16, bool) {
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[1:])}
	if nal[0]&0x1f == h264SPSType {
		r.skip(24) // profile, constraints, level
		id := r.ue()
		return h264SPSKey | uint16(id), !r.failed && id < maxSPS
	}
	id := r.ue()
	return h264PPSKey | uint16(id), !r.failed && id < maxPPS
}

type keptH265 struct{}

func (keptH265) may(p []byte) bool {
	if len(p) <= h265HeaderLen {
		return false
	}
	switch t := h265Type(p[0]); t {
	case rtpAP:
		return true
	case rtpFU:
		return p[2]&0x80 != 0 && h265Aside(p[2]&0x3f)
	default:
		return t == 0 && p[1] == 0 || h265Aside(t)
	}
}

// h265Aside is h264Aside for H265.
func h265Aside(t byte) bool { return t >= h265VPSType && t <= h265AUD || t == h265PrefixSEI }

func (keptH265) each(p []byte, yield func([]byte)) {
	whole := h265Type(p[0]) != rtpFU || p[2]&0x40 != 0
	eachSet((&h265{}).heads(trimStartCode(p)), whole, isH265Set, yield)
}

func (keptH265) key(nal []byte) (uint16, bool) {
	switch h265Type(nal[0]) {
	case h265VPSType:
		return h265VPSKey | uint16(nal[h265HeaderLen]>>4), true
	case h265SPSType:
		sps, err := parseH265SPS(nal)
		if err != nil {
			return 0, false
		}
		return h265SPSKey | uint16(sps.info.SpsID), true
	}
	var buf [16]byte
	r := bitReader{data: unescape(buf[:0], nal[h265HeaderLen:])}
	id := r.ue()
	return h265PPSKey | uint16(id), !r.failed && id < h265MaxPPS
}

// eachSet yields the parameter sets of NAL units that begin in a packet; whole says
// that the last of them ends in it.
func eachSet(heads func(func([]byte) bool), whole bool, isSet func([]byte) bool, yield func([]byte)) {
	var last []byte
	for head := range heads {
		for nal := range splitNALs(head) {
			if last != nil && isSet(last) {
				yield(last)
			}
			last = nal
		}
	}
	if last != nil && whole && isSet(last) {
		yield(last)
	}
}

type keptAV1 struct{}

// av1Alone is the aggregation header of a packet with one OBU.
const av1Alone = 1 << 4

func (keptAV1) may(p []byte) bool {
	return len(p) > 2 && p[0]&av1Continues == 0 && (&av1Assembler{}).Starts([][]byte{p})
}

func (keptAV1) each(p []byte, yield func([]byte)) {
	header, rest := p[0], p[1:]
	count := int(header >> 4 & 3)
	for i := 1; len(rest) > 0; i++ {
		var obu []byte
		var err error
		if obu, rest, err = av1Element(rest, i == count); err != nil {
			return
		}
		if len(obu) == 0 || av1Type(obu) != av1.OBUSequenceHeader || len(rest) == 0 && header&av1Unfinished != 0 {
			continue
		}
		if body := av1Body(obu); len(body) > 0 {
			yield(append([]byte{av1Alone, byte(av1.OBUSequenceHeader) << 3}, body...))
		}
	}
}

func (keptAV1) key([]byte) (uint16, bool) { return 0, true }
