package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"strings"

	"github.com/live777/recorder/internal/media"
)

const (
	// nalLengthSize is the size of the length before each NAL unit of a sample;
	// avcC and hvcC say the same (ISO/IEC 14496-15 5.3.3.1, 8.3.3.1).
	nalLengthSize = 4
	// maxParameterSet bounds what is kept of a stream, bytes per set. Real ones
	// have less than 1 kB, with all scaling lists.
	maxParameterSet = 4096
	// maxDimension is what the 16-bit fields of a sample entry can hold.
	maxDimension = 1<<16 - 1
	// maxPPS is the number of picture parameter set ids, of the codec that has
	// most of them.
	maxPPS = 256
)

// nalClass says what becomes of a NAL unit.
type nalClass uint8

const (
	nalKeep     nalClass = iota // stays in the sample
	nalDrop                     // has no place in a file
	nalSet                      // a parameter set: stands in the sample entry only
	nalSlice                    // picture data; stays in the sample
	nalIRAP                     // picture data of a picture that decoding may start with
	nalRecovery                 // says that decoding may start here, and the picture is whole some pictures later
)

// nalCodec is what tells one codec of NAL units from another.
type nalCodec interface {
	// nalType reads the type in the first byte of a NAL unit or packet; ok says
	// that it is a NAL unit's and not one of those that RTP adds.
	nalType(first byte) (t byte, ok bool)
	// packet hands what an RTP payload holds to a: whole, aggregate or fragment.
	packet(a *nalAssembler, payload []byte) error
	// heads yields the start of each NAL unit that begins in an RTP payload; it
	// yields nil for the rest of one that began before.
	heads(payload []byte) iter.Seq[[]byte]
	// role looks at the start of a NAL unit.
	role(head []byte) nalRole
	// class looks at a complete NAL unit. pps is the picture parameter set that
	// a slice refers to.
	class(nal []byte) (c nalClass, pps uint8, err error)
	// isKey reports whether decoding can start at a picture with an nalIRAP
	// slice like nal, and whose slices refer to the picture parameter sets used.
	isKey(nal []byte, used idSet) bool

	// store keeps a parameter set, and a reference to it; changed says that it
	// is not the one that was known by its id.
	store(nal []byte) (changed bool, err error)
	// chain appends the parameter sets that a picture parameter set makes part
	// of a picture, itself last, to dst.
	chain(dst []nalSetOf, pps uint8) ([]nalSetOf, error)
	// reorder returns how many pictures may be sent before one that is shown before
	// them, by a picture parameter set; 0 where it is not known.
	reorder(pps uint8) int
	// picOrder reads what the header of a slice, which refers to a picture parameter
	// set that is known, says about the order of pictures.
	picOrder(nal []byte) picOrder
	// describe returns the format of a key frame whose slices refer to the
	// picture parameter sets used, and the sets that stand in its sample entry.
	describe(used idSet) (*media.Format, []nalSetOf, error)
}

// nalRole is what a NAL unit says about the place where it stands.
type nalRole uint8

const (
	roleOther      nalRole = iota
	roleDelimiter          // nothing of the access unit is before it
	roleFirstSet           // the parameter set that comes before those which refer to it
	roleFirstSlice         // the first slice of a picture
	roleSlice              // another slice
)

// nalAssembler makes samples of a codec of NAL units: those of H264 (RFC 6184)
// and H265 (RFC 7798) have the same form in packets and in files.
type nalAssembler struct {
	nalCodec
	name   string // for errors, as are the names of two packet types:
	fuName string
	apName string

	sets nalSets
	// inBand says that parameter sets came with the last key frame, so that one
	// whose beginning is missing may have lost its own.
	inBand bool
	depth  int // Unit.Reorder since the last key frame

	// Of the unit being assembled:
	sample  []byte   // length-prefixed NAL units
	fu      int      // offset in sample of the fragmented NAL unit's length, -1 outside of one
	came    [][]byte // parameter sets, not yet stored
	slices  idSet    // picture parameter sets that the slices refer to
	picture bool     // has a slice
	irap    int      // offset in sample of an nalIRAP slice's length, -1 without one
	point   bool     // has an nalRecovery
	first   int      // offset in sample of the first slice's length

	points int // units with one since the last key picture
	count  picCount
}

