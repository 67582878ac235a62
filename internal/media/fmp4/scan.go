package fmp4

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/live777/recorder/internal/media"
)

// maxMoof bounds a moof that is read into memory; a chunk of a minute has about
// 50 kB.
const maxMoof = 4 << 20

// Scan reads the media segment of size bytes in r, which stands at its beginning,
// as far as it consists of whole chunks: boxes that end within it, a run of
// samples that fills its mdat, and each chunk beginning where the one before
// ended. What is behind them, after a crash or a power failure, is torn. A segment
// without one whole chunk has a Span of zero Bytes. An error is one of r; it is
// never about what was read.
func Scan(r io.ReadSeeker, size int64) (media.Span, error) {
	var span media.Span
	for {
		next, err := scanChunk(r, span, size, &fragment{})
		if errors.Is(err, errTorn) {
			return span, nil
		}
		if err != nil {
			return media.Span{}, err
		}
		span = next
	}
}

// Table says where the samples of a chunk are in its segment, and what they are.
type Table struct {
	Time    media.Ticks // decode time of the first sample
	Offset  int64       // of the first sample's data in the segment; the others follow without a hole
	Samples []Entry
}

// Entry is one sample of a Table.
type Entry struct {
	Size        uint32 // bytes
	Duration    uint32 // ticks
	Composition int32  // presentation time minus decode time, ticks
	Key         bool   // a sync sample
}

// TableOf returns the table of a chunk that Append has written as size bytes. Offset is
// from where the chunk begins.
func TableOf(c *Chunk, size int64) Table {
	t := Table{Time: c.Time, Offset: size, Samples: make([]Entry, len(c.Samples))}
	for i := range c.Samples {
		s := &c.Samples[i]
		t.Samples[i] = Entry{
			Size: uint32(len(s.Data)), Duration: s.Duration, Composition: s.Composition, Key: c.sampleFlags(s) == flagsSync,
		}
		t.Offset -= int64(len(s.Data))
	}
	return t
}

// Tables returns the tables of the whole chunks of the media segment of size bytes in
// r. It reads no media. Like Scan, it leaves out what is torn, and an error is one of r.
func Tables(r io.ReadSeeker, size int64) ([]Table, error) {
	var tables []Table
	var span media.Span
	for {
		f := fragment{keep: true}
		next, err := scanChunk(r, span, size, &f)
		if errors.Is(err, errTorn) {
			return tables, nil
		}
		if err != nil {
			return nil, err
		}
		span = next
		tables = append(tables, Table{Time: f.time, Offset: f.data, Samples: f.table})
	}
}

// errTorn says that no whole chunk follows.
var errTorn = errors.New("torn chunk")

// scanChunk reads the chunk behind span into f and returns the span with it.
func scanChunk(r io.ReadSeeker, span media.Span, size int64, f *fragment) (media.Span, error) {
	at := span.Bytes
	for seen := false; ; {
		if at+boxHeaderSize > size {
			return span, errTorn
		}
		var header [boxHeaderSize]byte
		if err := readAt(r, at, header[:]); err != nil {
			return span, err
		}
		length, name := int64(binary.BigEndian.Uint32(header[:])), string(header[4:])
		if length < boxHeaderSize || at+length > size {
			return span, errTorn
		}
		switch {
		case name == "styp" && at == 0, name == "prft" && !seen:
		case name == "moof" && !seen && length <= maxMoof:
			body := make([]byte, length-boxHeaderSize)
			if err := readAt(r, at+boxHeaderSize, body); err != nil {
				return span, err
			}
			if !f.parse(body) || span.Bytes > 0 && f.time != span.End {
				return span, errTorn
			}
			seen = true
		case name == "mdat" && seen && length-boxHeaderSize == f.bytes:
			if span.Bytes == 0 {
				span.Start = f.time
			}
			span.Bytes, span.End, span.Sequence = at+length, f.time+f.duration, f.sequence
			span.Samples += f.samples
			f.data = at + boxHeaderSize
			return span, nil
		default:
			return span, errTorn
		}
		at += length
	}
}

// nonSync is the flag of a sample that is no sync sample (ISO/IEC 14496-12 8.8.3.1).
const nonSync = 0x00010000

// FirstKey returns the first sample of the media segment of size bytes in r, as
// Chunk.Append writes it, if that is a sync sample.
func FirstKey(r io.ReadSeeker, size int64) (data []byte, ok bool) {
	var f fragment
	for at := int64(0); at+boxHeaderSize <= size; {
		var header [boxHeaderSize]byte
		if readAt(r, at, header[:]) != nil {
			return nil, false
		}
		length, name := int64(binary.BigEndian.Uint32(header[:])), string(header[4:])
		if length < boxHeaderSize || at+length > size {
			return nil, false
		}
		switch {
		case name == "moof" && length <= maxMoof:
			body := make([]byte, length-boxHeaderSize)
			if readAt(r, at+boxHeaderSize, body) != nil || !f.parse(body) || !f.key {
				return nil, false
			}
		case name == "mdat":
			if f.first == 0 || f.first > length-boxHeaderSize {
				return nil, false
			}
			data = make([]byte, f.first)
			return data, readAt(r, at+boxHeaderSize, data) == nil
		}
		at += length
	}
	return nil, false
}

// readAt fills buf from offset at. An object that ends before is torn there.
func readAt(r io.ReadSeeker, at int64, buf []byte) error {
	if _, err := r.Seek(at, io.SeekStart); err != nil {
		return err
	}
	_, err := io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

// fragment is what a moof, as Chunk.Append writes it, says about its samples.
type fragment struct {
	sequence uint32
	time     media.Ticks // of the first sample
	duration media.Ticks // of all
	bytes    int64       // of all
	samples  int
	first    int64  // bytes of the first one ...
	key      bool   // ... which is a sync sample
	fallback uint32 // sample duration where trun has none
	flags    uint32 // of samples, where trun has none

	data  int64   // where the first one is in the segment
	keep  bool    // the table is wanted
	table []Entry // of all samples
}

// parse reads the content of a moof and reports whether it is one.
func (f *fragment) parse(moof []byte) bool {
	var run, timed bool
	whole := eachBox(moof, func(name string, body []byte) bool {
		switch name {
		case "mfhd":
			if len(body) != mfhdSize-boxHeaderSize {
				return false
			}
			f.sequence = binary.BigEndian.Uint32(body[4:])
		case "traf":
			return eachBox(body, func(name string, body []byte) bool {
				switch name {
				case "tfhd":
					return f.parseHeader(body)
				case "tfdt":
					if len(body) != tfdtSize-boxHeaderSize {
						return false
					}
					f.time = media.Ticks(binary.BigEndian.Uint64(body[4:]))
					timed = f.time >= 0
				case "trun":
					run = f.parseRun(body)
					return run
				}
				return true
			})
		}
		return true
	})
	return whole && run && timed
}

// parseHeader reads the defaults of a tfhd (ISO/IEC 14496-12 8.8.7), which other writers
// leave out.
func (f *fragment) parseHeader(body []byte) bool {
	if len(body) < 8 {
		return false
	}
	flags := binary.BigEndian.Uint32(body) & 0xffffff
	body = body[8:]
	for _, field := range []struct {
		flag uint32
		size int
		into *uint32
	}{{0x01, 8, nil}, {0x02, 4, nil}, {0x08, 4, &f.fallback}, {0x10, 4, nil}, {0x20, 4, &f.flags}} {
		if flags&field.flag == 0 {
			continue
		}
		if len(body) < field.size {
			return false
		}
		if field.into != nil {
			*field.into = binary.BigEndian.Uint32(body)
		}
		body = body[field.size:]
	}
	return len(body) == 0
}

// parseRun reads the samples of a trun.
func (f *fragment) parseRun(body []byte) bool {
	if len(body) < 12 {
		return false
	}
	flags, count := binary.BigEndian.Uint32(body)&0xffffff, int64(binary.BigEndian.Uint32(body[4:]))
	body = body[12:]
	first := f.flags
	if flags&trunFirstFlags != 0 {
		if len(body) < 4 {
			return false
		}
		first, body = binary.BigEndian.Uint32(body), body[4:]
	}
	fields := int64(1)
	for _, flag := range []uint32{trunDurations, trunFlags, trunOffsets} {
		if flags&flag != 0 {
			fields++
		}
	}
	if flags&trunSizes == 0 || count == 0 || int64(len(body)) != 4*fields*count {
		return false
	}
	if f.keep {
		f.table = slices.Grow(f.table, int(count))
	}
	for i := range count {
		fallback := f.flags
		if i == 0 {
			fallback = first
		}
		f.add(entryAt(body[4*fields*i:], flags, f.fallback, fallback))
	}
	return f.duration > 0
}

// entryAt reads a sample of a trun with flags, which may leave its duration and its own
// flags to what is said elsewhere.
func entryAt(b []byte, flags, duration, sample uint32) Entry {
	next := func() uint32 {
		v := binary.BigEndian.Uint32(b)
		b = b[4:]
		return v
	}
	e := Entry{Duration: duration}
	if flags&trunDurations != 0 {
		e.Duration = next()
	}
	e.Size = next()
	if flags&trunFlags != 0 {
		sample = next()
	}
	if flags&trunOffsets != 0 {
		e.Composition = int32(next())
	}
	e.Key = sample&nonSync == 0
	return e
}

// add counts a sample.
func (f *fragment) add(e Entry) {
	if f.samples == 0 {
		f.first, f.key = int64(e.Size), e.Key
	}
	f.samples++
	f.duration += media.Ticks(e.Duration)
	f.bytes += int64(e.Size)
	if f.keep {
		f.table = append(f.table, e)
	}
}

// eachBox calls visit with the boxes that fill data; false where they do not, or
// visit says so.
func eachBox(data []byte, visit func(name string, body []byte) bool) bool {
	for len(data) > 0 {
		if len(data) < boxHeaderSize {
			return false
		}
		length := int64(binary.BigEndian.Uint32(data))
		if length < boxHeaderSize || length > int64(len(data)) || !visit(string(data[4:8]), data[boxHeaderSize:length]) {
			return false
		}
		data = data[length:]
	}
	return true
}
