package movie

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/media/webm"
	"github.com/live777/recorder/internal/storage"
)

// KeyFrame is a picture that can be decoded by itself, and where it is stored.
type KeyFrame struct {
	At     time.Time // wall clock at which it is shown
	Dir    string    // of its recording
	Init   string    // name of the init segment, without which it cannot be decoded
	Object string    // name of its segment
	Offset int64     // of its bytes in that
	Size   int64
	Codecs string // RFC 6381

	kind      media.Kind
	timescale uint32
	webm      bool
}

// Type returns the MIME type of its File.
func (k *KeyFrame) Type() string {
	if k.webm {
		return "video/webm"
	}
	return "video/mp4"
}

// maxKey is how many bytes of a key frame are read at most.
const maxKey = 16 << 20

// errNoKey is the error where there is no key frame.
var errNoKey = fault.New(fault.NotFound, "there is no key frame in it").Coded("no_key_frame")

// LastKey returns the last key frame of a plan that is shown at a time or before it. A
// fault.NotFound says that there is none.
func (p *Plan) LastKey(ctx context.Context, at time.Time, how Opening) (KeyFrame, error) {
	o := p.opener(how)
	tries := 0
	for _, f := range slices.Backward(p.Files) {
		for _, one := range slices.Backward(f.tracks[place(media.Video)]) {
			for i := range slices.Backward(one.segments) {
				if p.at(one, one.segments[i].time).After(at) {
					continue
				}
				keys, err := o.keyFrames(ctx, p, one, &one.segments[i])
				if err != nil && !errors.Is(err, storage.ErrNotFound) {
					return KeyFrame{}, err
				}
				for _, k := range slices.Backward(keys) {
					if !k.At.After(at) {
						return k, nil
					}
				}
				if tries++; tries > keyTries {
					return KeyFrame{}, errNoKey
				}
			}
		}
	}
	return KeyFrame{}, errNoKey
}

// OpenKey returns the last key frame until a time of the segment that is being written
// behind the last one of a plan. It is false if there is none, or none can be read.
func (p *Plan) OpenKey(ctx context.Context, at time.Time, how Opening) (KeyFrame, bool) {
	f := p.Files[len(p.Files)-1]
	pieces := f.tracks[place(media.Video)]
	if len(pieces) == 0 {
		return KeyFrame{}, false
	}
	one := pieces[len(pieces)-1]
	last := one.segments[len(one.segments)-1]
	next := segment{number: last.number + 1, name: media.SegmentName(one.template, last.number+1), time: last.end()}
	o := p.opener(how)
	keys, err := o.keyFrames(ctx, p, one, &next)
	if err != nil {
		return KeyFrame{}, false
	}
	for _, k := range slices.Backward(keys) {
		if !k.At.After(at) {
			return k, true
		}
	}
	return KeyFrame{}, false
}

// Keys returns at most count key frames of a plan that are shown in [from, to), about
// evenly apart. It looks at no more segments than twice as many.
func (p *Plan) Keys(ctx context.Context, from, to time.Time, count int, how Opening) ([]KeyFrame, error) {
	o := p.opener(how)
	var candidates []candidate
	for _, f := range p.Files {
		for _, one := range f.tracks[place(media.Video)] {
			for i := range one.segments {
				s := &one.segments[i]
				if p.at(one, s.end()).After(from) && p.at(one, s.time).Before(to) {
					candidates = append(candidates, candidate{one, s})
				}
			}
		}
	}
	all := len(candidates) <= 2*count
	part := func(at time.Time) int { return int(at.Sub(from).Seconds() * float64(count) / to.Sub(from).Seconds()) }
	var keys []KeyFrame
	last := -1 // part of the span that has a key frame
	for _, c := range candidates {
		if !all && part(p.at(c.piece, c.segment.time)) <= last {
			continue // there is one of that time
		}
		found, err := o.listed(ctx, p, c.piece, c.segment)
		if errors.Is(err, storage.ErrNotFound) {
			continue // the storage has lost it
		}
		if err != nil {
			return nil, err
		}
		for _, k := range found {
			if k.At.Before(from) || !k.At.Before(to) || part(k.At) <= last {
				continue
			}
			keys, last = append(keys, k), part(k.At)
		}
	}
	return keys, nil
}

// candidate is a segment in which key frames are looked for.
type candidate struct {
	piece   *piece
	segment *segment
}

// at returns the wall clock of a time of a piece.
func (p *Plan) at(one *piece, t media.Ticks) time.Time {
	return p.epoch.Add(one.shift + t.Duration(one.timescale))
}

// isWebM reports whether the segments of a piece are WebM.
func (p *piece) isWebM() bool { return strings.HasSuffix(p.mime, "/webm") }

