package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	libarchive "github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/library/span"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage"
)

// settling is how long after its end a recording's manifest still comes from its node.
// What the node has stored may still be on its way to the shared storage.
const settling = 10 * time.Minute

// library plays and lists the recordings of all nodes. It implements api.Playback.
type library struct {
	fleet   *fleet
	spans   *span.Library
	archive *libarchive.Archive
	files   *playback.Server  // of the recordings of all nodes
	shared  *playback.Server  // nil without shared storage
	presign storage.Presigner // nil where players are not sent to the storage
	ttl     time.Duration
	now     func() time.Time
}

// newLibrary returns a library over f. Players are sent to the storage if it has
// something to sign URLs with.
func newLibrary(f *fleet, store shared, ttl time.Duration) (*library, error) {
	l := &library{fleet: f, presign: store.presign, ttl: ttl, now: f.now}
	var err error
	l.archive, err = libarchive.New(libarchive.Options{Catalogue: f.o.Catalogue, Gone: f.isGone, Without: f.going.aliases, Now: f.now})
	if err != nil {
		return l, err
	}
	l.files, err = playback.New(playback.Options{Backend: objects{l}, Catalogue: sharedCatalogue{f}, Logger: f.log})
	if err != nil {
		return l, err
	}
	if l.spans, err = span.New(span.Options{Source: l, Describe: sayNodes, Logger: f.log}); err != nil || store.backend == nil {
		return l, err
	}
	l.shared, err = playback.New(playback.Options{Backend: store.backend, Lister: store.backend, Catalogue: sharedCatalogue{f}, Note: f.note, Logger: f.log})
	return l, err
}

// note stores in the catalogue what is found out about a recording in shared storage.
func (f *fleet) note(ctx context.Context, r media.Recording) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err := f.o.Catalogue.PutAll(ctx, []media.Recording{r})
	f.found.forget(r.RecordDir)
	return err
}

// sharedCatalogue is the catalogue as playback.Server sees it.
type sharedCatalogue struct{ *fleet }

func (c sharedCatalogue) ListPage(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error) {
	return c.o.Catalogue.ListPage(ctx, q)
}

func (c sharedCatalogue) StreamsPage(ctx context.Context, q media.StreamQuery) ([]media.StreamSummary, int, error) {
	return c.o.Catalogue.StreamsPage(ctx, q)
}

func (c sharedCatalogue) FindByObject(ctx context.Context, key string) (media.Recording, error) {
	return c.find(ctx, path.Dir(key))
}

// RecordingOf implements api.Playback: RecordDir is the catalogue's.
func (l *library) RecordingOf(ctx context.Context, key string) (media.Recording, error) {
	r, _, err := l.fleet.findObject(ctx, key)
	return r, err
}

// Streams implements api.Playback.
func (l *library) Streams(ctx context.Context, q media.StreamQuery) ([]media.StreamSummary, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	q.Without = l.fleet.going.aliases()
	sums, _, err := l.fleet.o.Catalogue.StreamsPage(ctx, q)
	if err != nil {
		return nil, unavailable(err)
	}
	return sums, nil
}

// maxLooks bounds the pages that are read to fill one, if most recordings belong to
// nodes that were removed.
const maxLooks = 50

// gone returns how many recordings of a stream belong to removed nodes and are still in
// the catalogue, including those in shared storage.
func (l *library) gone(ctx context.Context, stream string) (n int, err error) {
	for _, alias := range l.fleet.going.aliases() {
		_, total, err := l.fleet.o.Catalogue.List(ctx, media.RecordingQuery{Stream: stream, Node: alias, Limit: 1})
		if err != nil {
			return 0, err
		}
		n += total
	}
	return n, nil
}

// Recordings implements api.Playback.
func (l *library) Recordings(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	page, gone, err := l.page(ctx, q)
	if err != nil {
		return media.RecordingPage{}, unavailable(err)
	}
	page.Total = max(page.Total-gone, len(page.Recordings))
	for i, r := range page.Recordings {
		page.Recordings[i] = folder.Unmount(r)
	}
	return page, nil
}

// page returns the page that q selects, without recordings of removed nodes, and how
// many of those there are. A removal may take some out between the two questions. Then
// both are asked again, at most three times; after that the count may be too high.
func (l *library) page(ctx context.Context, q media.RecordingQuery) (page media.RecordingPage, gone int, err error) {
	for range 3 {
		if gone, err = l.gone(ctx, q.Stream); err != nil {
			return page, 0, err
		}
		if page, err = l.pageOfOthers(ctx, q); err != nil || gone == 0 {
			return page, gone, err
		}
		if now, err := l.gone(ctx, q.Stream); err != nil || now == gone {
			return page, gone, err
		}
	}
	return page, gone, nil
}

// pageOfOthers looks for a page on which not all are gone.
func (l *library) pageOfOthers(ctx context.Context, q media.RecordingQuery) (page media.RecordingPage, err error) {
	for range maxLooks {
		if page, err = l.fleet.o.Catalogue.ListPage(ctx, q); err != nil {
			return page, err
		}
		page.Recordings = slices.DeleteFunc(page.Recordings, l.fleet.isGone)
		if len(page.Recordings) > 0 || page.Next == "" {
			break
		}
		q.After, q.Offset = page.Next, 0
	}
	return page, nil
}

