package playback

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// unknownEnd is from where on the last byte of a range stands for the end of what grows
// (RFC 8673): the largest number that all clients have.
const unknownEnd = 1<<53 - 1

// running answers with a manifest of a recording that runs: when it has what r waits for
// (RFC 8216bis 6.2.5).
func (s *Server) running(w http.ResponseWriter, r *http.Request, key string) (done bool, err error) {
	q, err := media.ParseReload(r.URL.Query())
	if err != nil {
		return false, err
	}
	data, modified, ok, err := s.live.LiveManifest(r.Context(), key, q)
	if err != nil || !ok {
		return false, err
	}
	return true, sendManifest(w, r, key, data, modified)
}

// growing answers a GET of a segment that is being written with all of it, chunk by chunk,
// until it is closed: where no end is asked for, or one that stands for that. A range is
// waited for, and then answered like that of any object. done is false where that is left
// to do.
func (s *Server) growing(w http.ResponseWriter, r *http.Request, key string) (done bool, err error) {
	first, last, ok := rangeOf(r)
	if !ok || r.Method != http.MethodGet {
		return false, nil
	}
	streams := last < 0 && first == 0 && r.Header.Get("Range") == "" || last >= unknownEnd
	beyond := first
	if !streams && last >= 0 {
		beyond = last
	}
	size, open, err := s.live.Grown(r.Context(), key, beyond)
	if err != nil || !open || !streams || size <= first {
		return false, err
	}
	setHeader(w, key, "", cacheNoStore)
	status := http.StatusOK
	if last >= 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", first, last))
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	return true, s.stream(w, r, key, first, size)
}

// stream sends a segment that is being written from a byte on; so many bytes it has now.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, key string, sent, size int64) error {
	for open := true; ; {
		if err := s.copyPart(w, r, key, sent, size-sent); err != nil {
			return err
		}
		if sent = size; !open {
			return nil
		}
		var err error
		if size, open, err = s.live.Grown(r.Context(), key, sent); err != nil {
			return err
		}
		if !open {
			o, err := s.backend.Stat(r.Context(), key)
			if err != nil {
				return notFound(key, err)
			}
			size = o.Size
		} else if size <= sent {
			return fault.Errorf(fault.Unavailable, "nothing more of %q was recorded in time", key).Coded("nothing_new")
		}
	}
}

// copyPart sends n bytes of an object at once.
func (s *Server) copyPart(w http.ResponseWriter, r *http.Request, key string, offset, n int64) error {
	if n <= 0 {
		return nil
	}
	body, err := s.backend.Get(r.Context(), key, offset, n)
	if err != nil {
		return notFound(key, err)
	}
	_, err = io.CopyN(w, body, n)
	if err := errors.Join(err, body.Close(), http.NewResponseController(w).Flush()); err != nil {
		return fmt.Errorf("send %q: %w", key, err)
	}
	return nil
}

// rangeOf returns the one range of bytes that r asks for: last is -1 where it has no end.
// ok is false for what is left to http.ServeContent.
func rangeOf(r *http.Request) (first, last int64, ok bool) {
	header := r.Header.Get("Range")
	if header == "" {
		return 0, -1, true
	}
	spec, found := strings.CutPrefix(header, "bytes=")
	begin, end, dash := strings.Cut(spec, "-")
	if !found || !dash || r.Header.Get("If-Range") != "" {
		return 0, 0, false
	}
	first, err := strconv.ParseInt(begin, 10, 64)
	if err != nil || first < 0 {
		return 0, 0, false
	}
	if end == "" {
		return first, -1, true
	}
	last, err = strconv.ParseInt(end, 10, 64)
	return first, last, err == nil && last >= first
}
