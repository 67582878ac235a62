package webm

import (
	"math"
	"slices"

	"github.com/live777/recorder/internal/media"
)

// Sample is one access unit of a chunk.
type Sample struct {
	Data     []byte
	Duration media.Ticks // of Timescale: start of the next sample minus start of this one
	Key      bool        // decoding can start here
}

// Chunk is consecutive samples of a track. A segment is one or more chunks.
type Chunk struct {
	Time    media.Ticks // of the first sample, of Timescale, not negative
	Samples []Sample
}

const (
	blockHeaderSize = 4    // track number, relative timestamp, flags (RFC 9559 10.1)
	flagKey         = 0x80 // of a SimpleBlock (RFC 9559 10.2)
	trackNumberVInt = 0x80 | trackNumber
)

// Append appends the chunk to dst and returns the extended slice. It allocates
// only to grow dst, and that once for each Cluster.
//
// A chunk is a Cluster of known size, so that what has been written of a
// segment is whole elements at any time. There are more Clusters where the
// samples are further apart than a Block's timestamp, relative to its Cluster,
// can say. The last Block of a Cluster comes with its duration: nothing behind
// it in the Cluster tells how long it lasts.
func (c *Chunk) Append(dst []byte) []byte {
	at := c.Time
	for rest := c.Samples; len(rest) > 0; {
		n, length := span(rest)
		dst = appendCluster(dst, at, rest[:n])
		at += length
		rest = rest[n:]
	}
	return dst
}

// span returns how many samples fit a Cluster, and how long they last.
func span(samples []Sample) (n int, length media.Ticks) {
	for n < len(samples) && length <= math.MaxInt16 {
		length += samples[n].Duration
		n++
	}
	return n, length
}

// appendCluster appends a Cluster (RFC 9559 5.1.3) with samples, of which there
// is at least one.
func appendCluster(dst []byte, at media.Ticks, samples []Sample) []byte {
	last := len(samples) - 1
	group := newGroup(samples)
	size := uintSize(idTimestamp, uint64(at)) + elementSize(idBlockGroup, group.size())
	for i := range samples[:last] {
		size += elementSize(idSimpleBlock, blockHeaderSize+len(samples[i].Data))
	}
	dst = slices.Grow(dst, elementSize(idCluster, size))
	dst = appendHeader(dst, idCluster, size)
	dst = appendUint(dst, idTimestamp, uint64(at))
	var relative media.Ticks
	for i := range samples[:last] {
		s := &samples[i]
		flags := byte(0)
		if s.Key {
			flags = flagKey
		}
		dst = appendHeader(dst, idSimpleBlock, blockHeaderSize+len(s.Data))
		dst = appendBlock(dst, relative, flags, s.Data)
		relative += s.Duration
	}
	return group.append(dst, relative)
}

// appendBlock appends the content of a Block or SimpleBlock.
func appendBlock(dst []byte, relative media.Ticks, flags byte, data []byte) []byte {
	dst = append(dst, trackNumberVInt, byte(relative>>8), byte(relative), flags)
	return append(dst, data...)
}

// group is the last sample of a Cluster as a BlockGroup (RFC 9559 5.1.3.5),
// which unlike a SimpleBlock has a duration.
type group struct {
	*Sample
	reference int16 // the sample before it, relative to this one; 0: not in the Cluster
}

func newGroup(samples []Sample) group {
	g := group{Sample: &samples[len(samples)-1]}
	if n := len(samples); n > 1 {
		g.reference = int16(-samples[n-2].Duration) // fits, as both are in one Cluster
	}
	return g
}

const referenceSize = 2 // of a ReferenceBlock's content

func (g group) size() int {
	n := elementSize(idBlock, blockHeaderSize+len(g.Data)) + uintSize(idBlockDuration, uint64(g.Duration))
	if !g.Key {
		n += elementSize(idReferenceBlock, referenceSize)
	}
	return n
}

func (g group) append(dst []byte, relative media.Ticks) []byte {
	dst = appendHeader(dst, idBlockGroup, g.size())
	dst = appendHeader(dst, idBlock, blockHeaderSize+len(g.Data))
	dst = appendBlock(dst, relative, 0, g.Data)
	dst = appendUint(dst, idBlockDuration, uint64(g.Duration))
	if g.Key {
		return dst
	}
	// A Block is a key frame where it refers to no other (RFC 9559 5.1.3.5.5).
	dst = appendHeader(dst, idReferenceBlock, referenceSize)
	return appendNumber(dst, uint64(uint16(g.reference)), referenceSize)
}