// unavailable returns the answer while the database does not work. That is not a fault
// of the manager.
func unavailable(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.Errorf(fault.Unavailable, "the catalogue does not answer: %w", err).Coded("database_away")
}

// ways are how an object is had, by its key in each place: from a node, and from shared
// storage.
type ways struct {
	relay  func(n *node, key string) error
	stored func(rec media.Recording, key string) error
}

// Object implements api.Playback.
func (l *library) Object(w http.ResponseWriter, r *http.Request, key string, until time.Time) error {
	return l.object(r.Context(), key, ways{
		relay:  func(n *node, key string) error { return l.relay(w, r, n, key) },
		stored: func(rec media.Recording, key string) error { return l.serveStored(w, r, rec, key, until) },
	})
}

// object has an object from where it is.
func (l *library) object(ctx context.Context, key string, from ways) error {
	rec, own, err := l.fleet.findObject(ctx, key)
	if err != nil {
		return err
	}
	n := l.fleet.node(rec.Node)
	if folder.Mounted(rec) {
		if n == nil {
			return fault.Errorf(fault.Unavailable, "the recording is on node %q, which the manager does not know any more", rec.Node).Coded("node_forgotten", "node", rec.Node)
		}
		if err := n.isUp(); err != nil {
			return err
		}
		return from.relay(n, own)
	}
	if l.shared == nil {
		return fault.New(fault.Unavailable, "the recording is in shared storage, and the manager has no [storage]").Coded("no_storage")
	}
	if n != nil && n.Keeps() {
		n = nil // it recorded this once, and keeps its recordings itself by now
	}
	return l.fromShared(n, rec, own, from)
}

// fromShared has an object of shared storage. What its node may have newer, or alone,
// comes from the node: the manifest of a recording that runs or has just ended, and
// segments that wait for their upload.
func (l *library) fromShared(n *node, rec media.Recording, key string, from ways) error {
	up := n != nil && n.isUp() == nil
	unsettled := !l.settled(rec)
	if up && unsettled && !isSegment(key) {
		err := from.relay(n, key)
		if !errors.Is(err, errNotRelayed) {
			return err
		}
	}
	err := from.stored(rec, key)
	if err != nil && up && unsettled && fault.KindOf(err) == fault.NotFound {
		return from.relay(n, key)
	}
	return err
}

// serveStored serves an object that shared storage has.
func (l *library) serveStored(w http.ResponseWriter, r *http.Request, rec media.Recording, key string, until time.Time) error {
	if err := l.fleet.verify(r.Context(), rec); err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = noObject(key)
		}
		return err
	}
	ttl := l.redirectTTL(until)
	if !isSegment(key) || ttl == 0 || r.Method != http.MethodGet {
		return l.shared.Object(w, r, key)
	}
	if _, err := l.fleet.o.Storage.Stat(r.Context(), key); err != nil {
		return l.shared.Object(w, r, key) // it waits for its upload, or something stands for it
	}
	return l.redirect(w, r, key, ttl)
}

// settled reports whether all of a recording is in shared storage.
func (l *library) settled(rec media.Recording) bool {
	return rec.Status != media.StatusRecording && rec.End != nil && l.now().Sub(*rec.End) > settling &&
		rec.DurableThrough+0.001 >= rec.Duration
}

// isSegment reports whether the object is an init or a media segment, which does
// not change.
func isSegment(key string) bool {
	ext := path.Ext(key)
	return ext == ".m4s" || ext == ".webm"
}

// redirectTTL returns how long a URL of the storage may be valid: no longer than the
// client may have the object. It is 0 if players are not sent to the storage, and for
// the last second, because storage signs for a second at least.
func (l *library) redirectTTL(until time.Time) time.Duration {
	ttl := l.ttl
	if !until.IsZero() {
		ttl = min(ttl, until.Sub(l.now()).Truncate(time.Second))
	}
	if l.presign == nil || ttl < time.Second {
		return 0
	}
	return ttl
}

// redirect sends the client to the storage. It may keep that for as long as the
// URL is sure to be valid.
func (l *library) redirect(w http.ResponseWriter, r *http.Request, key string, ttl time.Duration) error {
	target, err := l.presign.PresignGet(r.Context(), key, ttl)
	if err != nil {
		return fmt.Errorf("sign the URL of %q: %w", key, err)
	}
	h := w.Header()
	h.Set("Location", target)
	h.Set("Cache-Control", fmt.Sprintf("private, max-age=%d", int(ttl.Seconds())/2))
	w.WriteHeader(http.StatusFound)
	return nil
}

