package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// Recordings is what can be done to recordings, one by one, and the feed of what
// happens to them. Errors have a fault.Kind.
type Recordings interface {
	// Recording returns a recording as of now.
	Recording(ctx context.Context, recordDir string) (media.Recording, error)
	// Protect protects a recording from being deleted, or takes that away.
	Protect(ctx context.Context, recordDir string, protected bool) (media.Recording, error)
	// Delete deletes a recording that does not run and is not protected. done is
	// false where its objects are still being deleted.
	Delete(ctx context.Context, recordDir string) (done bool, err error)
	// DeleteLater deletes such a recording after a while, in which Undelete takes that
	// back; Deletions returns what waits, the next first.
	DeleteLater(ctx context.Context, recordDir string, grace time.Duration) (media.Deletion, error)
	Undelete(ctx context.Context, recordDir string) (media.Recording, error)
	Deletions(ctx context.Context) ([]media.Deletion, error)

	Changes
}

// Changes is the feed of what happens to recordings.
type Changes interface {
	// Feed returns the id of the feed; a feed with another id is another one, and
	// cursors of this one mean nothing there.
	Feed(ctx context.Context) (id string, err error)
	// Follow returns at most limit changes after the cursor, the newest of each
	// recording, and the cursor to go on with.
	Follow(ctx context.Context, c media.Cursor, limit int) (changes []media.Change, next media.Cursor, err error)
	// Watch returns a channel that receives when there may be more changes, and
	// a function that ends that.
	Watch() (changed <-chan struct{}, cancel func())
}

var errNoRecordings = fault.New(fault.Unsupported, "this build has no recordings; use one that was not built with -tags norecorder").Coded("no_recorder")

func (a *API) getRecordingByDir(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recordings == nil {
		return errNoRecordings
	}
	rec, err := a.o.Recordings.Recording(r.Context(), r.PathValue("record_dir"))
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, rec)
	return nil
}

