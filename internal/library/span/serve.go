package span

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/storage"
)

// UnavailableHeader is a header of manifests: how many recordings of the span cannot be had
// now. What only they have is missing.
const UnavailableHeader = "X-Live777-Unavailable"

// Serve answers a GET or HEAD of what a span of a stream has by a name: its manifests, the
// segments that they name, by their record_dir and name, and its files (media.IsFile). An
// error means that nothing was written but headers.
func (l *Library) Serve(w http.ResponseWriter, r *http.Request, stream string, s media.TimeSpan, name string, until time.Time) error {
	if media.IsFile(name) {
		return l.file(w, r, stream, s, name)
	}
	if !media.IsManifest(name) {
		if err := l.check(r.Context(), stream, s, name); err != nil {
			return err
		}
		return l.source.Object(w, r, name, until)
	}
	data, parts, err := l.manifest(r, stream, s, name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	h := w.Header()
	l.describe(h, parts.recordings())
	if len(parts.Unavailable) > 0 {
		h.Set(UnavailableHeader, strconv.Itoa(len(parts.Unavailable)))
		l.log.Warn("a span lacks recordings that cannot be had now", "stream", stream, "recordings", len(parts.Unavailable), "first", parts.Unavailable[0])
	}
	h.Set("Content-Type", storage.ContentType(name))
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	r = r.Clone(r.Context())
	for _, header := range []string{"Range", "If-Range", "If-Match", "If-Unmodified-Since"} {
		r.Header.Del(header) // it is short, and made anew
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	return nil
}

// file answers with a span as one file of that name. Nobody sees what a file lacks: where a
// recording cannot be had now, there is none.
func (l *Library) file(w http.ResponseWriter, r *http.Request, stream string, s media.TimeSpan, name string) error {
	parts, err := l.Parts(r.Context(), stream, s)
	if err != nil {
		return err
	}
	if len(parts.Unavailable) > 0 {
		return fmt.Errorf("the file would lack a part of the span: %w", parts.why)
	}
	clips := make([]playback.Clip, len(parts.Clips))
	for i, c := range parts.Clips {
		clips[i] = playback.Clip{Recording: c.Recording, From: c.From, To: c.To}
	}
	l.describe(w.Header(), parts.recordings())
	return l.source.File(w, r, name, clips)
}

// manifest returns the manifest of a name, when it has what r waits for, and the parts that
// it is of.
func (l *Library) manifest(r *http.Request, stream string, s media.TimeSpan, name string) (data []byte, parts Parts, err error) {
	q, err := media.ParseReload(r.URL.Query())
	if err != nil {
		return nil, parts, err
	}
	for {
		if parts, err = l.Parts(r.Context(), stream, s); err != nil {
			return nil, parts, err
		}
		joined := parts.join(stream)
		more := l.attach(joined, &parts)
		has, err := joined.Has(name, q)
		if err != nil {
			return nil, parts, err
		}
		if has || more == nil {
			if data, err = render(joined, name, q.Skip); err == nil {
				data = nameLost(data, name, &parts)
			}
			return data, parts, err
		}
		switch came, err := l.source.Await(r.Context(), more); {
		case err != nil:
			return nil, parts, err
		case !came:
			q.Sequence = -1
		}
	}
}

// attach adds the chunks at the live edge to a presentation of the parts, and returns what
// is closed when there is more; nil if that is not known.
func (l *Library) attach(joined *manifest.Presentation, p *Parts) <-chan struct{} {
	if !p.Running {
		return nil
	}
	last := &p.Clips[len(p.Clips)-1]
	tail, more, ok := l.source.Edge(last.Recording.RecordDir)
	if !ok {
		return nil
	}
	joined.Attach(tail, last.Folder)
	return more
}

// recordings returns those that the parts are of, in their order.
func (p *Parts) recordings() []media.Recording {
	list := make([]media.Recording, len(p.Clips))
	for i := range p.Clips {
		list[i] = p.Clips[i].Recording
	}
	return list
}

// join returns the parts as one presentation. The names of its objects are relative to its
// manifests.
func (p *Parts) join(stream string) *manifest.Presentation {
	clips := make([]manifest.Clip, len(p.Clips))
	for i := range p.Clips {
		clips[i] = p.Clips[i].Clip
	}
	joined := manifest.Join(stream, clips)
	if joined.Dynamic = p.Running; p.Running {
		joined.UTCTiming = media.TimeName
	}
	return joined
}

// render returns the manifest of a name; with skip a playlist may leave out what is old.
func render(p *manifest.Presentation, name string, skip bool) ([]byte, error) {
	data, ok := p.AppendLive(nil, name, skip)
	if !ok {
		return nil, fault.Errorf(fault.NotFound, "the span has no HLS playlist %q: it has no such track, or its media is VP8, which HLS does not have; "+
			"%s is its other manifest", name, media.ManifestName).Coded("no_hls")
	}
	return data, nil
}

// check reports whether a span of a stream has a segment: who may have the span may have
// nothing else.
func (l *Library) check(ctx context.Context, stream string, s media.TimeSpan, key string) error {
	none := fault.Errorf(fault.NotFound, "the span has no object %q", key).Coded("object_unknown")
	name := path.Base(key)
	if err := media.CheckPath(key); err != nil {
		return err
	}
	if !media.IsObjectName(name) || path.Ext(name) != ".m4s" && path.Ext(name) != ".webm" || !strings.Contains(key, "/") {
		return none
	}
	rec, err := l.source.RecordingOf(ctx, key)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return none
	case err != nil:
		return err
	case rec.Stream != stream:
		return none
	}
	pieces := choose([]media.Recording{rec}, s)
	if len(pieces) == 0 {
		return none
	}
	has := func(p *manifest.Presentation) bool {
		c := pieces[0].clip(p).Clip
		joined := manifest.Join("", []manifest.Clip{c})
		return joined.Names(c.Folder+name) || p.Dynamic && end(p) < c.To && joined.Opens(c.Folder+name)
	}
	if k := l.parsed.find(rec.RecordDir); k != nil && has(k.presentation) {
		return nil // and what comes later changes nothing of it
	}
	p, err := l.presentation(ctx, rec)
	if err == nil && (p == nil || !has(p)) {
		err = none
	}
	return err
}
