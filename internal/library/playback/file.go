package playback

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // of viewers, wherever the program runs

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
)

const (
	// maxManifest is the longest manifest that is read, in bytes.
	maxManifest = 16 << 20
	// maxHeld is how many bytes of memory the heads of files take that are kept because
	// a player will ask for another range.
	maxHeld = 64 << 20
	// atOnce is how many files are made at the same time: each looks into all segments
	// of its recording.
	atOnce = 2
)

// file answers with the recording in the folder of key as one MP4 file, with ranges and
// conditions. Of one that runs it has what is closed.
func (s *Server) file(w http.ResponseWriter, r *http.Request, key string) error {
	rec, err := s.recordingOf(r.Context(), key)
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(r.URL.Query().Get("tz"))
	if err != nil {
		return fault.Errorf(fault.Invalid, `tz %.100q is no time zone; write it as "Europe/Berlin"`, r.URL.Query().Get("tz"))
	}
	m, err := s.movie(r.Context(), rec)
	if err != nil {
		if r.Context().Err() != nil {
			return nil //nolint:nilerr // the client has left
		}
		return err
	}
	h := w.Header()
	setHeader(w, key, m.ETag(), cacheValidate)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(rec, zone)}))
	return s.send(w, r, rec, key, time.Time{}, m.NewReader(r.Context(), s.backend))
}

// fileName is under which name a recording is saved: file systems refuse slashes and
// colons.
func fileName(rec media.Recording, zone *time.Location) string {
	stream := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) || media.IsHidden(r) {
			return '_'
		}
		return r
	}, rec.Stream)
	return stream + " " + rec.Start.In(zone).Format("2006-01-02 15.04.05") + path.Ext(media.FileName)
}

// movie returns the file of a recording, made now or before.
func (s *Server) movie(ctx context.Context, rec media.Recording) (*movie.Movie, error) {
	manifest, err := s.manifest(ctx, rec.MPDPath)
	if err != nil {
		return nil, err
	}
	return s.movies.get(ctx, sha256.Sum256(fmt.Appendf(nil, "%q %s", rec.RecordDir, manifest)), func() (*movie.Movie, error) {
		title := movie.Title{Name: rec.Stream, Comment: verdict(rec)}
		m, missing, err := movie.Open(ctx, s.backend, rec.RecordDir, manifest, title)
		if err != nil {
			return nil, fmt.Errorf("make one file of recording %q: %w", rec.RecordDir, err)
		}
		if len(missing) > 0 {
			s.log.Warn("the file of a recording lacks segments that the storage has lost",
				"stream", rec.Stream, "record_id", rec.RecordID, "record_dir", rec.RecordDir, "segments", len(missing), "first", missing[0])
		}
		return m, nil
	})
}

// verdict is what the file says of the recording's completeness.
func verdict(rec media.Recording) string {
	if rec.Status == media.StatusRecording {
		return "This is the part of a running recording that was closed when the file was made."
	}
	if rec.Reason == "" {
		return string(rec.Status)
	}
	return string(rec.Status) + ": " + rec.Reason
}

// manifest returns the content of a manifest.
func (s *Server) manifest(ctx context.Context, key string) ([]byte, error) {
	if data, _, ok := s.live.Manifest(key); ok {
		return data, nil
	}
	body, err := s.backend.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, notFound(key, err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxManifest))
	if err != nil {
		return nil, fmt.Errorf("read object %q: %w", key, err)
	}
	return data, nil
}

// movies keeps the files that were asked for last. Safe for concurrent use.
type movies struct {
	making chan struct{} // has a place for each file that is being made
	most   int64         // bytes that are kept

	mu     sync.Mutex
	byHash map[hash]*made
	held   int64 // bytes of those that are kept
	uses   int64
}

// hash tells recordings and versions of them apart.
type hash [sha256.Size]byte

// made is a file that is being made, or was. The movie, or the reason why there is none,
// is known when done is closed.
type made struct {
	done  chan struct{}
	movie *movie.Movie
	err   error
	kept  bool
	used  int64 // when it was asked for last
}

func newMovies() *movies {
	return &movies{making: make(chan struct{}, atOnce), most: maxHeld, byHash: map[hash]*made{}}
}

// get returns the file of a hash. If several clients ask for it at the same time, one
// request makes the file and the others wait. If that client leaves, another makes it.
func (m *movies) get(ctx context.Context, of hash, open func() (*movie.Movie, error)) (*movie.Movie, error) {
	for {
		file, mine := m.find(of)
		if mine {
			m.open(ctx, of, file, open)
		}
		select {
		case <-file.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if mine || ctx.Err() != nil || !errors.Is(file.err, context.Canceled) {
			return file.movie, file.err
		}
	}
}

// find returns the file of a hash; mine says that the caller has to make it.
func (m *movies) find(of hash) (file *made, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	file, ok := m.byHash[of]
	if !ok {
		file = &made{done: make(chan struct{})}
		m.byHash[of] = file
	}
	m.uses++
	file.used = m.uses
	return file, !ok
}

// open makes a file.
func (m *movies) open(ctx context.Context, of hash, file *made, open func() (*movie.Movie, error)) {
	defer close(file.done)
	defer m.keep(of, file)
	file.err = context.Canceled // unless it is made
	select {
	case m.making <- struct{}{}:
		defer func() { <-m.making }()
		file.movie, file.err = open()
	case <-ctx.Done():
	}
}

// keep counts a file that was made, and forgets those that were used least recently where
// they are too many. What could not be made is not kept.
func (m *movies) keep(of hash, file *made) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if file.err != nil {
		delete(m.byHash, of)
		return
	}
	file.kept = true
	m.held += file.movie.Held()
	for m.held > m.most {
		oldest := of
		for h, f := range m.byHash {
			if f.kept && f.used < m.byHash[oldest].used {
				oldest = h
			}
		}
		m.held -= m.byHash[oldest].movie.Held()
		delete(m.byHash, oldest)
	}
}
