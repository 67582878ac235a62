// Package movie lays a recording's segments out as one progressive MP4 file (ISO/IEC
// 14496-12): moov first, then all samples, both tracks interleaved by time. The file is
// stored nowhere. Its head is made from the tables of the segments, and its samples are
// read from the segments when they are asked for.
package movie

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"
)

// Title is what the file says of itself beside its media.
type Title struct {
	Name    string    // the stream's
	Start   time.Time // wall clock of the first picture or sound
	Comment string    // what there is to know of it
}

// Movie is a file. It does not change, and is safe for concurrent use.
type Movie struct {
	head    []byte // all before the first sample
	extents []extent
	keys    []string // of the objects that extents are in
	size    int64
	etag    string
	missing []string
}

// extent is a part of the file that lies in an object in one piece.
type extent struct {
	at     int64 // in the file
	offset int64 // in the object
	size   int64
	object int32 // index in Movie.keys, or silent
}

// Size returns the number of bytes of the file.
func (m *Movie) Size() int64 { return m.size }

// Missing returns the names of what the storage had lost when the file was made.
func (m *Movie) Missing() []string { return m.missing }

// ETag returns a strong validator (RFC 9110 8.8.3), without quotes: a file with another
// is another one.
func (m *Movie) ETag() string { return m.etag }

// Held returns how many bytes of memory the Movie takes, roughly.
func (m *Movie) Held() int64 {
	const perExtent = 32
	return int64(len(m.head)) + perExtent*int64(len(m.extents))
}

// mdatHeader is the size of the header of an mdat that may be longer than 4 GiB.
const mdatHeader = 16

// layOut makes the file from its tracks, which have samples, and are shown from start on
// (earliest).
func layOut(tracks []*track, keys []string, start int64, title Title) (*Movie, error) {
	m := &Movie{keys: keys}
	moov, err := newMoov(tracks, start, title)
	if err != nil {
		return nil, err
	}
	ftyp := mp4.NewFtyp("isom", 0x200, []string{"isom", "iso6", "mp41"})
	at := int64(ftyp.Size()+moov.Size()) + mdatHeader
	samples := at
	for t := next(tracks); t != nil; t = next(tracks) {
		c := t.take(at)
		m.extents = append(m.extents, extent{at: at, offset: c.offset, size: c.size, object: c.object})
		at += c.size
	}
	m.size = at
	sw := bits.NewFixedSliceWriter(int(samples))
	ftyp.EncodeSW(sw) //nolint:errcheck // AccError is the writer's
	if err := moov.EncodeSW(sw); err != nil {
		return nil, fmt.Errorf("encode moov: %w", err)
	}
	sw.WriteUint32(1) // the size is in the field behind the name
	sw.WriteString("mdat", false)
	sw.WriteUint64(uint64(at - samples + mdatHeader))
	if err := sw.AccError(); err != nil {
		return nil, fmt.Errorf("encode the head of the file: %w", err)
	}
	m.head = sw.Bytes()
	if int64(len(m.head)) != samples {
		return nil, fmt.Errorf("the head of the file has %d bytes instead of %d", len(m.head), samples)
	}
	m.etag = m.validator()
	return m, nil
}

// next returns the track with the earliest chunk that is not laid out yet, nil if there
// is none. Tracks that stand beside each other in time do so in the file, so that a
// player reads on in one place.
func next(tracks []*track) (first *track) {
	for _, t := range tracks {
		if t.laid < len(t.chunks) && (first == nil || t.chunkTime() < first.chunkTime()) {
			first = t
		}
	}
	return first
}

// validator makes the ETag: of the head, in which everything is that depends on the
// samples' sizes and times, and of the names of their objects, which never change.
func (m *Movie) validator() string {
	h := sha256.New()
	h.Write(m.head)
	for _, k := range m.keys {
		fmt.Fprintf(h, "%q", k)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// newMoov makes the moov box, whose size depends on the offsets' number alone.
func newMoov(tracks []*track, start int64, title Title) (*mp4.MoovBox, error) {
	timescale := common(tracks)
	mvhd := mp4.CreateMvhd()
	mvhd.Version = 1
	mvhd.Timescale, mvhd.NextTrackID = timescale, uint32(len(tracks)+1)
	mvhd.SetCreationTimeS(title.Start.Unix())
	mvhd.SetModificationTimeS(title.Start.Unix())
	moov := mp4.NewMoovBox()
	moov.AddChild(mvhd)
	for i, t := range tracks {
		trak, shown := t.box(uint32(i+1), timescale, start, title)
		mvhd.Duration = max(mvhd.Duration, shown)
		moov.AddChild(trak)
	}
	udta, err := title.box()
	if err != nil {
		return nil, err
	}
	moov.AddChild(udta)
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
func (t Title) box() (mp4.Box, error) {
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
	udta := box("udta", meta)
	b, err := mp4.DecodeBox(0, bytes.NewReader(udta))
	if err != nil {
		return nil, fmt.Errorf("make the metadata: %w", err)
	}
	return b, nil
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
