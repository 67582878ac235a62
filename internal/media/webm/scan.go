package webm

import (
	"errors"
	"io"
	"math/bits"

	"github.com/live777/recorder/internal/media"
)

// maxCluster bounds a Cluster that is read into memory.
const maxCluster = 256 << 20

// Scan reads the media segment of size bytes in r, which stands at its beginning,
// as far as it consists of whole Clusters, each beginning where the one before
// ended. What is behind them, after a crash or a power failure, is torn. A segment
// without one whole Cluster has a Span of zero Bytes. Times are of Timescale. An
// error is one of r; it is never about what was read.
func Scan(r io.ReadSeeker, size int64) (media.Span, error) {
	var span media.Span
	for {
		next, err := scanCluster(r, size-span.Bytes)
		if errors.Is(err, errTorn) || err == nil && span.Bytes > 0 && next.Start != span.End {
			return span, nil
		}
		if err != nil {
			return media.Span{}, err
		}
		if span.Bytes == 0 {
			span.Start = next.Start
		}
		span.End = next.End
		span.Bytes += next.Bytes
		span.Samples += next.Samples
	}
}

// errTorn says that no whole Cluster follows.
var errTorn = errors.New("torn cluster")

// scanCluster reads the next Cluster, of at most left bytes.
func scanCluster(r io.Reader, left int64) (media.Span, error) {
	body, length, err := readCluster(r, left)
	if err != nil {
		return media.Span{}, err
	}
	span, ok := parseCluster(body)
	if !ok {
		return media.Span{}, errTorn
	}
	span.Bytes = length
	return span, nil
}

// readCluster reads the content of the next Cluster, which has length bytes of at most
// left.
func readCluster(r io.Reader, left int64) (body []byte, length int64, err error) {
	head := make([]byte, min(left, 4+8)) // its ID and the longest size
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	id, size, rest, ok := parseHeader(head[:n])
	if !ok || id != idCluster || size > maxCluster {
		return nil, 0, errTorn
	}
	length = int64(n-len(rest)) + size
	if length > left || size < int64(len(rest)) {
		return nil, 0, errTorn
	}
	body = make([]byte, size)
	copy(body, rest)
	switch _, err := io.ReadFull(r, body[len(rest):]); {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, 0, errTorn
	case err != nil:
		return nil, 0, err
	}
	return body, length, nil
}

// FirstKey returns the first frame of the media segment of size bytes in r, as
// Chunk.Append writes it, if that is a key frame.
func FirstKey(r io.ReadSeeker, size int64) (data []byte, ok bool) {
	body, _, err := readCluster(r, size)
	if err != nil {
		return nil, false
	}
	eachElement(body, func(id uint32, body []byte) bool {
		switch {
		case id == idTimestamp:
			return true
		case id == idSimpleBlock && len(body) > blockHeaderSize && body[blockHeaderSize-1]&flagKey != 0:
			data = body[blockHeaderSize:]
		case id == idBlockGroup:
			data = keyOf(body)
		}
		return false
	})
	return data, len(data) > 0
}

// keyOf returns the frame of a BlockGroup that refers to no other.
func keyOf(group []byte) (data []byte) {
	alone := eachElement(group, func(id uint32, body []byte) bool {
		if id == idBlock && len(body) > blockHeaderSize {
			data = body[blockHeaderSize:]
		}
		return id != idReferenceBlock
	})
	if !alone {
		return nil
	}
	return data
}

// parseCluster returns the times of a Cluster as appendCluster writes it, and its
// number of frames.
func parseCluster(body []byte) (span media.Span, ok bool) {
	timed := false
	whole := eachElement(body, func(id uint32, body []byte) bool {
		switch id {
		case idTimestamp:
			span.Start, timed = media.Ticks(number(body)), len(body) > 0 && len(body) <= 8
			return timed && span.Start >= 0
		case idSimpleBlock:
			span.Samples++
		case idBlockGroup:
			var relative, duration media.Ticks
			whole := eachElement(body, func(id uint32, body []byte) bool {
				switch id {
				case idBlock:
					if len(body) < blockHeaderSize {
						return false
					}
					relative = media.Ticks(int16(number(body[1:3])))
				case idBlockDuration:
					duration = media.Ticks(number(body))
				}
				return true
			})
			span.End = span.Start + relative + duration
			span.Samples++
			return whole
		}
		return true
	})
	return span, whole && timed && span.End > span.Start
}

// eachElement calls visit with the elements that fill data; false where they do
// not, or visit says so.
func eachElement(data []byte, visit func(id uint32, body []byte) bool) bool {
	for len(data) > 0 {
		id, size, rest, ok := parseHeader(data)
		if !ok || size > int64(len(rest)) || !visit(id, rest[:size]) {
			return false
		}
		data = rest[size:]
	}
	return true
}

// parseHeader reads an element's ID and known size (RFC 8794 4, 5).
func parseHeader(data []byte) (id uint32, size int64, rest []byte, ok bool) {
	if len(data) == 0 {
		return 0, 0, nil, false
	}
	n := bits.LeadingZeros8(data[0]) + 1
	if n > 4 || n >= len(data) {
		return 0, 0, nil, false
	}
	id, data = uint32(number(data[:n])), data[n:]
	n = bits.LeadingZeros8(data[0]) + 1
	if n > 8 || n > len(data) {
		return 0, 0, nil, false
	}
	v := number(data[:n]) &^ (1 << (7 * n))
	if v == 1<<(7*n)-1 { // unknown
		return 0, 0, nil, false
	}
	return id, int64(v), data[n:], true
}

// number reads a big-endian number of at most eight octets.
func number(data []byte) (v uint64) {
	for _, b := range data {
		v = v<<8 | uint64(b)
	}
	return v
}
