package codec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/av1"

	"github.com/live777/recorder/internal/media"
)

// av1Assembler makes samples of packets as "RTP Payload Format For AV1" v1.0.0
// has them: a sample is a temporal unit, with all spatial layers.
type av1Assembler struct {
	format *media.Format
	header []byte // the last sequence header OBU, with its size
	active []byte // the one that the last key frame brought into force
	bare   bool   // the last key frame came without one, or may have

	// Of the unit being assembled:
	obu     []byte // the OBU that is being put together
	open    bool   // it goes on in the next packet
	sample  []byte
	headers []byte // its sequence header OBU, with its size; nil without one
	frames  bool   // has a frame
	key     bool   // the first frame is a key frame that is shown
	headed  bool   // the sequence header stands before the first frame
	first   []byte // the start of that frame, with its header
}

func newAV1(t media.Track) (Assembler, error) {
	a := &av1Assembler{}
	for _, p := range t.Parameters {
		// What is wrong here does not matter as long as the stream has its own.
		_, _ = a.Assemble([][]byte{p})
		a.bare = a.header != nil
	}
	return a, nil
}

// Bits of the aggregation header (RTP Payload Format For AV1, 4.4).
const (
	av1Continues   = 0x80 // Z: the first OBU element continues the last packet's
	av1Unfinished  = 0x40 // Y: the last OBU element goes on in the next packet
	av1NewSequence = 0x08 // N: the first packet of a coded video sequence
)

// av1HasSize is obu_has_size_field, av1HasExtension obu_extension_flag in the
// first byte of an OBU (AV1 bitstream specification 5.3.2).
const (
	av1HasSize      = 0x02
	av1HasExtension = 0x04
)

// Starts reports whether the first payload begins with a temporal delimiter or a
// sequence header: key frames of WebRTC senders do. Of a sender that does not repeat
// the header, the key frame itself is the beginning; what else begins without one
// cannot be told from the rest of a temporal unit.
func (a *av1Assembler) Starts(payloads [][]byte) bool {
	payload := payloads[0]
	if len(payload) < 2 || payload[0]&av1Continues != 0 {
		return false
	}
	if payload[0]&av1NewSequence != 0 {
		return true
	}
	first := payload[1:]
	if payload[0]>>4&3 != 1 { // a length comes first
		_, n, err := av1.ReadLEB128(first)
		if err != nil || n == len(first) {
			return false
		}
		first = first[n:]
	}
	switch av1Type(first) {
	case av1.OBUSequenceHeader, av1.OBUTemporalDelimiter:
		return true
	case av1.OBUFrame, av1.OBUFrameHeader:
		return a.bare && av1IsKey(av1Body(first))
	}
	return false
}

// av1Body returns what follows the header of the OBU that starts with data.
func av1Body(data []byte) []byte {
	n := 1
	if data[0]&av1HasExtension != 0 {
		n++
	}
	if data[0]&av1HasSize != 0 {
		_, size, err := av1.ReadLEB128(data[min(n, len(data)):])
		if err != nil {
			return nil
		}
		n += size
	}
	return data[min(n, len(data)):]
}

// av1IsKey reports whether a frame header begins a key frame that is shown:
// show_existing_frame, two bits of frame_type (0 is KEY_FRAME), show_frame.
func av1IsKey(header []byte) bool { return len(header) > 0 && header[0]>>4 == 1 }

// av1MaxFrameHeader is enough for the header of a key frame, bytes.
const av1MaxFrameHeader = 256

func av1Type(obu []byte) av1.OBUType { return av1.OBUType(obu[0] >> 3 & 0x0f) }

// Assemble implements Assembler.
func (a *av1Assembler) Assemble(payloads [][]byte) (Unit, error) {
	a.begin(payloads)
	for _, p := range payloads {
		if err := a.packet(p); err != nil {
			return Unit{}, err
		}
	}
	if a.open {
		return Unit{}, errors.New("AV1: the temporal unit ends within an OBU")
	}
	if a.headers != nil {
		a.header = a.headers
	}
	if !a.frames {
		return Unit{Format: a.format}, nil
	}
	if !a.key {
		// Where the header is another one, this unit's frames cannot be decoded:
		// a new coded video sequence begins with a key frame.
		if a.active != nil && !bytes.Equal(a.header, a.active) {
			return Unit{}, errors.New("AV1: the sequence header changed without a key frame")
		}
	} else if err := a.activate(); err != nil {
		return Unit{}, err
	}
	u := Unit{Data: a.sample, Key: a.key, Format: a.format, Reorder: InOrder}
	a.sample = nil // the caller owns it now
	return u, nil
}

// begin resets the state of the unit and makes room for a sample: most OBUs
// grow by the size field, and a key frame perhaps by the sequence header.
func (a *av1Assembler) begin(payloads [][]byte) {
	const sizes = 16 // bytes, for some OBUs
	total := sizes
	for _, p := range payloads {
		total += len(p)
	}
	if cap(a.sample) < total {
		a.sample = make([]byte, 0, total)
	}
	a.sample, a.obu, a.headers = a.sample[:0], a.obu[:0], nil
	a.open, a.frames, a.key, a.headed = false, false, false, false
}

// packet adds the OBU elements of one RTP payload.
func (a *av1Assembler) packet(p []byte) error {
	if len(p) < 2 {
		return errors.New("AV1: packet without an OBU element")
	}
	header, p := p[0], p[1:]
	count := int(header >> 4 & 3) // W: elements, 0 where each has a length
	if (header&av1Continues != 0) != a.open {
		if a.open {
			return errors.New("AV1: the rest of an OBU is missing")
		}
		return errors.New("AV1: the start of an OBU is missing")
	}
	for i := 1; len(p) > 0; i++ {
		var element []byte
		var err error
		if element, p, err = av1Element(p, i == count); err != nil {
			return err
		}
		a.obu = append(a.obu, element...)
		a.open = len(p) == 0 && header&av1Unfinished != 0
		if a.open {
			break
		}
		if err := a.finish(); err != nil {
			return err
		}
		if len(p) == 0 && i < count {
			return fmt.Errorf("AV1: packet with %d OBU elements, %d were announced", i, count)
		}
	}
	return nil
}

// av1Element cuts the next OBU element off p; the last of a counted number has
// no length.
func av1Element(p []byte, last bool) (element, rest []byte, err error) {
	if last {
		return p, nil, nil
	}
	n, size, err := av1.ReadLEB128(p)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("AV1: length of an OBU element: %w", err)
	case n > uint64(len(p)-size):
		return nil, nil, fmt.Errorf("AV1: OBU element of %d bytes but only %d are left", n, len(p)-size)
	}
	p = p[size:]
	return p[:n], p[n:], nil
}

// finish adds the OBU that is complete to the sample, or drops it.
func (a *av1Assembler) finish() error {
	obu := a.obu
	a.obu = a.obu[:0]
	if len(obu) == 0 {
		return nil // an empty element, allowed and of no use
	}
	h, err := av1.ParseOBUHeader(obu)
	if err != nil {
		return fmt.Errorf("AV1: OBU: %w", err)
	}
	payload := obu[h.HeaderSize:]
	if h.HasSizeField {
		n, size, err := av1.ReadLEB128(payload)
		if err != nil || n != uint64(len(payload)-size) {
			return errors.New("AV1: OBU with a wrong size field")
		}
		payload = payload[size:]
	}
	switch h.Type {
	case av1.OBUTemporalDelimiter, av1.OBUPadding, av1.OBUTileList, av1.OBURedundantFrameHeader:
		return nil // not in samples (AV1 Codec ISO Media File Format Binding 2.4)
	case av1.OBUFrame, av1.OBUFrameHeader:
		a.frame(payload)
	}
	start := len(a.sample)
	a.sample = append(a.sample, obu[0]|av1HasSize)
	a.sample = append(a.sample, obu[1:h.HeaderSize]...)
	a.sample = appendLEB128(a.sample, len(payload))
	a.sample = append(a.sample, payload...)
	if h.Type == av1.OBUSequenceHeader {
		return a.sequence(a.sample[start:], payload)
	}
	return nil
}

// frame looks at the first frame of the unit: whether decoding can start there
// (AV1 Codec ISO Media File Format Binding 2.5). Frames of higher spatial layers
// follow it and may refer to it.
func (a *av1Assembler) frame(payload []byte) {
	if a.frames {
		return
	}
	a.frames, a.key = true, av1IsKey(payload)
	a.headed = a.headers != nil
	if a.key {
		a.first = append(a.first[:0], payload[:min(len(payload), av1MaxFrameHeader)]...)
	}
}

// sequence notes a sequence header. A temporal unit may repeat it, for each
// layer, but not have two (AV1 bitstream specification 7.5).
func (a *av1Assembler) sequence(obu, payload []byte) error {
	if len(obu) > maxParameterSet {
		return fmt.Errorf("AV1: sequence header of %d bytes, at most %d are believed", len(obu), maxParameterSet)
	}
	header := av1Header(payload)
	if a.headers != nil && !bytes.Equal(header, a.headers) {
		return errors.New("AV1: two sequence headers in one temporal unit")
	}
	a.headers = header
	return nil
}

// av1Header returns the sequence header OBU for payload, without the extension
// that an OBU of a layer may have.
func av1Header(payload []byte) []byte {
	obu := []byte{byte(av1.OBUSequenceHeader)<<3 | av1HasSize}
	return append(appendLEB128(obu, len(payload)), payload...)
}

// activate brings the sequence header of a key frame into force.
func (a *av1Assembler) activate() error {
	if a.header == nil {
		return errors.New("AV1: key frame without a sequence header: it cannot be decoded")
	}
	f, err := av1Format(a.header, a.first)
	if err != nil {
		return err
	}
	if !f.Equal(a.format) {
		a.format = f
	}
	a.active = a.header
	a.bare = !a.headed
	if a.bare {
		a.sample = append(bytes.Clone(a.header), a.sample...)
	}
	return nil
}

// appendLEB128 appends n in the shortest form of leb128() (AV1 bitstream
// specification 4.10.5).
func appendLEB128(dst []byte, n int) []byte {
	for ; n > 0x7f; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
