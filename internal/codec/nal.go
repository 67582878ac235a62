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
	nalKeep  nalClass = iota // stays in the sample
	nalDrop                  // has no place in a file
	nalSet                   // a parameter set: stands in the sample entry only
	nalSlice                 // picture data; stays in the sample
	nalIRAP                  // picture data of a picture that decoding may start with
)

// nalCodec is what tells one codec of NAL units from another.
type nalCodec interface {
	// nalType reads the type in the first byte of a NAL unit or packet; ok says
	// that it is a NAL unit's and not one of those that RTP adds.
	nalType(first byte) (t byte, ok bool)
	// packet hands what an RTP payload holds to a: whole, aggregate or fragment.
	packet(a *nalAssembler, payload []byte) error
	// class looks at a complete NAL unit. pps is the picture parameter set that
	// a slice refers to.
	class(nal []byte) (c nalClass, pps uint8, err error)
	// starts reports whether payload can begin an access unit; inBand says that
	// the stream carries its own parameter sets.
	starts(payload []byte, inBand bool) bool
	// store keeps a parameter set, and a reference to it.
	store(nal []byte) error
	// isKey reports whether decoding can start at a picture with an nalIRAP
	// slice like nal, and whose slices refer to the picture parameter sets used.
	isKey(nal []byte, used idSet) bool
	// activate brings the parameter sets of a key frame into force and returns
	// its format.
	activate(used idSet) (*media.Format, error)
	// inForce reports whether a picture parameter set is part of the last
	// format, and as it was then.
	inForce(pps uint8) bool
}

// nalAssembler makes samples of a codec of NAL units: those of H264 (RFC 6184)
// and H265 (RFC 7798) have the same form in packets and in files.
type nalAssembler struct {
	nalCodec
	name   string // for errors, as are the names of two packet types:
	fuName string
	apName string

	format *media.Format
	// inBand says that parameter sets came in the stream, so that a key frame
	// whose beginning is missing may have lost its own.
	inBand bool

	// Of the unit being assembled:
	sample  []byte   // length-prefixed NAL units
	fu      int      // offset in sample of the fragmented NAL unit's length, -1 outside of one
	sets    [][]byte // parameter sets, not yet in force
	slices  idSet    // picture parameter sets that the slices refer to
	picture bool     // has a slice
	irap    int      // offset in sample of an nalIRAP slice's length, -1 without one
}

// Starts implements Assembler.
func (a *nalAssembler) Starts(payload []byte) bool { return a.starts(payload, a.inBand) }

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
	for _, nal := range a.sets {
		if len(nal) > maxParameterSet {
			return Unit{}, a.errorf("parameter set of %d bytes, at most %d are believed", len(nal), maxParameterSet)
		}
		if err := a.store(nal); err != nil {
			return Unit{}, err
		}
		a.inBand = true
	}
	if !a.picture {
		return Unit{Format: a.format}, nil
	}
	key := a.irap >= 0 && a.isKey(a.sample[a.irap+nalLengthSize:], a.slices)
	if err := a.checkSlices(key); err != nil {
		return Unit{}, err
	}
	u := Unit{Data: a.sample, Key: key, Format: a.format}
	a.sample = nil // the caller owns it now
	return u, nil
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
	clear(a.sets)
	a.sets = a.sets[:0]
	a.fu, a.irap, a.slices, a.picture = -1, -1, idSet{}, false
}

// add adds what one RTP payload holds.
func (a *nalAssembler) add(p []byte) error {
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
		if n == 0 {
			continue
		}
		if t, ok := a.nalType(p[0]); !ok {
			return a.errorf("%s contains a NAL unit of type %d", a.apName, t)
		}
		if err := a.whole(p[:n]); err != nil {
			return err
		}
		p = p[n:]
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

// finish completes the NAL unit whose length field is at start: it stays in
// the sample, is put aside as a parameter set, or is dropped.
func (a *nalAssembler) finish(start int) error {
	nal := a.sample[start+nalLengthSize:]
	c, pps, err := a.class(nal)
	if err != nil {
		return err
	}
	switch c {
	case nalSet:
		a.sets = append(a.sets, bytes.Clone(nal))
		a.sample = a.sample[:start]
		return nil
	case nalDrop:
		a.sample = a.sample[:start]
		return nil
	case nalIRAP:
		a.irap = start
		fallthrough
	case nalSlice:
		a.slices.add(pps)
		a.picture = true
	case nalKeep:
	}
	binary.BigEndian.PutUint32(a.sample[start:], uint32(len(nal)))
	return nil
}

// checkSlices makes sure that the decoder that the format describes has the
// parameter sets that the slices refer to. A key frame brings those that are
// known now into force.
func (a *nalAssembler) checkSlices(key bool) error {
	if key {
		f, err := a.activate(a.slices)
		if err != nil {
			return err
		}
		if !f.Equal(a.format) {
			a.format = f
		}
		return nil
	}
	if a.format == nil {
		return nil // nothing is recorded before the first key frame
	}
	for id := range a.slices.all() {
		if !a.inForce(id) {
			return a.errorf("a slice refers to picture parameter set %d, which changed after the last key frame", id)
		}
	}
	return nil
}

func (a *nalAssembler) errorf(format string, args ...any) error {
	return fmt.Errorf(a.name+": "+format, args...)
}

// idSet is a set of picture parameter set ids.
type idSet [maxPPS / 64]uint64

func (s *idSet) add(id uint8)      { s[id>>6] |= 1 << (id & 63) }
func (s *idSet) remove(id uint8)   { s[id>>6] &^= 1 << (id & 63) }
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