// redirectsTo returns the origin of the storage that players are sent to, so that the
// page can allow it, or "" if they are not sent there. If no URL can be signed now,
// segments are not redirected either, and their errors are logged.
func (l *library) redirectsTo(ctx context.Context) string {
	if l.presign == nil {
		return ""
	}
	target, err := l.presign.PresignGet(ctx, "segment", l.ttl)
	if err != nil {
		return ""
	}
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// The headers that are relayed: what RFC 9110 says of ranges and conditions, and
// of what is answered.
var (
	relayedToNode   = []string{"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}
	relayedToClient = []string{"Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified", "Retry-After", playback.StandInHeader}
	// relayedQuery is what files and playlists are asked with.
	relayedQuery = []string{"tz", "tracks", "height", "split", "_HLS_msn", "_HLS_part", "_HLS_skip"}
)

// relayedWait is how much longer a node may wait with its answer for what is being
// recorded: longer than it has requests wait.
const relayedWait = 25 * time.Second

// errNotRelayed says that a node did not answer with the object, and that nothing
// was written.
var errNotRelayed = errors.New("not relayed")

// relay answers with an object of a node. No more is read from the node than the
// client takes.
func (l *library) relay(w http.ResponseWriter, r *http.Request, n *node, key string) error {
	header := http.Header{}
	for _, name := range relayedToNode {
		if values := r.Header.Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	query, wait := url.Values{}, l.fleet.o.Timeout
	for _, name := range relayedQuery {
		if value := r.URL.Query().Get(name); value != "" {
			query.Set(name, value)
		}
	}
	if query.Has("_HLS_msn") || isSegment(key) && header["Range"] != nil {
		wait += relayedWait
	}
	resp, err := n.client.Do(r.Context(), peer.Call{
		Method: r.Method, Path: "/api/record/object/" + api.EscapePath(key), Query: query, Header: header, Wait: wait,
	})
	if err != nil {
		n.suspect()
		l.fleet.relayed(n, 0, true)
		return fault.Errorf(fault.Unavailable, "%w from node %q: %w", errNotRelayed, n.alias, err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %w", noObject(key), errNotRelayed)
	case (media.IsFile(path.Base(key)) || query.Has("_HLS_msn")) && (resp.StatusCode == http.StatusConflict || resp.StatusCode == http.StatusBadRequest):
		return refusedByNode(n, resp.StatusCode, peer.ErrorText(resp))
	case resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified &&
		resp.StatusCode != http.StatusPreconditionFailed && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable:
		said := peer.ErrorText(resp)
		if n.IsOriginal() && isMissing(resp.StatusCode, said) {
			return fmt.Errorf("%w: %w", noObject(key), errNotRelayed)
		}
		l.fleet.relayed(n, 0, true)
		return fault.Errorf(fault.Unavailable, "%w from node %q: %w", errNotRelayed, n.alias, peer.StatusError(resp.StatusCode, said))
	}
	h := w.Header()
	for _, name := range relayedToClient {
		if values := resp.Header.Values(name); len(values) > 0 {
			h[name] = values
		}
	}
	// The name decides. What a node says could make a page of its own in the manager's
	// origin, or stay in caches of others.
	h.Set("Content-Type", contentType(key, resp.Header))
	h.Set("Cache-Control", playback.Believed(key, resp.Header.Get("Cache-Control")))
	h.Set("X-Live777-Node", n.alias)
	if name := savedAs(resp.Header); name != "" {
		h.Set("Content-Disposition", name)
	}
	w.WriteHeader(resp.StatusCode)
	if r.Method == http.MethodHead {
		return nil
	}
	copied, err := io.Copy(relayTo(w, resp), resp.Body)
	broken := err != nil && r.Context().Err() == nil // a client that left is no error
	l.fleet.relayed(n, copied, broken)
	if broken {
		n.suspect()
	}
	if err != nil {
		return fault.Errorf(fault.Unavailable, "relay of %q from node %q broke off: %w", key, n.alias, err)
	}
	return nil
}

// relayTo returns where the answer of a node is copied to. What grows while it is sent, and
// has no length, is passed on as it comes.
func relayTo(w http.ResponseWriter, resp *http.Response) io.Writer {
	if resp.ContentLength >= 0 {
		return w
	}
	return flushed{w, http.NewResponseController(w)}
}

// flushed is a writer that keeps nothing back.
type flushed struct {
	io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.control.Flush())
}

// contentType returns the type of an object by its name. A file may be sound alone, or a
// ZIP of several files, if the node says so.
func contentType(key string, h http.Header) string {
	said := h.Get("Content-Type")
	if media.IsFile(path.Base(key)) && (said == playback.TypeSound || said == playback.TypeSoundWebM || said == playback.TypeZIP) {
		return said
	}
	return storage.ContentType(key)
}

// refusedByNode is the answer where the node says that there is no such object of this
// recording, as of one that cannot be one file, and why.
func refusedByNode(n *node, status int, said []byte) error {
	kind := fault.Conflict
	if status == http.StatusBadRequest {
		kind = fault.Invalid
	}
	return fault.Errorf(kind, "node %q: %w", n.alias, peer.StatusError(status, said))
}

// savedAs returns the Content-Disposition that a node has answered with, made anew: it
// names a file to save, and nothing else.
func savedAs(h http.Header) string {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil || kind != "attachment" || params["filename"] == "" {
		return ""
	}
	return mime.FormatMediaType(kind, map[string]string{"filename": params["filename"]})
}
