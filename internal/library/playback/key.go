package playback

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
)

const (
	// keyRecordings is in how many recordings a key frame is looked for: the newest may
	// have none yet.
	keyRecordings = 4
	// maxKeyRecordings is how many recordings a span may have of which key frames are
	// listed: each one's manifest is read.
	maxKeyRecordings = 200
)

// ManyRecordings is the error about a span in which more recordings are than those of a
// page, which has the newest.
func ManyRecordings(page media.RecordingPage) error {
	hint := ""
	if n := len(page.Recordings); n > 0 {
		hint = fmt.Sprintf(": the newest %d are from %s on", n, page.Recordings[n-1].Start.UTC().Format(time.RFC3339Nano))
	}
	return fault.Errorf(fault.Invalid, "more than %d recordings have a part of this time; ask for less of it%s", maxKeyRecordings, hint).Coded("span_too_long", "most", maxKeyRecordings)
}

// KeyRecordings selects the recordings in which a key frame may be, newest first.
func KeyRecordings(q media.KeyFrameQuery) media.RecordingQuery {
	return media.RecordingQuery{Stream: q.Stream, To: q.At.Add(time.Nanosecond), Limit: keyRecordings}
}

// KeySpan selects the recordings of which key frames are listed. If there are more, the
// answer is ManyRecordings.
func KeySpan(q media.KeyFramesQuery) media.RecordingQuery {
	return media.RecordingQuery{Stream: q.Stream, From: q.Span.From, To: q.Span.To, Limit: maxKeyRecordings}
}

// NoKeyFrame is the error where a stream has no key frame until a time.
func NoKeyFrame(q media.KeyFrameQuery) error {
	return fault.Errorf(fault.NotFound, "stream %q has no recorded key frame at %s or before", q.Stream, q.At.UTC().Format(time.RFC3339Nano)).Coded("no_key_frame")
}

// KeyFrame returns the last key frame of a stream at a time or before it. It is a
// fault.NotFound where there is none.
func (s *Server) KeyFrame(ctx context.Context, q media.KeyFrameQuery) (media.Picture, error) {
	page, err := s.Recordings(ctx, KeyRecordings(q))
	if err != nil {
		return media.Picture{}, err
	}
	for _, rec := range page.Recordings {
		p, err := s.KeyFrameOf(ctx, rec, q)
		if fault.KindOf(err) != fault.NotFound || err == nil {
			return p, err
		}
	}
	return media.Picture{}, NoKeyFrame(q)
}

// KeyFrameOf is KeyFrame for one recording.
func (s *Server) KeyFrameOf(ctx context.Context, rec media.Recording, q media.KeyFrameQuery) (media.Picture, error) {
	until := q.At.Sub(rec.Start) + time.Microsecond
	if until <= 0 {
		return media.Picture{}, NoKeyFrame(q)
	}
	plan, err := s.keyPlan(ctx, []media.Recording{rec}, until, q.Height)
	if err != nil {
		return media.Picture{}, err
	}
	how := movie.Opening{Backend: s.backend, Index: s.live.SampleIndex}
	k, ok := movie.KeyFrame{}, false
	if q.Now && rec.Status == media.StatusRecording {
		k, ok = plan.OpenKey(ctx, q.At, how)
	}
	if !ok {
		if k, err = plan.LastKey(ctx, q.At, how); err != nil {
			return media.Picture{}, fmt.Errorf("find a key frame of recording %q: %w", rec.RecordDir, err)
		}
	}
	data, err := k.File(ctx, s.backend)
	if err != nil {
		return media.Picture{}, fmt.Errorf("read a key frame of recording %q: %w", rec.RecordDir, err)
	}
	return media.Picture{Time: k.At, ETag: k.ETag(), Type: k.Type(), Data: data}, nil
}

// keyPlan reads the manifests of recordings, whose pictures are wanted until a media time
// of the last; 0: all.
func (s *Server) keyPlan(ctx context.Context, recs []media.Recording, until time.Duration, height int) (*movie.Plan, error) {
	var sources []movie.Source
	for i, rec := range recs {
		manifest, err := s.manifest(ctx, rec.MPDPath)
		if fault.KindOf(err) == fault.NotFound && len(recs) > 1 {
			continue // it has just begun, or is being deleted
		}
		if err != nil {
			return nil, err
		}
		source := movie.Source{Dir: rec.RecordDir, Manifest: manifest}
		if i == len(recs)-1 {
			source.To = until
		}
		sources = append(sources, source)
	}
	return movie.NewPlan(sources, movie.Choice{Kinds: []media.Kind{media.Video}, Height: height})
}

// KeyFrames lists key frames of a stream.
func (s *Server) KeyFrames(ctx context.Context, q media.KeyFramesQuery) (media.KeyFrameList, error) {
	page, err := s.Recordings(ctx, KeySpan(q))
	if err != nil {
		return media.KeyFrameList{}, err
	}
	if page.Next != "" {
		return media.KeyFrameList{}, ManyRecordings(page)
	}
	return s.KeyFramesOf(ctx, page.Recordings, q)
}

// KeyFramesOf lists key frames of recordings, which are in the order of a
// media.RecordingPage.
func (s *Server) KeyFramesOf(ctx context.Context, recs []media.Recording, q media.KeyFramesQuery) (media.KeyFrameList, error) {
	list := media.KeyFrameList{Stream: q.Stream, From: q.Span.From, To: q.Span.To, KeyFrames: []media.KeyFrame{}}
	if len(recs) == 0 {
		return list, nil
	}
	recs = slices.Clone(recs)
	slices.Reverse(recs)
	plan, err := s.keyPlan(ctx, recs, 0, q.Height)
	if fault.KindOf(err) == fault.NotFound {
		return list, nil // sound alone, or nothing yet
	}
	if err != nil {
		return list, err
	}
	keys, err := plan.Keys(ctx, q.Span.From, q.Span.To, q.Count, movie.Opening{Backend: s.backend, Index: s.live.SampleIndex})
	if err != nil {
		return list, fmt.Errorf("list key frames of stream %q: %w", q.Stream, err)
	}
	for _, k := range keys {
		list.KeyFrames = append(list.KeyFrames, media.KeyFrame{
			Time: k.At.UTC(), RecordDir: k.Dir, Init: path.Join(k.Dir, k.Init), Object: path.Join(k.Dir, k.Object),
			Offset: k.Offset, Bytes: k.Size, Codecs: k.Codecs,
		})
	}
	return list, nil
}
