package movie

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/media/webm"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/storage"
)

// Shaka Player and dash.js give up on a recording of which a segment is missing. What they
// get in its place has its time: silence, or copies of the key frame before it.

const (
	// maxStandIn is the longest time that a segment stands for.
	maxStandIn = time.Minute
	// stillFor is how long one copy of a picture lasts: players show what follows a long
	// one too early.
	stillFor = time.Second
)

// Lost is a segment that a manifest names and the storage has lost.
type Lost struct {
	Track      string // Representation@id
	Kind       media.Kind
	Name       string
	From, To   time.Duration // media time
	piece      *piece
	at, number int // its place in the piece, and its number
}

// FindLost returns the segments of a recording that its manifest names and the storage does
// not have.
func FindLost(s Source, has func(name string) bool) (lost []Lost, err error) {
	m, err := manifest.ReadMPD(s.Manifest)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %q: %w", s.Dir, err)
	}
	for _, period := range m.Periods {
		for _, kind := range []media.Kind{media.Video, media.Audio} {
			for r := range ofKind(period, kind) {
				p := &piece{dir: s.Dir, kind: kind}
				if err := p.read(r); err != nil {
					return nil, fmt.Errorf("read the manifest of %q: %w", s.Dir, err)
				}
				for i, one := range p.segments {
					if has(one.name) {
						continue
					}
					lost = append(lost, Lost{
						Track: r.Id, Kind: kind, Name: one.name, piece: p, at: i, number: one.number,
						From: one.time.Duration(p.timescale), To: one.end().Duration(p.timescale),
					})
				}
			}
		}
	}
	return lost, nil
}

// StandIn returns a segment that stands for one that is lost. It is a fault.NotFound where
// there can be none: nothing is left that it could be made of, or it would be too long.
func (l *Lost) StandIn(ctx context.Context, how Opening) ([]byte, error) {
	none := fault.Errorf(fault.NotFound, "nothing can stand for the lost segment %q", l.Name)
	if l.To-l.From > maxStandIn {
		return nil, none
	}
	o := &opener{Opening: how, indexes: newIndexes()}
	init, err := o.read(ctx, l.piece, l.piece.init)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	if l.piece.isWebM() {
		data, err := l.picture(ctx, o)
		if err != nil || data == nil {
			return nil, errors.Join(err, none)
		}
		at := media.TicksOf(l.From, webm.Timescale)
		c := webm.Chunk{Time: at}
		for d := range Copies(media.TicksOf(l.To, webm.Timescale)-at, media.TicksOf(stillFor, webm.Timescale)) {
			c.Samples = append(c.Samples, webm.Sample{Data: data, Duration: d, Key: true})
		}
		return c.Append(nil), nil
	}
	track, err := trakOf(init)
	if err != nil {
		return nil, err
	}
	data, each, err := l.sample(ctx, o, init)
	if err != nil || data == nil {
		return nil, errors.Join(err, none)
	}
	s := l.piece.segments[l.at]
	c := fmp4.Chunk{TrackID: track.Tkhd.TrackID, Kind: l.Kind, Sequence: o.sequence(ctx, l), Time: s.time, First: true}
	for d := range Copies(s.duration, each) {
		c.Samples = append(c.Samples, fmp4.Sample{Data: data, Duration: uint32(d), Key: true}) //nolint:gosec // two seconds at most
	}
	return c.Append(nil), nil
}

// Copies yields how long copies of a sample last that fill a time: each as long as one, but
// the last one takes the rest.
func Copies(long, each media.Ticks) func(yield func(media.Ticks) bool) {
	return func(yield func(media.Ticks) bool) {
		for long > 0 {
			d := each
			if long < 2*each {
				d = long
			}
			if !yield(d) {
				return
			}
			long -= d
		}
	}
}

// sample returns what the segment is made of, nil if there is nothing, and how long one copy
// of it lasts.
func (l *Lost) sample(ctx context.Context, o *opener, init []byte) (data []byte, each media.Ticks, err error) {
	if l.Kind == media.Video {
		data, err = l.picture(ctx, o)
		return data, media.TicksOf(stillFor, l.piece.timescale), err
	}
	_, format, err := fmp4.Describe(init)
	if err != nil {
		return nil, 0, fmt.Errorf("read the init segment: %w", err)
	}
	data, each = Silence(format)
	return data, each, nil
}

// Silence returns a packet of silence of a format, nil if there is none, and how long it is.
func Silence(f *media.Format) (data []byte, duration media.Ticks) {
	c, ok := codec.Lookup(f.Codec)
	if !ok {
		return nil, 0
	}
	unit, ok := c.Neutral(media.Track{Kind: media.Audio, Codec: c.Name, ClockRate: c.ClockRate, Channels: uint16(f.Channels)}) //nolint:gosec // eight at most
	if !ok || unit.Duration <= 0 || unit.Format.Timescale != f.Timescale {
		return nil, 0
	}
	return unit.Data, unit.Duration
}

// picture returns the last key frame before the segment, else the first one behind it, nil
// if there is none.
func (l *Lost) picture(ctx context.Context, o *opener) ([]byte, error) {
	all := l.piece.segments
	var near []segment
	for i := l.at - 1; i >= max(0, l.at-keyTries); i-- {
		near = append(near, all[i])
	}
	before := len(near)
	near = append(near, all[l.at+1:min(len(all), l.at+1+keyTries)]...)
	for i := range near {
		keys, err := o.keyFrames(ctx, &Plan{}, l.piece, &near[i])
		switch {
		case errors.Is(err, storage.ErrNotFound) || err == nil && len(keys) == 0:
			continue
		case err != nil:
			return nil, err
		case i < before:
			return keys[len(keys)-1].data(ctx, o.Backend)
		}
		return keys[0].data(ctx, o.Backend)
	}
	return nil, nil
}

// sequence returns the sequence number of the chunk: the one after those of the segment
// before, if that can be read.
func (o *opener) sequence(ctx context.Context, l *Lost) uint32 {
	number := uint32(l.number) //nolint:gosec // it counts segments
	if l.at == 0 {
		return number
	}
	key, err := l.piece.key(l.piece.segments[l.at-1].name)
	if err != nil {
		return number
	}
	object, err := o.Backend.Stat(ctx, key)
	if err != nil {
		return number
	}
	r := storage.NewReader(ctx, o.Backend, object)
	defer func() { _ = r.Close() }() // nothing was written
	if before, err := fmp4.Scan(r, object.Size); err == nil && before.Bytes > 0 {
		return before.Sequence + 1
	}
	return number
}
