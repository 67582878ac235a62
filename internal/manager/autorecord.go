package manager

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/serve/api"
)

const (
	// autoStarts bounds the recordings that are being started at the same time on each
	// node. A node that does not answer then does not hold up the others.
	autoStarts = 16
	// autoTick is how often retries are looked for.
	autoTick = time.Second
)

// autoRecorder starts recordings of the streams that match patterns, on the nodes that
// have them. A node that keeps its recordings itself chooses the folder. In shared
// storage each node has a folder of its own below the stream's (recordApart).
type autoRecorder struct {
	fleet    *fleet
	patterns []string
	one      bool // record a stream that several nodes have on one of them
	retry    time.Duration
	now      func() time.Time
	log      *slog.Logger

	mu    sync.Mutex
	tasks map[autoKey]*autoTask
}

// autoKey names a publication. A publisher that comes back is another publication.
type autoKey struct{ node, stream, session string }

// autoTask is what was done about a publication.
type autoTask struct {
	busy   bool
	failed bool      // the last attempt; another node may have its turn then
	tries  int       // that failed, one after the other
	after  time.Time // not to be tried before
}

// run starts recordings until ctx ends, and waits for the requests that are out.
func (a *autoRecorder) run(ctx context.Context) {
	a.tasks = map[autoKey]*autoTask{}
	var out sync.WaitGroup
	defer out.Wait()
	tick := time.NewTicker(autoTick)
	defer tick.Stop()
	for {
		changed := a.fleet.Changed()
		for _, key := range a.due() {
			out.Go(func() { a.do(ctx, key) })
		}
		select {
		case <-changed:
			if !peer.Pause(ctx, autoTick/5, nil) { // many change at the same time
				return
			}
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// due returns the publications to do something about, and forgets those that have
// ended. If somebody has stopped a recording, it is left alone until the publisher
// comes back. The node remembers that, so a restart of the manager does not matter.
func (a *autoRecorder) due() []autoKey {
	now := a.now()
	settling := a.one && a.settling(now)
	a.mu.Lock()
	defer a.mu.Unlock()
	current := map[autoKey]bool{}
	busy := map[string]int{} // by node
	for key, t := range a.tasks {
		if t.busy {
			busy[key.node]++
		}
	}
	var list []autoKey
	for _, s := range a.fleet.Streams() {
		if !a.matches(s.ID) {
			continue
		}
		enough := a.one && (settling || s.Recording || s.Stopped)
		for _, on := range s.Nodes {
			if len(on.Publish.Sessions) == 0 || isConnecting(on.Publish.Sessions[0].State) {
				continue // many never connect, and a recording of them would have nothing
			}
			key := autoKey{on.Node, s.ID, on.Publish.Sessions[0].ID}
			current[key] = true
			t := a.tasks[key]
			if t == nil {
				t = &autoTask{}
				a.tasks[key] = t
			}
			switch {
			case on.Recording || on.Stopped || enough || !a.fleet.records(on.Node):
			case t.busy:
				enough = a.one
			case t.tries >= originalTries && a.fleet.isOriginal(on.Node): // until its publisher is another
			case now.Before(t.after):
				enough = a.one && !t.failed
			case busy[key.node] >= autoStarts: // its turn comes when one of them ends
				enough = a.one
			default:
				enough = a.one
				t.busy = true
				busy[key.node]++
				list = append(list, key)
			}
		}
	}
	for key, t := range a.tasks {
		if !current[key] && !t.busy {
			delete(a.tasks, key)
		}
	}
	return list
}

// settling reports whether a node has just come and may be recording the same stream.
// If that takes longer, it is not waited for.
func (a *autoRecorder) settling(now time.Time) bool {
	for _, n := range a.fleet.all() {
		if n.isSilent() && now.Sub(n.stateSince()) < 2*a.fleet.o.Timeout+a.fleet.o.Poll {
			return true
		}
	}
	return false
}

// isConnecting reports whether a session in a state has yet to connect. Other versions
// of nodes may not tell a state.
func isConnecting(state string) bool { return state == "new" || state == "connecting" }

func (a *autoRecorder) matches(stream string) bool {
	for _, p := range a.patterns {
		if ok, err := path.Match(p, stream); err == nil && ok {
			return true
		}
	}
	return false
}

// do starts the recording of a publication.
func (a *autoRecorder) do(ctx context.Context, key autoKey) {
	ok := false
	if n := a.fleet.node(key.node); n != nil {
		ctx, cancel := n.whileUp(ctx)
		defer cancel()
		ok = a.start(ctx, n, key.stream)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tasks[key]
	t.busy, t.failed = false, !ok
	t.after = a.now().Add(a.retry)
	if t.tries++; ok {
		t.tries = 0
	}
	if t.tries == originalTries && a.fleet.isOriginal(key.node) {
		a.log.Warn("a stream is not recorded: an original live777 gets no recording of it under way; it is tried again when its publisher is another",
			"stream", key.stream, "node", key.node)
	}
}

func (a *autoRecorder) start(ctx context.Context, n *node, stream string) (ok bool) {
	start := n.record
	if !n.Keeps() {
		start = n.recordApart
	}
	answer, err := start(ctx, api.RecordRequest{Method: http.MethodPost, Stream: stream})
	var said struct {
		RecordDir string `json:"record_dir"`
		Error     string `json:"error"`
	}
	_ = json.Unmarshal(answer.Body, &said) // then it says nothing
	switch {
	case err != nil:
		a.log.Warn("a recording was not started, will try again", "stream", stream, "node", n.alias, "error", err)
	case answer.Status != http.StatusOK:
		a.log.Warn("a recording was not started, will try again", "stream", stream, "node", n.alias, "status", answer.Status, "error", said.Error)
	default:
		a.log.Info("recording started", "stream", stream, "node", n.alias, "record_dir", said.RecordDir)
		n.setRecording(stream, true)
		return true
	}
	return false
}
