package fmp4

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Sample flags (ISO/IEC 14496-12 8.8.3.1). CMAF wants the dependency to be said,
// not just the sync bit.
const (
	flagsSync    = 0x02000000 // sample_depends_on = 2: on no other
	flagsNonSync = 0x01010000 // sample_depends_on = 1, sample_is_non_sync_sample
)

// Box flags.
const (
	prftCaptured = 24 // ISO/IEC 14496-12 8.16.5: the time is that of capture

	// The brand cmf2 forbids inheriting from trex (ISO/IEC 23000-19 7.7.3), so
	// that tfhd names its sample entry, duration and flags itself.
	tfhdFlags = 0x020000 | 0x02 | 0x08 | 0x20 // default-base-is-moof, sample description index, duration, flags

	trunDataOffset = 0x000001
	trunFirstFlags = 0x000004
	trunDurations  = 0x000100
	trunSizes      = 0x000200
	trunFlags      = 0x000400
	trunOffsets    = 0x000800 // composition time offsets, signed in version 1
)

// Sizes in bytes of the boxes that do not depend on the samples.
const (
	stypSize      = 24
	prftSize      = 32
	mfhdSize      = 16
	tfhdSize      = 28
	tfdtSize      = 20
	sbgpSize      = 28
	boxHeaderSize = 8
)

// Sample is one access unit of a chunk.
type Sample struct {
	Data     []byte
	Duration uint32 // ticks of the track's timescale: start of the next sample minus start of this one
	Key      bool   // decoding can start here (SAP type 1); audio samples always count as key
	// Composition is presentation time minus decode time. It is signed, so that
	// a segment begins in both times at once, and no edit list is needed (ISO/IEC
	// 23000-19 7.5.17, brand cmf2).
	Composition int32
}

// Chunk is a CMAF chunk (ISO/IEC 23000-19 7.3.2.3): consecutive samples of one
// track behind one moof. A segment is one or more chunks.
type Chunk struct {
	TrackID  uint32 // as in Init
	Kind     media.Kind
	Sequence uint32      // mfhd sequence number: grows from chunk to chunk of a track
	Time     media.Ticks // decode time of the first sample (tfdt), not negative
	Samples  []Sample    // under 4 GiB of data together
	First    bool        // first chunk of its segment: styp goes before it
	Capture  time.Time   // wall clock of the first sample for prft; zero: no prft
}

// Append appends the chunk's boxes to dst and returns the extended slice: styp
// if First, prft if Capture is set, moof and mdat. It allocates only to grow
// dst, and that once. A chunk without samples is nothing: dst is returned as it
// is.
func (c *Chunk) Append(dst []byte) []byte {
	if len(c.Samples) == 0 {
		return dst
	}
	r := c.run()
	dst = slices.Grow(dst, c.size(&r))
	if c.First {
		dst = appendStyp(dst)
	}
	if !c.Capture.IsZero() {
		dst = c.appendPrft(dst)
	}
	dst = c.appendMoof(dst, &r)
	dst = appendHeader(dst, boxHeaderSize+r.bytes, "mdat")
	for i := range c.Samples {
		dst = append(dst, c.Samples[i].Data...)
	}
	return dst
}

// run is what moof says about the samples as a whole.
type run struct {
	flags      uint32 // of trun
	duration   uint32 // default sample duration
	shortest   uint32 // sample duration
	sampleFlag uint32 // default sample flags
	trunSize   int
	moofSize   int
	bytes      int // sample data
}

// run decides which fields trun needs: sizes always, durations and flags only
// where one default does not serve all samples, offsets only where there are
// some.
func (c *Chunk) run() run {
	last := &c.Samples[len(c.Samples)-1]
	r := run{
		flags:      trunDataOffset | trunSizes,
		duration:   c.Samples[0].Duration,
		shortest:   c.Samples[0].Duration,
		sampleFlag: c.sampleFlags(last),
	}
	for i := range c.Samples {
		s := &c.Samples[i]
		r.bytes += len(s.Data)
		r.shortest = min(r.shortest, s.Duration)
		if s.Duration != r.duration {
			r.flags |= trunDurations
		}
		if s.Composition != 0 {
			r.flags |= trunOffsets
		}
		if c.sampleFlags(s) == r.sampleFlag {
			continue
		}
		if i == 0 {
			r.flags |= trunFirstFlags
		} else {
			r.flags |= trunFlags
		}
	}

	fields, optional := 1, 0
	if r.flags&trunFlags != 0 {
		r.flags &^= trunFirstFlags // the two exclude each other (ISO/IEC 14496-12 8.8.8.1)
		fields++
	}
	if r.flags&trunDurations != 0 {
		fields++
	}
	if r.flags&trunOffsets != 0 {
		fields++
	}
	if r.flags&trunFirstFlags != 0 {
		optional = 4
	}
	r.trunSize = boxHeaderSize + 12 + optional + 4*fields*len(c.Samples)
	r.moofSize = boxHeaderSize + mfhdSize + c.trafSize(&r)
	return r
}

