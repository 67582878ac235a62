package movie

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/webm"
	"github.com/live777/recorder/internal/storage"
)

// WebM is a file of VP8 and Opus (RFC 9559): what is known of it first, with a list of
// places to seek to, then Clusters with both tracks in the order of time. It does not
// change, and is safe for concurrent use.
//
// WebM segments have no sample index. How long what is made of one will be follows from
// the length of the object; by how much it turns out shorter is filled with an element that
// says nothing.
type WebM struct {
	head    []byte
	groups  []clusters
	keys    []string // of the objects that parts are in
	size    int64
	etag    string
	missing []string
	index   func(key string) ([]byte, bool)
	start   time.Duration // since the epoch; what is before is left out
	sound   *track        // nil: there is none
}

// Size returns the number of bytes of the file.
func (m *WebM) Size() int64 { return m.size }

// Missing returns the names of what the storage had lost when the file was made.
func (m *WebM) Missing() []string { return m.missing }

// ETag returns a strong validator (RFC 9110 8.8.3), without quotes: a file with another
// is another one.
func (m *WebM) ETag() string { return m.etag }

// Held returns how many bytes of memory the WebM takes at most, roughly.
func (m *WebM) Held() int64 {
	const perGroup, perSample = 1 << 10, 16
	held := int64(len(m.head)) + perGroup*int64(len(m.groups))
	if m.sound != nil {
		held += min(perSample*int64(m.sound.total.samples), maxIndexes)
	}
	return held
}

// pictures are those of a WebM segment that are in a file. Times are since the epoch.
type pictures struct {
	key       string
	shift     time.Duration // of the segment's times
	from, to  time.Duration // what is shown outside is left out
	time, end time.Duration
	length    int64 // of the object
	frames    int   // 0: they are not counted
	bytes     int64 // of the frames, or more
}

// clusters are consecutive Clusters of a file, which are made when they are read: of a
// segment of pictures with the sound of its time, or of sound alone.
type clusters struct {
	at, size    int64
	time, until time.Duration // since the epoch; sound from then on is elsewhere
	pictures    *pictures     // nil: none
	sound       []*part
}

const (
	// maxClusters bounds what is made at once of a file, in bytes.
	maxClusters = 256 << 20
	// soundAlone is how much sound without pictures is made at once.
	soundAlone = 10 * time.Second
	// besides is how much earlier than the pictures of a segment their sound may begin.
	besides = 250 * time.Millisecond
)

// OpenWebM makes one of the files of a plan of WebM. It begins with the key frame at or
// before the time that was asked for: players know no way to hide what is before.
func (p *Plan) OpenWebM(ctx context.Context, f *File, how Opening) (m *WebM, missing []string, err error) {
	o, err := p.prepare(ctx, f, how)
	if err != nil {
		return nil, nil, err
	}
	video, init, err := o.pictures(ctx, f.tracks[place(media.Video)])
	if err != nil {
		return nil, nil, err
	}
	m = &WebM{index: o.Index}
	sound := f.tracks[place(media.Audio)]
	if len(video) > 0 && f.cut {
		sound = o.since(sound, video[0].time)
	}
	if m.sound, err = o.track(ctx, sound); err != nil {
		return nil, nil, err
	}
	if m.sound != nil && len(m.sound.parts) == 0 {
		m.sound = nil
	}
	m.keys, m.missing = o.keys, o.missing
	switch {
	case len(video) == 0 && m.sound == nil:
		return nil, o.missing, fault.New(fault.NotFound, "there is nothing in it that can be put into one file").Coded("nothing_for_file")
	case f.cut && len(video) == 0:
		m.start = f.start
	case f.cut || m.sound == nil:
		m.start = video[0].time
	default:
		m.start = time.Duration(m.sound.startTime())
		if len(video) > 0 {
			m.start = min(m.start, video[0].time)
		}
	}
	title := o.titled(p, m.start)
	if err := m.layOut(video, init, title); err != nil {
		return nil, o.missing, err
	}
	return m, o.missing, nil
}

// since returns pieces of which the first is wanted from an earlier time on.
func (o *opener) since(pieces []*piece, at time.Duration) []*piece {
	if len(pieces) == 0 || pieces[0].from <= at-pieces[0].shift {
		return pieces
	}
	first := *pieces[0]
	first.from = max(at-first.shift, 0)
	o.known[&first] = o.known[pieces[0]]
	return append([]*piece{&first}, pieces[1:]...)
}

