// Package playback serves what was recorded: objects with ranges, the manifests
// of recordings that still run, and lists.
package playback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// Catalogue finds recordings. *catalogue.DB is one.
type Catalogue interface {
	// ListPage returns the page of recordings that q selects, newest first.
	ListPage(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error)
	// StreamsPage sums up the recordings of each stream that q selects, and says
	// how many streams have recordings.
	StreamsPage(ctx context.Context, q media.StreamQuery) (page []media.StreamSummary, total int, err error)
	// FindByObject returns the recording that the object key belongs to, or an
	// error of fault.NotFound.
	FindByObject(ctx context.Context, key string) (media.Recording, error)
}

// Live knows the recordings that run in this process.
type Live interface {
	// Manifest returns the manifest with the given key of a recording that
	// runs, as it is stored, and when it last changed; ok is false if there
	// is none. Nobody changes data afterwards.
	Manifest(key string) (data []byte, modified time.Time, ok bool)
	// LiveManifest returns the manifest with the given key of a recording that runs, with
	// what is being written of its segments, and when it last changed: when it has come so
	// far as q says, or when that takes too long.
	LiveManifest(ctx context.Context, key string, q media.Reload) (data []byte, modified time.Time, ok bool, err error)
	// Grown returns how many bytes can be read of a segment that is being written, or comes
	// next, when they are more than so many, or when that takes too long. open is false
	// for other objects.
	Grown(ctx context.Context, key string, beyond int64) (size int64, open bool, err error)
	// Open reports whether the object is still being written.
	Open(key string) bool
	// Running returns what is known of the recording in a folder that runs, of
	// which the catalogue hears now and then, until that has heard of its end.
	Running(recordDir string) (media.Recording, bool)
	// SampleIndex returns the sample index with the given key of a recording that
	// runs, if it is not stored yet.
	SampleIndex(key string) (data []byte, ok bool)
}

// Options configure New. Backend and Catalogue are needed.
type Options struct {
	Backend   storage.Readable
	Lister    storage.Lister // of what Backend has; nil where it has no lists
	Catalogue Catalogue
	Live      Live // nil where nothing is recorded
	// Note stores in the catalogue what is found out about a recording that has ended. nil:
	// nothing is noted.
	Note   func(ctx context.Context, r media.Recording) error
	Logger *slog.Logger // nil means slog.Default()
}

// Server answers what players ask. Safe for concurrent use.
type Server struct {
	backend   storage.Readable
	lister    storage.Lister
	catalogue Catalogue
	live      Live
	log       *slog.Logger
	movies    *movies
	losses    losses
	note      func(ctx context.Context, r media.Recording) error // may be nil
	noting    sync.Mutex                                         // held by noteLost
}

// New returns a Server.
func New(o Options) (*Server, error) {
	if o.Backend == nil || o.Catalogue == nil {
		return nil, errors.New("playback: Backend and Catalogue are needed")
	}
	s := &Server{backend: o.Backend, lister: o.Lister, catalogue: o.Catalogue, live: o.Live, note: o.Note, log: o.Logger}
	if s.live == nil {
		s.live = nothingLive{}
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.movies = newMovies()
	return s, nil
}

type nothingLive struct{}

func (nothingLive) Manifest(string) ([]byte, time.Time, bool) { return nil, time.Time{}, false }
func (nothingLive) LiveManifest(context.Context, string, media.Reload) ([]byte, time.Time, bool, error) {
	return nil, time.Time{}, false, nil
}
func (nothingLive) Grown(context.Context, string, int64) (int64, bool, error) { return 0, false, nil }
func (nothingLive) SampleIndex(string) ([]byte, bool)                         { return nil, false }
func (nothingLive) Open(string) bool                                          { return false }
func (nothingLive) Running(string) (media.Recording, bool)                    { return media.Recording{}, false }

// Streams returns a summary of each stream that q selects of those that have
// recordings, by its id.
func (s *Server) Streams(ctx context.Context, q media.StreamQuery) ([]media.StreamSummary, error) {
	page, _, err := s.catalogue.StreamsPage(ctx, q)
	return page, err
}

// Recordings returns the page of recordings that q selects, newest first. Those
// that run are as of now.
func (s *Server) Recordings(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error) {
	page, err := s.catalogue.ListPage(ctx, q)
	if err == nil && !s.renew(page.Recordings) {
		// The catalogue may have heard of an end after it was asked.
		page, err = s.catalogue.ListPage(ctx, q)
		s.renew(page.Recordings)
	}
	return page, err
}

// renew replaces the recordings that run by what is known of them now; it is false
// where one does not run here.
func (s *Server) renew(recordings []media.Recording) bool {
	all := true
	for i, r := range recordings {
		if r.Status != media.StatusRecording {
			continue
		}
		now, ok := s.live.Running(r.RecordDir)
		if ok {
			recordings[i] = now
		}
		all = all && ok
	}
	return all
}

// RecordingOf returns the recording that the object key belongs to, for
// authorization; a fault.NotFound where there is none, a fault.Invalid for a key
// that media.CheckPath refuses.
func (s *Server) RecordingOf(ctx context.Context, key string) (media.Recording, error) {
	if err := media.CheckPath(key); err != nil {
		return media.Recording{}, err
	}
	return s.recordingOf(ctx, key)
}

// recordingOf returns what is known of the recording that the object key belongs
// to. Nothing else in the storage can be fetched: the root may be a folder that
// has other files as well, and so may the folder of a recording.
func (s *Server) recordingOf(ctx context.Context, key string) (media.Recording, error) {
	if !media.IsServedName(path.Base(key)) {
		return media.Recording{}, notFound(key, catalogue.ErrNotFound)
	}
	r, err := s.catalogue.FindByObject(ctx, key)
	if err == nil {
		return r, nil
	}
	if now, ok := s.live.Running(path.Dir(key)); ok && fault.KindOf(err) == fault.NotFound {
		// The catalogue could not be told; playing what is recorded right now
		// does not depend on it.
		return now, nil
	}
	return media.Recording{}, notFound(key, err)
}

// notFound says the same of an object that is in no recording and of one that
// does not exist: what else is in the storage is nobody's business.
func notFound(key string, err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.Errorf(fault.NotFound, "there is no recorded object %q", key).Coded("object_unknown")
	}
	return fmt.Errorf("look up object %q: %w", key, err)
}