func (c *Chunk) trafSize(r *run) int {
	n := boxHeaderSize + tfhdSize + tfdtSize + r.trunSize
	if c.Kind == media.Audio {
		n += sbgpSize
	}
	return n
}

// size is the number of bytes that Append appends.
func (c *Chunk) size(r *run) int {
	n := r.moofSize + boxHeaderSize + r.bytes
	if c.First {
		n += stypSize
	}
	if !c.Capture.IsZero() {
		n += prftSize
	}
	return n
}

func (c *Chunk) sampleFlags(s *Sample) uint32 {
	if s.Key || c.Kind == media.Audio {
		return flagsSync
	}
	return flagsNonSync
}

// appendStyp appends the segment type box (ISO/IEC 14496-12 8.16.2).
func appendStyp(dst []byte) []byte {
	dst = appendHeader(dst, stypSize, "styp")
	dst = append(dst, "msdh\x00\x00\x00\x00msdhcmfs"...)
	return dst
}

// appendPrft appends the producer reference time box (ISO/IEC 14496-12 8.16.5),
// which makes every chunk carry its wall-clock time.
func (c *Chunk) appendPrft(dst []byte) []byte {
	dst = appendFullHeader(dst, prftSize, "prft", 1, prftCaptured)
	dst = be32(dst, c.TrackID)
	dst = be64(dst, media.NTP(c.Capture))
	return be64(dst, uint64(c.Time))
}

// appendMoof appends the movie fragment box (ISO/IEC 14496-12 8.8.4).
func (c *Chunk) appendMoof(dst []byte, r *run) []byte {
	dst = appendHeader(dst, r.moofSize, "moof")
	dst = appendFullHeader(dst, mfhdSize, "mfhd", 0, 0)
	dst = be32(dst, c.Sequence)

	dst = appendHeader(dst, c.trafSize(r), "traf")
	dst = appendFullHeader(dst, tfhdSize, "tfhd", 0, tfhdFlags)
	dst = be32(dst, c.TrackID)
	dst = be32(dst, 1) // sample description index: an init segment has one entry
	dst = be32(dst, r.duration)
	dst = be32(dst, r.sampleFlag)
	// Version 1 from the start: 32 bits of a 90 kHz clock end after 13 hours.
	dst = appendFullHeader(dst, tfdtSize, "tfdt", 1, 0)
	dst = be64(dst, uint64(c.Time))
	dst = c.appendTrun(dst, r)
	if c.Kind == media.Audio {
		dst = appendFullHeader(dst, sbgpSize, "sbgp", 0, 0)
		dst = append(dst, "roll"...)
		dst = be32(dst, 1) // entry count
		dst = be32(dst, uint32(len(c.Samples)))
		dst = be32(dst, RollGroup(r.shortest))
	}
	return dst
}

// appendTrun appends the track run box (ISO/IEC 14496-12 8.8.8).
func (c *Chunk) appendTrun(dst []byte, r *run) []byte {
	version := byte(0)
	if r.flags&trunOffsets != 0 {
		version = 1
	}
	dst = appendFullHeader(dst, r.trunSize, "trun", version, r.flags)
	dst = be32(dst, uint32(len(c.Samples)))
	dst = be32(dst, uint32(r.moofSize+boxHeaderSize)) // data offset, from the start of moof
	if r.flags&trunFirstFlags != 0 {
		dst = be32(dst, c.sampleFlags(&c.Samples[0]))
	}
	for i := range c.Samples {
		s := &c.Samples[i]
		if r.flags&trunDurations != 0 {
			dst = be32(dst, s.Duration)
		}
		dst = be32(dst, uint32(len(s.Data)))
		if r.flags&trunFlags != 0 {
			dst = be32(dst, c.sampleFlags(s))
		}
		if r.flags&trunOffsets != 0 {
			dst = be32(dst, uint32(s.Composition))
		}
	}
	return dst
}

func appendHeader(dst []byte, size int, name string) []byte {
	return append(be32(dst, uint32(size)), name...)
}

func appendFullHeader(dst []byte, size int, name string, version byte, flags uint32) []byte {
	return be32(appendHeader(dst, size, name), uint32(version)<<24|flags)
}

func be32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

func be64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }
