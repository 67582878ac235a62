package playback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// How long clients may keep what they fetched (RFC 9111 5.2.2, RFC 8246).
// "private" because a shared cache knows nothing of our tokens.
const (
	cacheForever  = "private, max-age=31536000, immutable"
	cacheNoStore  = "no-store" // it grows
	cacheValidate = "no-cache" // ask with the ETag
)

// maxRanges bounds the ranges of one request: each can cost a request to the
// backend, and RFC 9110 14.2 lets a server ignore the field when there are many.
const maxRanges = 16

// Object answers a GET or HEAD of the object with the given key, decoded from
// the URL: with ranges and conditions (RFC 9110 13, 14). An error means that
// nothing was written but headers; it is a fault.Invalid for a key that
// media.CheckPath refuses, a fault.NotFound for one that names no object of
// a recording, also when it is deleted at this moment, a
// fault.RangeNotSatisfiable or a fault.PreconditionFailed.
func (s *Server) Object(w http.ResponseWriter, r *http.Request, key string) error {
	if err := media.CheckPath(key); err != nil {
		return err
	}
	if media.IsFile(path.Base(key)) {
		return s.file(w, r, key)
	}
	if media.IsManifest(path.Base(key)) {
		if done, err := s.running(w, r, key); done || err != nil {
			return unlessLeft(r, err)
		}
	}
	rec, err := s.recordingOf(r.Context(), key)
	if err != nil {
		return err
	}
	if isMedia(key) {
		if done, err := s.growing(w, r, key); done || err != nil {
			return unlessLeft(r, err)
		}
	}
	// Before Stat: an object that is closed between the two must not be called
	// complete with the size that it had before.
	cache := s.cacheControl(key, rec)
	o, err := s.backend.Stat(r.Context(), key)
	if errors.Is(err, storage.ErrNotFound) && isMedia(key) {
		if done, err := s.standIn(w, r, rec, key); done || err != nil {
			return unlessLeft(r, err)
		}
	}
	if fault.KindOf(err) == fault.NotFound && path.Ext(key) == path.Ext(media.IndexName) {
		return fault.Errorf(fault.NotFound, "there is no HLS playlist %q: a recording has none while it has no media, if it is all VP8, "+
			"which HLS does not have, or if an older version made it; %s is its other manifest", key, media.ManifestName).Coded("no_hls")
	}
	if err != nil {
		return notFound(key, err)
	}
	setHeader(w, key, o.ETag, cache)
	return s.send(w, r, rec, key, o.Modified, storage.NewReader(r.Context(), s.backend, o))
}

// Manifest returns the MPD of a recording as it is now. The error is a fault.NotFound if
// there is none.
func (s *Server) Manifest(ctx context.Context, recordDir string) ([]byte, error) {
	return s.manifest(ctx, path.Join(recordDir, media.ManifestName))
}

// unlessLeft returns err, unless the client has left.
func unlessLeft(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return nil //nolint:nilerr // the client has left
	}
	return err
}

// sendManifest answers with a manifest of a recording that runs.
func sendManifest(w http.ResponseWriter, r *http.Request, key string, data []byte, modified time.Time) error {
	sum := sha256.Sum256(data)
	setHeader(w, key, hex.EncodeToString(sum[:16]), cacheValidate)
	_, err := serve(w, r, modified, bytes.NewReader(data))
	return err
}

// send answers with content, which is of the recording rec and served as key, and closes
// it.
func (s *Server) send(w http.ResponseWriter, r *http.Request, rec media.Recording, key string, modified time.Time, content io.ReadSeekCloser) error {
	cut, err := serve(w, r, modified, content)
	closed := content.Close()
	switch {
	case r.Context().Err() != nil:
		return nil //nolint:nilerr // the client has left
	case errors.Is(err, storage.ErrNotFound):
		return notFound(key, err) // deleted since Stat
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Errorf(fault.Unavailable, "object %q changes at this moment: %w", key, err).Coded("object_changes")
	case err != nil:
		return fmt.Errorf("serve object %q: %w", key, err)
	}
	if err := errors.Join(cut, closed); err != nil {
		s.log.Error("an object broke off while it was sent", "stream", rec.Stream, "record_id", rec.RecordID, "object", key, "error", err)
	}
	return nil
}

// cacheControl says how long the object may be kept. Segments never change once
// they are closed; of a recording that another process writes, or that a crash
// left open, nobody here knows whether they are. The record_dir of a recording
// without a RecordID was chosen by somebody, who may choose it again when this
// recording is deleted: its URLs do not name the same bytes for ever.
func (s *Server) cacheControl(key string, rec media.Recording) string {
	switch {
	case s.live.Open(key):
		return cacheNoStore
	case !isMedia(key), rec.RecordID == "":
		return cacheValidate
	case rec.Status == media.StatusRecording:
		if _, here := s.live.Running(path.Dir(key)); !here {
			return cacheValidate
		}
	}
	return cacheForever
}

// Believed returns the Cache-Control of an object of which another server has said one:
// what this package says of objects of that name, else that it is to be asked again.
func Believed(key, said string) string {
	if said == cacheNoStore || said == cacheForever && isMedia(key) {
		return said
	}
	return cacheValidate
}

func setHeader(w http.ResponseWriter, key, etag, cache string) {
	h := w.Header()
	h.Set("Content-Type", storage.ContentType(key))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", cache)
	if etag != "" {
		h.Set("ETag", `"`+etag+`"`)
	}
}

// isMedia reports whether the object is an init or a media segment.
func isMedia(key string) bool {
	switch path.Ext(key) {
	case ".m4s", ".webm":
		return true
	}
	return false
}