func (a *API) patchRecording(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recordings == nil {
		return errNoRecordings
	}
	var body struct {
		Protected *bool `json:"protected"`
		Deleted   *bool `json:"deleted"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	var rec media.Recording
	var err error
	switch {
	case body.Deleted != nil && !*body.Deleted && body.Protected == nil:
		rec, err = a.o.Recordings.Undelete(r.Context(), r.PathValue("record_dir"))
	case body.Protected != nil && body.Deleted == nil:
		rec, err = a.o.Recordings.Protect(r.Context(), r.PathValue("record_dir"), *body.Protected)
	default:
		err = fault.New(fault.Invalid, `nothing to change: the body must be {"protected": true} or {"protected": false}, or {"deleted": false}`)
	}
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, rec)
	return nil
}

func (a *API) deleteRecording(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recordings == nil {
		return errNoRecordings
	}
	grace, err := parseGrace(r.URL.Query().Get("grace"))
	if err != nil {
		return err
	}
	if grace > 0 {
		waiting, err := a.o.Recordings.DeleteLater(r.Context(), r.PathValue("record_dir"), grace)
		if err != nil {
			return err
		}
		a.writeJSON(w, http.StatusOK, waiting)
		return nil
	}
	done, err := a.o.Recordings.Delete(r.Context(), r.PathValue("record_dir"))
	if err != nil {
		return err
	}
	if !done {
		w.WriteHeader(http.StatusAccepted) // RFC 9110 9.3.5
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxGrace is how long a deletion may wait to be taken back.
const maxGrace = 10 * time.Minute

// parseGrace reads how long a deletion waits: "10s", or seconds.
func parseGrace(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	grace, err := time.ParseDuration(s)
	if n, notSeconds := strconv.Atoi(s); notSeconds == nil {
		grace, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || grace < 0 || grace > maxGrace {
		return 0, fault.Errorf(fault.Invalid, `grace %.40q is no time from 0 to %v; write it as "10s"`, s, maxGrace)
	}
	return grace, nil
}

// listDeletions lists the deletions that can still be taken back.
func (a *API) listDeletions(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recordings == nil {
		return errNoRecordings
	}
	list, err := a.o.Recordings.Deletions(r.Context())
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, struct {
		Deletions []media.Deletion `json:"deletions"`
	}{list})
	return nil
}

func (a *API) listChanges(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recordings == nil {
		return errNoRecordings
	}
	q := r.URL.Query()
	limit, err := parseLimit(q.Get("limit"), defaultLimit, MaxPage)
	if err != nil {
		return err
	}
	var answer struct {
		*changesPage
		*recordingSessions
	}
	if a.wantsSessions(q) {
		page, err := a.fetchSessions(r.Context(), q, limit)
		if err != nil {
			return err
		}
		answer.recordingSessions = &page
	}
	if !q.Has("since_ts") {
		if answer.changesPage, err = a.fetchChanges(r.Context(), q, limit); err != nil {
			return err
		}
	}
	a.writeJSON(w, http.StatusOK, answer)
	return nil
}

// changesPage is a page of the feed.
type changesPage struct {
	Feed    string         `json:"feed"`
	Changes []media.Change `json:"changes"`
	Next    int64          `json:"next"`
	Base    int64          `json:"base,omitempty"` // on the way from the beginning
}

func (a *API) fetchChanges(ctx context.Context, q url.Values, limit int) (*changesPage, error) {
	c, err := parseCursor(q)
	if err != nil {
		return nil, err
	}
	// Before the changes: of a feed that begins anew in between, whoever follows
	// then sees the old id with them, and the new one the next time.
	feed, err := a.o.Recordings.Feed(ctx)
	if err != nil {
		return nil, err
	}
	changes, next, err := a.o.Recordings.Follow(ctx, c, limit)
	if err != nil {
		return nil, err
	}
	if changes == nil {
		changes = []media.Change{}
	}
	page := &changesPage{Feed: feed, Changes: changes, Next: next.Seq}
	if next.Base > next.Seq {
		page.Base = next.Base
	}
	return page, nil
}

// parseCursor reads since and base; the error is a fault.Invalid.
func parseCursor(v url.Values) (media.Cursor, error) {
	var c media.Cursor
	var err error
	if c.Seq, err = parseSeq("since", v.Get("since")); err != nil {
		return c, err
	}
	if c.Base, err = parseSeq("base", v.Get("base")); err != nil {
		return c, err
	}
	return c, nil
}

func parseSeq(name, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.Errorf(fault.Invalid, "%s %.40q is no number from 0: use what an earlier answer gave", name, s)
	}
	return n, nil
}

// watchRecordings sends the feed as server-sent events: what there is after the
// cursor, and then what happens.
func (a *API) watchRecordings(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recordings == nil {
		return errNoRecordings
	}
	c, err := eventCursor(r)
	if err != nil {
		return err
	}
	r, stop := a.whileGranted(r)
	defer stop()
	watch, cancel := a.o.Recordings.Watch()
	defer cancel()
	poll := time.NewTicker(a.timing.poll) // for what other processes do
	defer poll.Stop()
	heartbeat := time.NewTicker(a.timing.heartbeat)
	defer heartbeat.Stop()

	e := &eventStream{w: w, control: http.NewResponseController(w)}
	for begun := false; ; begun = true {
		changes, next, err := a.o.Recordings.Follow(r.Context(), c, MaxPage)
		if err != nil {
			return a.endFeed(r, e, begun, err)
		}
		if !begun {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no") // nginx would collect events
		}
		if e.sendChanges(changes, c, next) != nil {
			return nil // the client left or does not read: there is nobody to tell
		}
		if len(changes) == 0 && !begun && e.comment() != nil { // the client learns that it is connected
			return nil
		}
		c = next
		if len(changes) == MaxPage {
			if a.ended(r) {
				return nil
			}
			continue
		}
		if !a.waitForChange(r, e, watch, poll.C, heartbeat.C) {
			return nil
		}
	}
}

// endFeed answers an error of the feed. Where events have been sent already a
// last one says so: its name is "error", and the client has to begin again.
func (a *API) endFeed(r *http.Request, e *eventStream, begun bool, err error) error {
	over := r.Context().Err() != nil // the client left, or may not know any more
	switch {
	case over && !begun:
		return auth.ErrInvalid
	case over:
		return nil //nolint:nilerr // nobody is left to be told
	case !begun:
		return err
	}
	kind := kindOf(err)
	if kind == fault.Internal || kind == fault.Unavailable {
		a.log.Error("the feed of recordings broke off", "error", err)
		return nil // the client comes back by itself
	}
	data, _ := json.Marshal(bodyOf(kind, err)) // a string always can be
	_, _ = fmt.Fprintf(e.w, "event: error\ndata: %s\n\n", data)
	return nil
}

// waitForChange returns true when there may be changes, false at the end.
func (a *API) waitForChange(r *http.Request, e *eventStream, watch <-chan struct{}, poll, heartbeat <-chan time.Time) bool {
	for {
		select {
		case <-watch:
			return true
		case <-poll:
			return true
		case <-heartbeat:
			// As in sendLists.
			if _, err := a.Auth().Authenticate(r); err != nil || e.comment() != nil {
				return false
			}
		case <-r.Context().Done():
			return false
		case <-a.closing:
			return false
		}
	}
}

// ended reports whether the request or the server ends.
func (a *API) ended(r *http.Request) bool {
	select {
	case <-a.closing:
		return true
	default:
		return r.Context().Err() != nil
	}
}

// eventCursor reads where an event stream begins: behind the last event that the
// client has seen (HTML Living Standard 9.2.4), or where the query says.
func eventCursor(r *http.Request) (media.Cursor, error) {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		return media.ParseCursor(last)
	}
	return parseCursor(r.URL.Query())
}

// sendChanges sends an event for each change between the cursors c and next. Its
// id is the cursor with which one goes on after it.
func (e *eventStream) sendChanges(changes []media.Change, c, next media.Cursor) error {
	if len(changes) == 0 {
		return nil
	}
	// Who lists everything from the beginning goes on with that.
	listing := c.Base > c.Seq || c == media.Cursor{}
	for _, change := range changes {
		c = media.Cursor{Seq: change.Seq}
		if listing {
			c.Base = next.Base
		}
		data, err := json.Marshal(change)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(e.w, "id: %s\ndata: %s\n\n", c, data); err != nil {
			return err
		}
	}
	return e.control.Flush()
}
