package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
)

// timing has the periods of the API. Tests have shorter ones.
type timing struct {
	// io is how long a client may take to accept one write of a response, and to
	// send its whole request body. It is no limit to the length of a response.
	io time.Duration
	// Of event streams:
	pause     time.Duration // least time between two events
	poll      time.Duration // how soon a change is seen that live.Watch does not tell: recordings
	heartbeat time.Duration // of comments, so that proxies keep the connection
}

var defaultTiming = timing{io: 30 * time.Second, pause: 100 * time.Millisecond, poll: time.Second, heartbeat: 15 * time.Second}

// watchStreams sends the list of streams at once and after each change.
func (a *API) watchStreams(w http.ResponseWriter, r *http.Request) error {
	only := wantedStreams(r)
	watch := a.o.Streams.Watch()
	defer watch.Close()
	poll := time.NewTicker(a.timing.poll)
	defer poll.Stop()
	var last []byte
	return a.sendLists(w, r, listing{
		next: func() ([]byte, error) {
			data, err := json.Marshal(a.streams(r, only))
			if err != nil || bytes.Equal(data, last) {
				return nil, err
			}
			last = data
			return data, nil
		},
		changed: watch.C,
		poll:    poll.C,
		pause:   a.timing.pause,
	})
}

// wantedStreams returns the streams that a request is about; none are all.
func wantedStreams(r *http.Request) map[string]bool {
	only := make(map[string]bool)
	for _, id := range r.URL.Query()["streams"] {
		only[id] = true
	}
	return only
}

// listing is a list that changes.
type listing struct {
	// next returns the next event as JSON, nil if nothing is new.
	next func() ([]byte, error)
	// changed returns what tells of the next change. It is asked before the event is
	// made, or a change between the two would be missed.
	changed func() <-chan struct{}
	poll    <-chan time.Time // when the list may have changed beside that; nil: never
	pause   time.Duration    // least time between two events
}

// sendLists sends a list at once and after each change, as server-sent events
// (HTML Living Standard, "Server-sent events"), until the client or the server has
// enough.
func (a *API) sendLists(w http.ResponseWriter, r *http.Request, l listing) error {
	r, stop := a.whileGranted(r)
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would collect events
	heartbeat := time.NewTicker(a.timing.heartbeat)
	defer heartbeat.Stop()
	e := &eventStream{w: w, control: http.NewResponseController(w)}
	for {
		changed := l.changed()
		data, err := l.next()
		if err != nil {
			return err
		}
		if data != nil && e.send(data) != nil {
			return nil // the client left or does not read: there is nobody to tell
		}
		if !a.wait(r, time.After(l.pause)) {
			return nil
		}
		select {
		case <-changed:
		case <-l.poll:
		case <-heartbeat.C:
			// Timers stand still while the machine sleeps: the clock decides.
			if _, err := a.Auth().Authenticate(r); err != nil || e.comment() != nil {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-a.closing:
			return nil
		}
	}
}

// whileGranted returns r with a context that ends with the credentials: when they expire,
// and when their session is ended. An event stream ends then; the client comes back and
// is told. The caller calls stop.
func (a *API) whileGranted(r *http.Request) (granted *http.Request, stop func()) {
	ctx, cancel := context.WithCancel(r.Context())
	lease := live.ClientOf(ctx).Lease
	if !lease.Expires.IsZero() {
		timer := time.AfterFunc(lease.Expires.Sub(a.now()), cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	}
	if lease.Ended != nil {
		go func() {
			select {
			case <-lease.Ended:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return r.WithContext(ctx), cancel
}

// wait returns true when c fires, false when the request or the server ends.
func (a *API) wait(r *http.Request, c <-chan time.Time) bool {
	select {
	case <-c:
		return true
	case <-r.Context().Done():
	case <-a.closing:
	}
	return false
}

// eventStream writes an event stream.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// send sends JSON as one event. JSON has no line feeds of its own, so that one data
// line holds it.
func (e *eventStream) send(data []byte) error {
	for _, part := range [][]byte{[]byte("data: "), data, []byte("\n\n")} {
		if _, err := e.w.Write(part); err != nil {
			return err
		}
	}
	return e.control.Flush()
}

func (e *eventStream) comment() error {
	if _, err := fmt.Fprint(e.w, ":\n\n"); err != nil {
		return err
	}
	return e.control.Flush()
}
