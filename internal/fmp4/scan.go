package fmp4

import (
	"encoding/binary"
	"errors"
	"io"

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
		next, err := scanChunk(r, span, size)
		if errors.Is(err, errTorn) {
			return span, nil
		}
		if err != nil {
			return media.Span{}, err
		}
		span = next
	}
}

// errTorn says that no whole chunk follows.
var errTorn = errors.New("torn chunk")

// scanChunk reads the chunk behind span and returns the span with it.
func scanChunk(r io.ReadSeeker, span media.Span, size int64) (media.Span, error) {
	at := span.Bytes
	var f fragment
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
					if len(body) != tfhdSize-boxHeaderSize {
						return false
					}
					f.fallback, f.flags = binary.BigEndian.Uint32(body[12:]), binary.BigEndian.Uint32(body[16:])
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

// parseRun adds up the samples of a trun.
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
	f.samples += int(count)
	for at := body; len(at) > 0; at = at[4*fields:] {
		sample, duration := at, f.fallback
		if flags&trunDurations != 0 {
			duration, sample = binary.BigEndian.Uint32(sample), sample[4:]
		}
		if len(at) == len(body) {
			f.first = int64(binary.BigEndian.Uint32(sample))
			if flags&trunFlags != 0 {
				first = binary.BigEndian.Uint32(sample[4:])
			}
			f.key = first&nonSync == 0
		}
		f.duration += media.Ticks(duration)
		f.bytes += int64(binary.BigEndian.Uint32(sample))
	}
	return f.duration > 0
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