// minPoints is how many recovery points must come without a key picture between them
// before they count as such: then the sender refreshes its pictures bit by bit, and
// most decoders begin there. Those of browsers need a key picture to begin with, so
// where one comes it is better.
const minPoints = 2

// Starts implements Assembler. Where the sets are in band, a unit without them
// may have lost them. They may be in any order, with SEI between and before them
// (Rec. ITU-T H.264 7.4.1.2.3, H.265 7.4.2.4.4).
func (a *nalAssembler) Starts(payloads [][]byte) bool {
	first, sets := true, !a.inBand
	for _, p := range payloads {
		for head := range a.heads(trimStartCode(p)) {
			if first && head == nil {
				return false
			}
			for nal := range splitNALs(head) {
				switch a.role(nal) {
				case roleDelimiter:
					if first {
						return true
					}
				case roleFirstSet:
					sets = true
				case roleFirstSlice:
					return sets
				case roleSlice:
					return false
				case roleOther:
				}
				first = false
			}
		}
	}
	return false
}

// Assemble implements Assembler.
func (a *nalAssembler) Assemble(payloads [][]byte) (Unit, error) {
	a.begin(payloads)
	for _, p := range payloads {
		if err := a.add(p); err != nil {
			return Unit{}, err
		}
	}
	if a.fu >= 0 {
		return Unit{}, a.errorf("the access unit ends within a fragmented NAL unit")
	}
	if err := a.store(a.came); err != nil {
		return Unit{}, err
	}
	if !a.picture {
		a.inBand = a.inBand || len(a.came) > 0 && a.sets.format() == nil
		return Unit{Format: a.sets.format()}, nil
	}
	key := a.isStart()
	missing, err := a.sets.picture(a.nalCodec, key, a.slices)
	if err != nil {
		return Unit{}, fmt.Errorf("%s: %w", a.name, err)
	}
	if key {
		a.inBand = len(a.came) > 0
		a.depth = InOrder
		for id := range a.slices.all() {
			a.depth = max(a.depth, a.reorder(id))
		}
	}
	u := Unit{Data: prepend(missing, a.sample), Key: key, Format: a.sets.format(), Reorder: a.depth}
	if a.sets.active != nil {
		a.count.place(&u, a.picOrder(a.sample[a.first+nalLengthSize:]))
	}
	a.sample = nil // the caller owns it now
	return u, nil
}

// isStart reports whether decoding can start with the unit.
func (a *nalAssembler) isStart() bool {
	if a.irap >= 0 && a.isKey(a.sample[a.irap+nalLengthSize:], a.slices) {
		a.points = 0
		return true
	}
	if !a.point {
		return false
	}
	a.points++
	for id := range a.slices.all() {
		if a.reorder(id) > 0 { // pictures that are shown before it may need what came before it
			return false
		}
	}
	return a.points >= minPoints
}

// store keeps the parameter sets that came with the unit.
func (a *nalAssembler) store(came [][]byte) error {
	for _, nal := range came {
		if len(nal) > maxParameterSet {
			return a.errorf("parameter set of %d bytes, at most %d are believed", len(nal), maxParameterSet)
		}
		changed, err := a.nalCodec.store(nal)
		if err != nil {
			return err
		}
		if changed {
			a.sets.changed()
		}
	}
	return nil
}

// prepend returns the sample with NAL units before it.
func prepend(nals [][]byte, sample []byte) []byte {
	if len(nals) == 0 {
		return sample
	}
	var out []byte
	for _, nal := range nals {
		out = binary.BigEndian.AppendUint32(out, uint32(len(nal)))
		out = append(out, nal...)
	}
	return append(out, sample...)
}

