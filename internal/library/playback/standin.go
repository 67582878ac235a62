package playback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
)

// StandInHeader is a header of a segment that stands for one that the storage has lost:
// silence, or a picture that stands still.
const StandInHeader = "X-Live777-Stand-In"

// standIn answers with what stands for a segment that the manifest of a recording names and
// the storage has lost: players give up where there is nothing. done is false where nothing
// can stand for the object.
func (s *Server) standIn(w http.ResponseWriter, r *http.Request, rec media.Recording, key string) (done bool, err error) {
	data, err := s.standInOf(r.Context(), rec, path.Base(key))
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

// standInOf returns what stands for a lost segment; nil if the manifest does not name it.
func (s *Server) standInOf(ctx context.Context, rec media.Recording, name string) ([]byte, error) {
	manifest, err := s.manifest(ctx, rec.MPDPath)
	if err != nil {
		return nil, err
	}
	lost, err := movie.FindLost(movie.Source{Dir: rec.RecordDir, Manifest: manifest}, func(other string) bool { return other != name })
	if err != nil || len(lost) == 0 {
		return nil, err
	}
	return lost[0].StandIn(ctx, movie.Opening{Backend: s.backend, Index: s.live.SampleIndex})
}
