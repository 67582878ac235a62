package playback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// StandInHeader is a header of a segment that stands for one that the storage has lost:
// silence, or a picture that stands still.
const StandInHeader = "X-Live777-Stand-In"

// standIn answers with what stands for a segment that the manifest of a recording names and
// the storage has lost: players give up where there is nothing. done is false where nothing
// can stand for the object.
func (s *Server) standIn(w http.ResponseWriter, r *http.Request, rec media.Recording, key string) (done bool, err error) {
	data, lost, err := s.standInOf(r.Context(), rec, path.Base(key))
	s.noteLost(r.Context(), rec, lost)
	switch {
	case fault.KindOf(err) == fault.Unavailable, r.Context().Err() != nil:
		return false, err
	case err != nil:
		s.log.Debug("nothing stands for an object that is not there", "object", key, "error", err)
		return false, nil
	case data == nil:
		return false, nil
	}
	if s.losses.add(rec.RecordDir) {
		s.log.Warn("the storage has lost a segment of a recording, and players get another one in its place",
			"stream", rec.Stream, "record_id", rec.RecordID, "object", key)
	}
	w.Header().Set(StandInHeader, "true")
	sum := sha256.Sum256(data)
	setHeader(w, key, hex.EncodeToString(sum[:16]), cacheValidate)
	_, err = serve(w, r, time.Time{}, bytes.NewReader(data))
	return true, err
}

// standInOf returns what stands for a lost segment, and what is lost; nothing if the manifest
// does not name it.
func (s *Server) standInOf(ctx context.Context, rec media.Recording, name string) ([]byte, []movie.Lost, error) {
	manifest, err := s.manifest(ctx, rec.MPDPath)
	if err != nil {
		return nil, nil, err
	}
	lost, err := movie.FindLost(movie.Source{Dir: rec.RecordDir, Manifest: manifest}, func(other string) bool { return other != name })
	if err != nil || len(lost) == 0 {
		return nil, nil, err
	}
	data, err := lost[0].StandIn(ctx, movie.Opening{Backend: s.backend, Index: s.live.SampleIndex})
	return data, lost, err
}

// noteLost notes in the catalogue that segments of a recording are lost, so that timelines
// and lists say so. Of one that runs, or waits for its upload, nobody here knows.
func (s *Server) noteLost(ctx context.Context, rec media.Recording, lost []movie.Lost) {
	if _, news := movie.Book(rec, lost); !news || s.note == nil || !isStored(rec) {
		return
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	now, err := s.catalogue.FindByObject(ctx, rec.MPDPath) // another request may have noted something
	if err == nil && isStored(now) {
		booked, news := movie.Book(now, lost)
		if news {
			err = s.note(ctx, booked)
		}
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("the catalogue cannot be told that the storage has lost segments", "stream", rec.Stream, "record_id", rec.RecordID, "record_dir", rec.RecordDir, "error", err)
	}
}

// isStored reports whether the storage has acknowledged all of a recording that has ended.
func isStored(r media.Recording) bool {
	return r.Status != media.StatusRecording && r.DurableThrough+0.001 >= r.Duration
}

// noteMissing notes segments that a file of recordings was made without.
func (s *Server) noteMissing(ctx context.Context, clips []Clip, missing []string) {
	if s.note == nil {
		return
	}
	for _, c := range clips {
		manifest, err := s.manifest(ctx, c.Recording.MPDPath)
		if err != nil {
			continue // the file says what it lacks
		}
		lost, err := movie.FindLost(movie.Source{Dir: c.Recording.RecordDir, Manifest: manifest}, func(name string) bool {
			if !slices.Contains(missing, name) {
				return true
			}
			_, err := s.backend.Stat(ctx, path.Join(c.Recording.RecordDir, name)) // it may be another recording's
			return !errors.Is(err, storage.ErrNotFound)
		})
		if err == nil {
			s.noteLost(ctx, c.Recording, lost)
		}
	}
}
