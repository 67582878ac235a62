// Package movie lays a recording's segments out as one progressive MP4 file (ISO/IEC
// 14496-12): moov first, then all samples, both tracks interleaved by time. The file is
// stored nowhere. How long it is follows from counts of the segments' samples; its tables
// are made of the sample indexes, and its samples read from the segments, when they are
// asked for.
package movie

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// Title is what the file says of itself beside its media.
type Title struct {
	Name    string    // the stream's
	Start   time.Time // wall clock of the first picture or sound
	Comment string    // what there is to know of it
}

// Movie is a file. It does not change, and is safe for concurrent use.
type Movie struct {
	head    sections
	tracks  []*track
	parts   []*part  // in the order of the file, behind the head
	keys    []string // of the objects that parts are in
	size    int64
	etag    string
	missing []string
	indexes *indexes
	index   func(key string) ([]byte, bool)
}

// Size returns the number of bytes of the file.
func (m *Movie) Size() int64 { return m.size }

// Missing returns the names of what the storage had lost when the file was made.
func (m *Movie) Missing() []string { return m.missing }

// ETag returns a strong validator (RFC 9110 8.8.3), without quotes: a file with another
// is another one.
func (m *Movie) ETag() string { return m.etag }

// Held returns how many bytes of memory the Movie takes at most, roughly: what is read of
// sample indexes while it is used is counted from the beginning.
func (m *Movie) Held() int64 {
	const perPart, perSample, perIndexed = 256, 16, 3
	held, indexed := int64(0), int64(0)
	for _, s := range m.head.list {
		held += int64(len(s.bytes))
	}
	for _, p := range m.parts {
		held += perPart
		if p.tables != nil {
			held += perSample * int64(p.sum.Samples)
		} else {
			indexed += perIndexed * int64(p.sum.Samples)
		}
	}
	return held + min(indexed, maxIndexes)
}

// mdatHeader is the size of the header of an mdat that may be longer than 4 GiB.
const mdatHeader = 16

// layOut makes the file from its tracks, which have samples, and are shown from start on
// (earliest).
func (m *Movie) layOut(start int64, title Title) error {
	var body int64
	m.parts = interleave(m.tracks)
	for _, p := range m.parts {
		p.at = body // behind the head, whose length is not known yet
		body += p.size
	}
	ftyp, err := encoded(mp4.NewFtyp("isom", 0x200, []string{"isom", "iso6", "mp41"}))
	if err != nil {
		return err
	}
	moov, err := newMoov(m.tracks, start, title)
	if err != nil {
		return err
	}
	if moov.measure() > math.MaxUint32 {
		return fault.New(fault.Conflict, "its tables are too long for one file")
	}
	m.head.add(&ftyp)
	m.head.add(&moov)
	mdat := append(binary.BigEndian.AppendUint32(nil, 1), "mdat"...) // the size is in the field behind the name
	m.head.put(binary.BigEndian.AppendUint64(mdat, uint64(body+mdatHeader)))
	for _, p := range m.parts {
		p.at += m.head.size
	}
	m.size = m.head.size + body
	m.etag = m.validator()
	return nil
}

// lead is by how much sound is written before the pictures of its time, so that who reads
// on can play each part of the pictures as it comes.
const lead = int64(time.Second)

// interleave returns the parts of tracks in the order of time.
func interleave(tracks []*track) (all []*part) {
	next := make([]int, len(tracks))
	for {
		first, least := -1, int64(0)
		for i, t := range tracks {
			if next[i] == len(t.parts) {
				continue
			}
			at := int64(t.parts[next[i]].time.Duration(t.timescale))
			if t.kind == media.Audio {
				at -= lead
			}
			if first < 0 || at < least {
				first, least = i, at
			}
		}
		if first < 0 {
			return all
		}
		all = append(all, tracks[first].parts[next[first]])
		next[first]++
	}
}

// validator makes the ETag: of all that the file is made of. Segments and what their
// indexes say of them never change.
func (m *Movie) validator() string {
	h := sha256.New()
	for _, s := range m.head.list {
		fmt.Fprintf(h, "%d %d %d %q", s.at, s.size, s.table, s.bytes)
	}
	var b []byte
	for _, p := range m.parts {
		b = p.appendTo(b[:0])
		h.Write(b)
	}
	for _, k := range m.keys {
		h.Write(append(b[:0], k...))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// newMoov makes the moov box.
func newMoov(tracks []*track, start int64, title Title) (moov node, err error) {
	timescale := common(tracks)
	mvhd := mp4.CreateMvhd()
	mvhd.Version = 1
	mvhd.Timescale, mvhd.NextTrackID = timescale, uint32(len(tracks)+1)
	mvhd.SetCreationTimeS(title.Start.Unix())
	mvhd.SetModificationTimeS(title.Start.Unix())
	moov = node{name: "moov", children: []node{{}}}
	for i, t := range tracks {
		trak, shown, err := t.box(uint32(i+1), timescale, start, title)
		if err != nil {
			return moov, err
		}
		mvhd.Duration = max(mvhd.Duration, shown)
		moov.children = append(moov.children, trak)
	}
	if moov.children[0], err = encoded(mvhd); err != nil {
		return moov, err
	}
	moov.children = append(moov.children, node{bytes: title.box()})
	return moov, nil
}

// earliest returns when the first of the tracks begins, in nanoseconds of media time; 0
// if there is none.
func earliest(tracks []*track) (start int64) {
	for i, t := range tracks {
		if i == 0 || t.startTime() < start {
			start = t.startTime()
		}
	}
	return start
}

// maxTimescale is the most units a second that the movie as a whole is timed in.
const maxTimescale = 1_000_000

// common returns a timescale in which all tracks' times are whole, or else one that is
// fine enough.
func common(tracks []*track) uint32 {
	all := uint64(1)
	for _, t := range tracks {
		all = all / gcd(all, uint64(t.timescale)) * uint64(t.timescale)
	}
	if all > maxTimescale {
		return maxTimescale
	}
	return uint32(all)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// box returns the user data box with the title, as iTunes' metadata, which programs
// that show such things read.
func (t Title) box() []byte {
	var list []byte
	for _, item := range []struct{ name, value string }{
		{"\xa9nam", t.Name},
		{"\xa9day", t.Start.UTC().Format(time.RFC3339)},
		{"\xa9cmt", t.Comment},
	} {
		if item.value != "" {
			// Type 1 is UTF-8, of no country and no language.
			list = append(list, box(item.name, box("data", []byte("\x00\x00\x00\x01\x00\x00\x00\x00"), []byte(item.value)))...)
		}
	}
	handler := box("hdlr", make([]byte, 8), []byte("mdirappl"), make([]byte, 9))
	meta := box("meta", make([]byte, 4), handler, box("ilst", list))
	return box("udta", meta)
}

// box returns a box of parts.
func box(name string, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	sw := bits.NewFixedSliceWriter(8 + len(body))
	sw.WriteUint32(uint32(8 + len(body)))
	sw.WriteBytes([]byte(name)) // "©" is one byte in it
	sw.WriteBytes(body)
	return sw.Bytes()
}