// begin resets the state of the unit and makes room for a sample: fragments
// shrink and the other NAL units grow by their lengths.
func (a *nalAssembler) begin(payloads [][]byte) {
	size := 0
	for _, p := range payloads {
		size += len(p) + nalLengthSize
	}
	if cap(a.sample) < size {
		a.sample = make([]byte, 0, size)
	}
	a.sample = a.sample[:0]
	clear(a.came)
	a.came = a.came[:0]
	a.fu, a.irap, a.slices, a.picture, a.point = -1, -1, idSet{}, false, false
}

// add adds what one RTP payload holds.
func (a *nalAssembler) add(p []byte) error {
	p = trimStartCode(p)
	switch {
	case len(p) == 0:
		return a.errorf("empty packet")
	case p[0]&0x80 != 0:
		return a.errorf("forbidden_zero_bit is set: the sender says that the NAL unit is damaged")
	}
	return a.packet(a, p)
}

// interrupted reports whether a packet that is no fragment comes where the next
// fragment of a NAL unit must.
func (a *nalAssembler) interrupted() error {
	if a.fu >= 0 {
		return a.errorf("a fragmented NAL unit is interrupted by another packet")
	}
	return nil
}

// whole adds one complete NAL unit.
func (a *nalAssembler) whole(nal []byte) error {
	if err := a.interrupted(); err != nil {
		return err
	}
	start := len(a.sample)
	a.sample = append(a.sample, 0, 0, 0, 0)
	a.sample = append(a.sample, nal...)
	return a.finish(start)
}

// aggregate adds the NAL units of an aggregation packet without its header:
// each has a length of 16 bits before it (RFC 6184 5.7.1, RFC 7798 4.4.2).
func (a *nalAssembler) aggregate(p []byte) error {
	for len(p) > 0 {
		if len(p) < 2 {
			return a.errorf("%s ends within a length", a.apName)
		}
		n := int(binary.BigEndian.Uint16(p))
		p = p[2:]
		if n > len(p) {
			return a.errorf("%s has a NAL unit of %d bytes but only %d are left", a.apName, n, len(p))
		}
		nal := trimStartCode(p[:n])
		p = p[n:]
		if len(nal) == 0 {
			continue
		}
		if t, ok := a.nalType(nal[0]); !ok {
			return a.errorf("%s contains a NAL unit of type %d", a.apName, t)
		}
		if err := a.whole(nal); err != nil {
			return err
		}
	}
	return nil
}

// fragment adds a fragment of the NAL unit with the given header (RFC 6184 5.8,
// RFC 7798 4.4.3). One that is both first and last is forbidden there but
// harmless, and accepted.
func (a *nalAssembler) fragment(first, last bool, header, body []byte) error {
	t, ok := a.nalType(header[0])
	switch {
	case !ok:
		return a.errorf("%s with a NAL unit of type %d", a.fuName, t)
	case first && a.fu >= 0:
		return a.errorf("%s starts a NAL unit before the last one ended", a.fuName)
	case !first && a.fu < 0:
		return a.errorf("%s without the start of its NAL unit", a.fuName)
	case first:
		a.fu = len(a.sample)
		a.sample = append(a.sample, 0, 0, 0, 0)
		a.sample = append(a.sample, header...)
	case !a.sameType(t):
		return a.errorf("the type changes between the fragments of a NAL unit")
	}
	a.sample = append(a.sample, body...)
	if !last {
		return nil
	}
	start := a.fu
	a.fu = -1
	return a.finish(start)
}

// sameType reports whether the NAL unit that is being put together has type t.
func (a *nalAssembler) sameType(t byte) bool {
	u, _ := a.nalType(a.sample[a.fu+nalLengthSize])
	return u == t
}

