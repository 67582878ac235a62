package api

import (
	"bytes"
	"net/http"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// MaxKeyFrames is the most key frames of a list.
	MaxKeyFrames     = 500
	defaultKeyFrames = 100
	// KeyTimeHeader says when a picture is shown.
	KeyTimeHeader = "X-Live777-Key-Time"
	// typeWebM is the type of a picture that cannot be MP4, in spite of its URL.
	typeWebM = "video/webm"
)

func (a *API) getKeyFrame(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	q := media.KeyFrameQuery{Stream: r.PathValue("stream")}
	var err error
	if at := r.PathValue("time"); at == "now" {
		q.At, q.Now = a.now().UTC(), true
	} else if q.At, err = media.ParseTime("the time in the path", at, nil); err != nil {
		return err
	}
	if q.Height, err = media.ParseHeight(r.URL.Query().Get("height")); err != nil {
		return err
	}
	p, err := a.o.Playback.KeyFrame(r.Context(), q)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", p.Type)
	if p.Type == typeWebM {
		h.Set("Content-Disposition", `inline; filename="key.webm"`)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // a later one may come
	h.Set("ETag", p.ETag)
	h.Set(KeyTimeHeader, p.Time.UTC().Format(time.RFC3339Nano))
	if p.Node != "" {
		h.Set(nodeHeader, p.Node)
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range") // it is small
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.Data))
	return nil
}

func (a *API) listKeyFrames(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	v := r.URL.Query()
	q := media.KeyFramesQuery{Stream: r.PathValue("stream")}
	var err error
	if q.Count, err = parseLimit(v.Get("count"), defaultKeyFrames, MaxKeyFrames); err != nil {
		return fault.Errorf(fault.Invalid, "count %.40q is not a number from 1 to %d", v.Get("count"), MaxKeyFrames)
	}
	if q.Span, err = media.ParseTimeSpan(v.Get("from"), v.Get("to"), a.now(), nil); err != nil {
		return err
	}
	if q.Height, err = media.ParseHeight(v.Get("height")); err != nil {
		return err
	}
	list, err := a.o.Playback.KeyFrames(r.Context(), q)
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, list)
	return nil
}