// pictures looks up the segments of pieces. init is the init segment of the first.
func (o *opener) pictures(ctx context.Context, pieces []*piece) (all []pictures, init []byte, err error) {
	for _, p := range pieces {
		k := o.known[p]
		if errors.Is(k.err, storage.ErrNotFound) {
			o.miss(p, p.init)
			continue
		}
		if k.err != nil {
			return nil, nil, k.err
		}
		if init == nil {
			init = k.init
		}
		first, from, err := o.firstPicture(ctx, p, len(all) == 0)
		if err != nil {
			return nil, nil, err
		}
		segments := p.segments[first:]
		lengths, err := o.lengths(ctx, p, len(segments))
		if err != nil {
			return nil, nil, err
		}
		found, errs := make([]*pictures, len(segments)), make([]error, len(segments))
		if err := inTurns(ctx, len(segments), func(i int) { found[i], errs[i] = o.picturesOf(ctx, p, &segments[i], from, lengths) }); err != nil {
			return nil, nil, err
		}
		for i, one := range found {
			switch {
			case errors.Is(errs[i], storage.ErrNotFound):
				o.miss(p, segments[i].name)
			case errs[i] != nil:
				return nil, nil, errs[i]
			case one != nil:
				all = append(all, *one)
			}
		}
	}
	return all, init, nil
}

// firstPicture returns the segment that the pictures of a piece begin in, and when: with
// the last key frame until the time that is wanted, or where others are before it with the
// first one from then on.
func (o *opener) firstPicture(ctx context.Context, p *piece, begins bool) (i int, from time.Duration, err error) {
	const whole = math.MinInt64
	if p.from <= 0 {
		return 0, whole, nil
	}
	at := func(t media.Ticks) time.Duration { return t.Duration(webm.Timescale) }
	i = len(p.segments) - 1
	for i > 0 && p.segments[i].time.Duration(p.timescale) > p.from {
		i--
	}
	for tries := 0; ; tries++ {
		frames, err := o.frames(ctx, p, &p.segments[i], -1)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return 0, 0, err
		}
		if !begins {
			for _, f := range frames {
				if f.Key && at(f.Time) >= p.from {
					return i, at(f.Time) + p.shift, nil
				}
			}
			return i + 1, whole, nil
		}
		for _, f := range slices.Backward(frames) {
			if f.Key && at(f.Time) <= p.from {
				return i, at(f.Time) + p.shift, nil
			}
		}
		if i == 0 || tries == keyTries {
			return i, whole, nil
		}
		i--
	}
}

// lengths returns the lengths of the WebM segments in the folder of a piece, by their keys,
// from a list of the folder: a page of a thousand objects costs as much as a question about
// one. It is nil where few segments are wanted, or without a Lister: each is asked for then.
func (o *opener) lengths(ctx context.Context, p *piece, wanted int) (map[string]int64, error) {
	if o.Lister == nil || wanted <= maxStats {
		return nil, nil //nolint:nilnil // as it says
	}
	if o.folder == p.dir {
		return o.lengthsOf, nil
	}
	o.folder, o.lengthsOf = p.dir, map[string]int64{}
	for object, err := range o.Lister.List(ctx, p.dir) {
		if err != nil {
			return nil, fmt.Errorf("list folder %q: %w", p.dir, err)
		}
		if path.Ext(object.Key) == path.Ext(media.WebMName) && len(o.lengthsOf) < maxSegments {
			o.lengthsOf[object.Key] = object.Size
		}
	}
	return o.lengthsOf, nil
}

// lengthOf returns the length of an object, which is among the lengths if there are some.
func (o *opener) lengthOf(ctx context.Context, key string, lengths map[string]int64) (int64, error) {
	if lengths != nil {
		if length, ok := lengths[key]; ok {
			return length, nil
		}
		return 0, fmt.Errorf("look for object %q: %w", key, storage.ErrNotFound)
	}
	object, err := o.Backend.Stat(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("look at object %q: %w", key, err)
	}
	return object.Size, nil
}

// picturesOf looks up a segment, of which what is shown from a time on is wanted; nil if
// there is nothing of it.
func (o *opener) picturesOf(ctx context.Context, p *piece, s *segment, from time.Duration, lengths map[string]int64) (*pictures, error) {
	key, err := p.key(s.name)
	if err != nil {
		return nil, err
	}
	x := &pictures{
		key: key, shift: p.shift, from: from, to: math.MaxInt64,
		time: s.time.Duration(p.timescale) + p.shift, end: s.end().Duration(p.timescale) + p.shift,
	}
	if p.to > 0 {
		x.to = p.to + p.shift
	}
	if x.length, err = o.lengthOf(ctx, key, lengths); err != nil {
		return nil, err
	}
	x.bytes = x.length
	if x.time >= x.from && x.end <= x.to {
		return x, nil
	}
	frames, err := o.frames(ctx, p, s, -1)
	if err != nil {
		return nil, err
	}
	x.bytes = 0
	for _, f := range frames {
		if x.shows(f) {
			x.frames++
			x.bytes += f.Size
		}
	}
	x.time, x.end = max(x.time, x.from), min(x.end, x.to)
	if x.frames == 0 {
		return nil, nil //nolint:nilnil // as it says
	}
	return x, nil
}

// at returns when a frame of the segment is shown.
func (x *pictures) at(f webm.Frame) time.Duration { return f.Time.Duration(webm.Timescale) + x.shift }