// finish completes the NAL unit whose length field is at start. There are
// senders that put several into one, as a byte stream (Rec. ITU-T H.264 annex B)
// has them: with start codes between, which no NAL unit can contain, and with
// zeros behind, with which none can end.
func (a *nalAssembler) finish(start int) error {
	nal := a.sample[start+nalLengthSize:]
	if !bytes.Contains(nal, startCode) {
		return a.place(start, len(bytes.TrimRight(nal, "\x00")))
	}
	stream := bytes.Clone(nal)
	a.sample = a.sample[:start]
	for nal := range splitNALs(stream) {
		if _, ok := a.nalType(nal[0]); !ok {
			continue
		}
		start := len(a.sample)
		a.sample = append(a.sample, 0, 0, 0, 0)
		a.sample = append(a.sample, nal...)
		if err := a.place(start, len(nal)); err != nil {
			return err
		}
	}
	return nil
}

// place decides about the NAL unit of size bytes whose length field is at start:
// it stays in the sample, is put aside as a parameter set, or is dropped.
func (a *nalAssembler) place(start, size int) error {
	nal := a.sample[start+nalLengthSize:][:size]
	c, pps, err := nalDrop, uint8(0), error(nil)
	if size > 0 {
		c, pps, err = a.class(nal)
	}
	if err != nil {
		return err
	}
	a.sample = a.sample[:start+nalLengthSize+size]
	switch c {
	case nalSet:
		a.came = append(a.came, bytes.Clone(nal))
		a.sample = a.sample[:start]
		return nil
	case nalDrop:
		a.sample = a.sample[:start]
		return nil
	case nalIRAP:
		a.irap = start
		fallthrough
	case nalSlice:
		if !a.picture {
			a.first = start
		}
		a.slices.add(pps)
		a.picture = true
	case nalRecovery:
		a.point = true
	case nalKeep:
	}
	binary.BigEndian.PutUint32(a.sample[start:], uint32(size))
	return nil
}

// startCode separates the NAL units of a byte stream (Rec. ITU-T H.264 annex B).
var startCode = []byte{0, 0, 1}

// trimStartCode returns p without the start code that it begins with, if it does.
func trimStartCode(p []byte) []byte {
	if len(p) > 2 && p[0] == 0 && p[1] == 0 {
		if rest := bytes.TrimLeft(p, "\x00"); len(rest) > 0 && rest[0] == 1 {
			return rest[1:]
		}
	}
	return p
}

// splitNALs yields the NAL units of a byte stream whose first has no start code.
func splitNALs(stream []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(stream) > 0 {
			nal, rest, _ := bytes.Cut(stream, startCode)
			if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 && !yield(nal) {
				return
			}
			stream = rest
		}
	}
}

func (a *nalAssembler) errorf(format string, args ...any) error {
	return fmt.Errorf(a.name+": "+format, args...)
}

// idSet is a set of picture parameter set ids.
type idSet [maxPPS / 64]uint64

func (s *idSet) add(id uint8)      { s[id>>6] |= 1 << (id & 63) }
func (s *idSet) has(id uint8) bool { return s[id>>6]&(1<<(id&63)) != 0 }

// all yields the ids in ascending order.
func (s *idSet) all() iter.Seq[uint8] {
	return func(yield func(uint8) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(uint8(i<<6 | bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// spropSets returns the NAL units in the a=fmtp parameter name: base64,
// separated by commas (RFC 6184 8.1, RFC 7798 7.1). What is malformed, or not
// a parameter set by its header, is left out.
func spropSets(fmtp, name string, isSet func(nal []byte) bool) [][]byte {
	v, ok := fmtpParam(fmtp, name)
	if !ok {
		return nil
	}
	var sets [][]byte
	for s := range strings.SplitSeq(v, ",") {
		nal, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
		if err == nil && len(nal) > 0 && len(nal) <= maxParameterSet && isSet(nal) {
			sets = append(sets, nal)
		}
	}
	return sets
}

// guard calls a parser that is not ours with what a stranger sent: a panic must
// not end the process. what begins the error.
func guard[T any](what string, data []byte, parse func([]byte) (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", what, r)
		}
	}()
	if v, err = parse(data); err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}
