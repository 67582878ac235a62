package api

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// This file has what managers of the original live777 ask a node beside what ours do. Its
// names and units are theirs.

// strategy is what a manager may rely on when it chooses a node.
type strategy struct {
	EachStreamMaxSub    int  `json:"each_stream_max_sub"` // it balances viewers by this
	CascadePushCloseSub bool `json:"cascade_push_close_sub"`
	AutoCreateWHIP      bool `json:"auto_create_whip"`
	AutoCreateWHEP      bool `json:"auto_create_whep"`
	AutoDeleteWHIP      int  `json:"auto_delete_whip"` // ms after the publisher has left; -1: never
	AutoDeleteWHEP      int  `json:"auto_delete_whep"`
}

// getStrategy answers with what holds of every node: publishers make streams, viewers
// do not, and nobody is sent away because somebody else has left.
func (a *API) getStrategy(w http.ResponseWriter, _ *http.Request) error {
	a.writeJSON(w, http.StatusOK, strategy{EachStreamMaxSub: math.MaxUint16, AutoCreateWHIP: true, AutoDeleteWHIP: -1, AutoDeleteWHEP: -1})
	return nil
}

// recordingSession is a recording as managers of the original live777 fetch it.
type recordingSession struct {
	ID         string `json:"id"`
	Stream     string `json:"stream"`
	StartTS    int64  `json:"start_ts"` // µs
	EndTS      *int64 `json:"end_ts"`   // nil while it runs
	DurationMS *int32 `json:"duration_ms"`
	MPDPath    string `json:"mpd_path"`
	Status     string `json:"status"`
}

// Statuses of a recordingSession; there is no word for a recording that lacks something.
var sessionStatuses = map[media.Status]string{
	media.StatusRecording: "Active", media.StatusComplete: "Completed", media.StatusDegraded: "Completed", media.StatusFailed: "Failed",
}

func sessionOf(r *media.Recording) recordingSession {
	s := recordingSession{
		ID: r.RecordID, Stream: r.Stream, StartTS: r.Start.UnixMicro(), MPDPath: r.MPDPath, Status: sessionStatuses[r.Status],
	}
	if s.ID == "" { // a manager passes over what has no id
		s.ID = strconv.FormatInt(r.Start.Unix(), 10)
	}
	if r.End != nil {
		end, ms := r.End.UnixMicro(), int32(min(math.Round(r.Duration*1000), math.MaxInt32))
		s.EndTS, s.DurationMS = &end, &ms
	}
	return s
}

// recordingSessions is the answer to such a manager.
type recordingSessions struct {
	Sessions []recordingSession `json:"sessions"`
	LastTS   *int64             `json:"last_ts"` // the since_ts of the next request; nil: as before
}

// fetchSessions returns a page of recordings in the order of their changes. Numbers of
// the feed are like times, but exact: last_ts is one. What is later than all of them
// is a time, or a place in the feed of a database that is not there any more.
func (a *API) fetchSessions(ctx context.Context, q url.Values, limit int) (recordingSessions, error) {
	page := recordingSessions{Sessions: []recordingSession{}}
	since, err := parseSeq("since_ts", q.Get("since_ts"))
	if err != nil {
		return page, err
	}
	_, head, err := a.o.Recordings.Follow(ctx, media.Cursor{}, 1)
	if err != nil {
		return page, err
	}
	// With the base of now: removals are no sessions, whether they are remembered or not.
	c, after := media.Cursor{Seq: since, Base: head.Base}, time.Time{}
	if since > head.Base {
		c.Seq, after = 0, time.UnixMicro(since)
	}
	changes, next, err := a.o.Recordings.Follow(ctx, c, limit)
	if err != nil {
		return page, err
	}
	stream := q.Get("stream")
	for _, change := range changes {
		r := change.Recording
		if r == nil || stream != "" && r.Stream != stream || !changedAt(r).After(after) {
			continue
		}
		page.Sessions = append(page.Sessions, sessionOf(r))
	}
	if len(changes) > 0 {
		page.LastTS = &next.Seq
	}
	return page, nil
}

func changedAt(r *media.Recording) time.Time {
	if r.End != nil {
		return *r.End
	}
	return r.Start
}

// wantsSessions reports whether a manager of the original live777 may have asked: the
// first time it has nothing to go on with, and tells that in no way.
func (a *API) wantsSessions(q url.Values) bool {
	return a.fleet == nil && (q.Has("since_ts") || !q.Has("since"))
}

// sessionKeys are recordings that a manager names.
type sessionKeys struct {
	Records []struct {
		Stream string `json:"stream"`
		Record string `json:"record"`
	} `json:"records"`
}

func readKeys(w http.ResponseWriter, r *http.Request) (n int, err error) {
	var body sessionKeys
	if err := readJSON(w, r, &body); err != nil {
		return 0, err
	}
	for _, key := range body.Records {
		if err := media.CheckStreamID(key.Stream); err != nil {
			return 0, err
		}
		if key.Record == "" {
			return 0, fault.New(fault.Invalid, `each of records has a "record", the id of a session of GET /api/recordings`)
		}
	}
	return len(body.Records), nil
}

// ackSessions hears which recordings a manager has in its index. The node keeps no list
// of that: whoever asks again is told again.
func (a *API) ackSessions(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recordings == nil {
		return errNoRecordings
	}
	n, err := readKeys(w, r)
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, map[string]int{"acked": n})
	return nil
}

// dropSessions is asked to take recordings off the node's index, which is what the node
// itself plays them by: they stay.
func (a *API) dropSessions(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recordings == nil {
		return errNoRecordings
	}
	if _, err := readKeys(w, r); err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, map[string]int{"deleted": 0})
	return nil
}