// shows reports whether a frame of the segment is wanted.
func (x *pictures) shows(f webm.Frame) bool {
	at := x.at(f)
	return at >= x.from && at < x.to
}

// layOut makes the file of pictures, in the order of time, and the sound.
func (m *WebM) layOut(video []pictures, init []byte, title Title) error {
	m.interleave(video)
	end := m.start
	f := webm.File{Start: title.Start, Title: title.Name, Comment: title.Comment}
	for i := range m.groups {
		g := &m.groups[i]
		g.at = f.Body
		if g.size = m.sizeOf(g); g.size > maxClusters {
			return fault.Errorf(fault.Conflict, "%d bytes of it are one segment, which is too much for one file", g.size)
		}
		f.Body += g.size
		if g.pictures != nil {
			end = max(end, g.pictures.end)
			f.Cues = append(f.Cues, webm.Cue{Time: m.ticks(g.pictures.time), Track: webm.VideoTrack, Position: g.at})
		} else if len(video) == 0 {
			f.Cues = append(f.Cues, webm.Cue{Time: m.ticks(g.time), Track: webm.AudioTrack, Position: g.at})
		}
	}
	if len(video) > 0 {
		f.Video = init
	}
	if m.sound != nil {
		var err error
		if f.Sound, err = opusOf(m.sound); err != nil {
			return err
		}
		end = max(end, min(m.sound.end, m.sound.stop).Duration(m.sound.timescale))
	}
	f.Duration = end - m.start
	var err error
	if m.head, err = f.Head(); err != nil {
		return err
	}
	for i := range m.groups {
		m.groups[i].at += int64(len(m.head))
	}
	m.size = int64(len(m.head)) + f.Body
	m.etag = m.validator()
	return nil
}

// opusOf returns what is to know of sound.
func opusOf(t *track) (*webm.Opus, error) {
	entry, ok := t.trak.Mdia.Minf.Stbl.Stsd.Children[0].(*mp4.AudioSampleEntryBox)
	if !ok || entry.Dops == nil {
		return nil, fault.New(fault.Conflict, "its sound is not Opus, and no other is put into a WebM file").Coded("not_one_file")
	}
	d := entry.Dops
	o := &webm.Opus{Channels: d.OutputChannelCount, Rate: d.InputSampleRate, Gain: d.OutputGain, Family: d.ChannelMappingFamily}
	if d.ChannelMappingFamily != 0 {
		o.Mapping = append([]byte{d.StreamCount, d.CoupledCount}, d.ChannelMapping...)
	}
	return o, nil
}

// interleave puts the pictures of each segment and the sound of its time together.
func (m *WebM) interleave(video []pictures) {
	next := 0
	begin := func() {
		x := &video[next]
		m.groups = append(m.groups, clusters{time: x.time, until: x.end, pictures: x})
		next++
	}
	if m.sound != nil {
		for _, p := range m.sound.parts {
			at := p.time.Duration(m.sound.timescale)
			for next < len(video) && video[next].time <= at+besides {
				begin()
			}
			if n := len(m.groups); n == 0 || at >= m.groups[n-1].until {
				m.groups = append(m.groups, clusters{time: at, until: at + soundAlone})
			}
			g := &m.groups[len(m.groups)-1]
			g.time = min(g.time, at)
			g.sound = append(g.sound, p)
		}
	}
	for next < len(video) {
		begin()
	}
}

// sizeOf returns how many bytes a part of the file has.
func (m *WebM) sizeOf(g *clusters) int64 {
	blocks, bytes, end := 0, int64(0), g.until
	if g.pictures != nil {
		blocks, bytes = g.pictures.frames, g.pictures.bytes
	}
	for _, p := range g.sound {
		blocks += int(p.sum.Samples)
		bytes += p.sum.Bytes
	}
	if n := len(g.sound); n > 0 { // the last part may be longer than the pictures
		end = max(end, min(m.sound.end.Duration(m.sound.timescale), g.sound[n-1].time.Duration(m.sound.timescale)+2*maxPart))
	}
	return webm.MaxBlocks(blocks, bytes, end-g.time)
}

// ticks returns a time of the file.
func (m *WebM) ticks(at time.Duration) media.Ticks {
	return media.TicksOf(max(at-m.start, 0), webm.Timescale)
}

// validator makes the ETag, of all that the file is made of.
func (m *WebM) validator() string {
	h := sha256.New()
	h.Write(m.head)
	var b []byte
	for _, g := range m.groups {
		fmt.Fprintf(h, "%d %d\n", g.at, g.size)
		if x := g.pictures; x != nil {
			fmt.Fprintf(h, "%q %d %d %d %d %d\n", x.key, x.length, x.shift, x.from, x.to, x.frames)
		}
		for _, p := range g.sound {
			b = p.appendTo(b[:0])
			h.Write(b)
			if p.object != silent {
				fmt.Fprintf(h, "%q\n", m.keys[p.object])
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