// beginningSize is how much of a WebM segment has what is to know of its first frame.
const beginningSize = 4 << 10

// listed returns the key frames of a segment for a list. WebM has no sample index, and of a
// segment that had to be read whole it is the first frame alone.
func (o *opener) listed(ctx context.Context, p *Plan, one *piece, s *segment) ([]KeyFrame, error) {
	if !one.isWebM() {
		return o.keyFrames(ctx, p, one, s)
	}
	keys, err := o.webmFrames(ctx, p, one, s, beginningSize)
	return keys[:min(len(keys), 1)], err
}

// webmFrames returns the key frames of a WebM segment, of which so many bytes are read; -1
// for all.
func (o *opener) webmFrames(ctx context.Context, p *Plan, one *piece, s *segment, most int64) ([]KeyFrame, error) {
	frames, err := o.frames(ctx, one, s, most)
	if err != nil {
		return nil, err
	}
	var keys []KeyFrame
	for _, f := range frames {
		if f.Key {
			at := media.Ticks(int64(f.Time) * int64(one.timescale) / webm.Timescale)
			keys = append(keys, KeyFrame{
				At: p.at(one, at), Dir: one.dir, Init: one.init, Object: s.name, Offset: f.Offset, Size: f.Size,
				Codecs: one.codecs, kind: one.kind, timescale: one.timescale, webm: true,
			})
		}
	}
	return keys, nil
}

// frames returns where the frames of a WebM segment are, of which so many bytes are read; -1
// for all, or else it is the first frame alone.
func (o *opener) frames(ctx context.Context, p *piece, s *segment, most int64) ([]webm.Frame, error) {
	key, err := p.key(s.name)
	if err != nil {
		return nil, err
	}
	r, err := o.Backend.Get(ctx, key, 0, most)
	if err != nil {
		return nil, fmt.Errorf("open object %q: %w", key, err)
	}
	frames, err := webm.Frames(r, most >= 0)
	_ = r.Close() // it was read
	if err != nil {
		return nil, fmt.Errorf("read object %q: %w", key, err)
	}
	return frames, nil
}

// keyFrames returns the key frames of a segment.
func (o *opener) keyFrames(ctx context.Context, p *Plan, one *piece, s *segment) ([]KeyFrame, error) {
	if one.isWebM() {
		return o.webmFrames(ctx, p, one, s, -1)
	}
	tables, err := o.look(ctx, one, s)
	if err != nil {
		return nil, err
	}
	var keys []KeyFrame
	for _, table := range tables {
		t, offset := table.Time, table.Offset
		for _, e := range table.Samples {
			if e.Key {
				keys = append(keys, KeyFrame{
					At: p.at(one, t+media.Ticks(e.Composition)), Dir: one.dir, Init: one.init, Object: s.name, Offset: offset, Size: int64(e.Size),
					Codecs: one.codecs, kind: one.kind, timescale: one.timescale,
				})
			}
			t += media.Ticks(e.Duration)
			offset += int64(e.Size)
		}
	}
	return keys, nil
}

// data reads the key frame.
func (k *KeyFrame) data(ctx context.Context, b storage.Readable) ([]byte, error) {
	if k.Size > maxKey {
		return nil, fault.Errorf(fault.Unprocessable, "the key frame has %d bytes, which is too much for a picture", k.Size)
	}
	return readRange(ctx, b, path.Join(k.Dir, k.Object), k.Offset, k.Size)
}

// ETag returns a strong validator of its File.
func (k *KeyFrame) ETag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d", k.Dir, k.Object, k.Offset, k.Size))
	return fmt.Sprintf(`"%x"`, sum[:12])
}

// File returns the key frame as a file of its own: the init segment, and one sample of a
// second, at 0. VP8 is WebM, for no browser decodes it in MP4.
func (k *KeyFrame) File(ctx context.Context, b storage.Readable) ([]byte, error) {
	if !media.IsObjectName(k.Init) {
		return nil, fmt.Errorf("read the manifest: it names %q, which is no object of a recording", k.Init)
	}
	init, err := storage.ReadAll(ctx, b, path.Join(k.Dir, k.Init), maxInit)
	if err != nil {
		return nil, err
	}
	data, err := k.data(ctx, b)
	if err != nil {
		return nil, err
	}
	if k.webm {
		c := webm.Chunk{Samples: []webm.Sample{{Data: data, Duration: webm.Timescale, Key: true}}}
		return c.Append(init), nil
	}
	track, err := trakOf(init)
	if err != nil {
		return nil, err
	}
	c := fmp4.Chunk{
		TrackID: track.Tkhd.TrackID, Kind: k.kind, Sequence: 1, Time: 0,
		Samples: []fmp4.Sample{{Data: data, Duration: k.timescale, Key: true}},
	}
	return c.Append(init), nil
}
