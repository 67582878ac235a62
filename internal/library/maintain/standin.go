package maintain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/storage"
)

// Shaka Player and dash.js give up on a recording of which a segment is missing. So another
// one is made in its place when a recording of an original is taken up, and the ledger says
// that the time is filled: with silence, or with copies of the key frame before it.

const (
	// maxStandIns is how many segments of a track get a stand-in. What else is missing is lost.
	maxStandIns = 100
	// maxStandIn is the longest time that one stands for.
	maxStandIn = time.Minute
	// standInFor is how long one copy of a picture lasts: players show what follows a long
	// one too early.
	standInFor = time.Second
	// causeNode is the cause of gaps where storage has not what it should have.
	causeNode = "node"
)

// originalTrackIDs are those in the segments of an original.
var originalTrackIDs = map[media.Kind]uint32{media.Video: 1, media.Audio: 2}

// standIns makes the segments that stand for those of a track that are missing.
type standIns struct {
	*adoption
	track  manifest.OriginalTrack
	format *media.Format
	last   storage.Object // the segment before, that is there
	made   int
}

// segment makes the segment that stands in for one that is missing; nil where it cannot be.
func (s *standIns) segment(ctx context.Context, of media.Segment) ([]byte, error) {
	if s.made >= maxStandIns || of.Duration > media.TicksOf(maxStandIn, s.track.Timescale) {
		return nil, nil
	}
	data, each, err := s.sample(ctx)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	s.made++
	c := fmp4.Chunk{
		TrackID: originalTrackIDs[s.track.Kind], Kind: s.track.Kind, Time: of.Time, First: true,
		Sequence: uint32(of.Number), //nolint:gosec // it counts segments
	}
	for d := range movie.Copies(of.Duration, each) {
		c.Samples = append(c.Samples, fmp4.Sample{Data: data, Duration: uint32(d), Key: true}) //nolint:gosec // two seconds at most
	}
	return c.Append(nil), nil
}

// sample returns what decodes by itself, and how long one copy of it lasts. It is empty where
// there is no such thing.
func (s *standIns) sample(ctx context.Context) (data []byte, each media.Ticks, err error) {
	if s.track.Kind == media.Video {
		data, err = s.picture(ctx)
		return data, media.TicksOf(standInFor, s.track.Timescale), err
	}
	data, each = movie.Silence(s.format)
	return data, each, nil
}

// picture returns the key frame that the segment before begins with, or the first that there is.
func (s *standIns) picture(ctx context.Context) ([]byte, error) {
	if s.last.Key == "" {
		i := slices.IndexFunc(s.track.Segments, func(t media.Segment) bool { _, ok := s.stored(ctx, t.Name); return ok })
		if i < 0 {
			return nil, nil
		}
		s.last, _ = s.stored(ctx, s.track.Segments[i].Name)
	}
	body := storage.NewReader(ctx, s.Backend, s.last)
	data, _ := fmp4.FirstKey(body, s.last.Size)
	if err := body.Close(); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.last.Key, err)
	}
	return data, nil
}

// stored returns a segment that the original has stored. What stands in for one is not that:
// a rebuild may have ended before it had taken up the recording.
func (a *adoption) stored(ctx context.Context, name string) (storage.Object, bool) {
	o, ok := a.folder.object(name)
	if !ok || !a.folder.has(media.OriginalManifestName) {
		return o, ok
	}
	head := make([]byte, len(standInStyp))
	body := storage.NewReader(ctx, a.Backend, o)
	_, err := io.ReadFull(body, head)
	return o, errors.Join(err, body.Close()) != nil || !bytes.Equal(head, standInStyp)
}

// standInStyp is what segments of ours begin with, and those of an original do not.
var standInStyp = (&fmp4.Chunk{Kind: media.Audio, First: true, Samples: []fmp4.Sample{{Duration: 1}}}).Append(nil)[:24]
