//go:build !norecorder

package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// A node that has just come and has not told of its streams yet is no node without
// streams: control waits for the list, or says that it is not known.
func TestUnknownIsNotNone(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var fake *fakeNode
	fake = newFakeNode(t, &fakeNode{
		events: func(w http.ResponseWriter, r *http.Request) {
			<-release
			data, _ := json.Marshal([]api.NodeStream{published("cam", false)})
			_, _ = fmt.Fprintf(w, "data: %s\n\n", data)
			fake.hang(true)(w, r)
		},
	})
	f := followed(t, time.Minute, 30*time.Second, map[string]*fakeNode{"a": fake})
	until(t, "the node is up", func() bool { return f.node("a").isUp() == nil })
	within(t, "to say that it is not known", settleTimeout+time.Second, func() time.Duration {
		start := time.Now()
		_, err := f.Record(t.Context(), api.RecordRequest{Method: http.MethodPost, Stream: "cam"})
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "has not told of its streams yet") {
			t.Errorf("a stream that may be there: %v", err)
		}
		return time.Since(start)
	})
	done := make(chan error, 2)
	for _, node := range []string{"", "a"} {
		go func() {
			_, err := f.Record(t.Context(), api.RecordRequest{Method: http.MethodPost, Stream: "cam", Node: node})
			done <- err
		}()
	}
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("the list came while a request waited: %v", err)
		}
	}
	if _, err := f.Record(t.Context(), api.RecordRequest{Method: http.MethodPost, Stream: "other"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a stream that is not there: %v", err)
	}
}

// tricklingTransport answers as a node does or, where it is sick, a byte at a time,
// without end.
type tricklingTransport struct{ sick atomic.Bool }

func (t *tricklingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, Request: r, Body: &tricklingBody{r.Context()}}
	if !t.sick.Load() {
		data, err := json.Marshal(recordingInfo)
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(data))
	}
	return resp, nil
}

type tricklingBody struct{ ctx context.Context }

func (b *tricklingBody) Read(p []byte) (int, error) {
	if !peer.Pause(b.ctx, 50*time.Millisecond, nil) {
		return 0, b.ctx.Err()
	}
	return copy(p, " "), nil
}

func (b *tricklingBody) Close() error { return nil }

// A node that does not get to the end of an answer is down as soon as one that does
// not begin, and whoever asks for what it has does not wait for it.
func TestProbeThatTrickles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const poll, timeout = 3 * time.Second, 2 * time.Second
		transport := new(tricklingTransport)
		f := newFleet(fleetOptions{Poll: poll, Timeout: timeout, Now: time.Now, Logger: logger(t)})
		f.http.Transport = transport
		n := newNode(f, "a", configured, "http://node", "", true)
		f.nodes["a"] = n
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); n.probe(ctx) }()
		defer func() { cancel(); <-ended; f.close() }()
		until(t, "it is up", func() bool { return n.isUp() == nil })
		transport.sick.Store(true)
		start := time.Now()
		until(t, "it is down", func() bool { return n.describe().State == stateDown })
		// As documented: poll_seconds and a tenth, half a second, and twice timeout_seconds.
		if took, most := n.stateSince().Sub(start), poll*11/10+hurry*11/10+2*timeout; took > most {
			t.Errorf("it was known to be down after %v, not %v", took, most)
		}
		if s := n.describe(); !strings.Contains(s.Error, "no answer within 2s") {
			t.Errorf("why: %q", s.Error)
		}
		start = time.Now()
		if _, err := f.Record(t.Context(), api.RecordRequest{Method: http.MethodPost, Stream: "cam", Node: "a"}); fault.KindOf(err) != fault.Unavailable || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		transport.sick.Store(false)
		until(t, "it is up again", func() bool { return n.isUp() == nil })
	})
}

// Event streams that connect and bring nothing are no reason to know nothing: the
// list is polled.
func TestSilentEvents(t *testing.T) {
	t.Parallel()
	var second atomic.Bool
	var fake *fakeNode
	fake = newFakeNode(t, &fakeNode{
		events: func(w http.ResponseWriter, r *http.Request) { fake.hang(true)(w, r) },
		list: func() []api.NodeStream {
			if second.Load() {
				return []api.NodeStream{published("two", false)}
			}
			return []api.NodeStream{published("one", false)}
		},
	})
	f, _, _ := newTestFleet(t)
	f.o.Poll, f.o.Timeout = 50*time.Millisecond, 2*time.Second
	// Up for good: what a busy machine answers late does not count.
	n := newNode(f, "a", configured, fake.URL, "", true)
	f.nodes["a"] = n
	n.probed(nodeInfo{Info: recordingInfo}, 0, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.followStreams(ctx) }()
	defer func() { cancel(); <-ended }()
	const events, polls = "GET /api/sse/streams", "GET /api/streams/"
	has := func(id string) func() bool { return func() bool { _, ok := f.Stream(id); return ok } }
	until(t, "the first stream is known", has("one"))
	second.Store(true)
	until(t, "the second one is known", has("two"))
	if n := fake.times(events); n != 1 {
		t.Errorf("it is known after %d attempts to get events", n)
	}
	until(t, "events are tried again, now and then", func() bool { return fake.times(events) > 1 })
	if e, p := fake.times(events), fake.times(polls); p < 3*e {
		t.Errorf("%d polls beside %d attempts to get events", p, e)
	}
}

// A node that comes and goes has its streams while it is there, and no others.
func TestFlappingNode(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	fake := newFakeNode(t, &fakeNode{
		info: func(w http.ResponseWriter, _ *http.Request) {
			if down.Load() {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			_ = json.NewEncoder(w).Encode(recordingInfo)
		},
		list: func() []api.NodeStream { return []api.NodeStream{published("cam", true)} },
	})
	f := followed(t, 50*time.Millisecond, time.Second, map[string]*fakeNode{"a": fake})
	n := f.node("a")
	for range 3 {
		until(t, "it is there", func() bool {
			_, ok := f.Stream("cam")
			return ok && n.isUp() == nil && n.describe().Load.Recordings == 1
		})
		down.Store(true)
		until(t, "it is not there", func() bool {
			_, ok := f.Stream("cam")
			d := n.describe()
			return !ok && d.State == stateDown && reflect.DeepEqual(d.Load, api.NodeLoad{})
		})
		down.Store(false)
	}
}

// What a node says of its load is shown, with how far its clock is off.
func TestLoadOfNode(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	t.Cleanup(f.close)
	n := newNode(f, "a", configured, "http://127.0.0.1:1", "", true)
	n.probed(nodeInfo{Info: recordingInfo}, 0, nil)
	n.replaceStreams([]api.NodeStream{published("cam", true)})
	now := f.now()
	n.setLoad(api.NodeLoad{Streams: 7, Time: now.Add(time.Hour), Spool: &api.SpoolLoad{WaitingBytes: 5}}, now, nil)
	d := n.describe()
	if d.Load.Streams != 1 || d.Load.Recordings != 1 || d.Load.Spool.WaitingBytes != 5 || d.ClockOffsetMS == nil || *d.ClockOffsetMS < 3590e3 || *d.ClockOffsetMS > 3600e3 {
		t.Errorf("%+v", d)
	}
	n.setLoad(api.NodeLoad{}, now, errors.New("it does not answer"))
	if d := n.describe(); d.Load.Spool != nil || d.Load.Streams != 1 {
		t.Errorf("after it did not answer: %+v", d.Load)
	}
}

// A stream that several nodes have is recorded once where one copy is wanted: not
// before it is known who records it, by the next node where one cannot, and not at
// all where somebody has stopped it.
func TestAutoRecordOneCopy(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	t.Cleanup(f.close)
	now := f.now()
	a := &autoRecorder{fleet: f, patterns: []string{"*"}, one: true, retry: time.Minute, now: func() time.Time { return now }, log: f.log, tasks: map[autoKey]*autoTask{}}
	node := func(alias string, info api.Info, streams ...api.NodeStream) *node {
		n := newNode(f, alias, configured, "http://127.0.0.1:1", "", true)
		f.nodes[alias] = n
		if info.Name != "" {
			n.probed(nodeInfo{Info: info}, 0, nil)
		}
		if streams != nil {
			n.replaceStreams(streams)
		}
		f.touch()
		return n
	}
	due := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, key := range a.due() {
			got = append(got, key.node)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: on %v, not %v", what, got, want)
		}
	}
	key := func(n string) autoKey { return autoKey{n, "cam", "session-of-cam"} }
	n1 := node("n1", recordingInfo, published("cam", false))
	n2 := node("n2", api.Info{})
	due("n2 may record it")
	n2.probed(nodeInfo{Info: recordingInfo}, 0, nil)
	due("n2 is up and has not told")
	now = now.Add(time.Hour)
	due("n2 does not tell", "n1")
	n2.replaceStreams([]api.NodeStream{published("cam", false)})
	due("n1 is asked")
	a.tasks[key("n1")] = &autoTask{failed: true, after: now.Add(time.Minute)}
	due("n1 has failed", "n2")
	a.tasks[key("n2")] = &autoTask{after: now.Add(time.Minute)}
	due("n2 has begun, and has not told")
	now = now.Add(time.Hour)
	n2.setRecording("cam", true)
	due("n2 records it")
	n2.setRecording("cam", false)
	due("somebody has stopped it")
	n2.replaceStreams([]api.NodeStream{published("cam", false)})
	n1.mu.Lock()
	n1.info.Features = nil
	n1.mu.Unlock()
	due("n1 has no recorder", "n2")
}

// A stream is encoded when it changes, and the list once for all who are told of it.
func TestEncodedOnce(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	t.Cleanup(f.close)
	n := newNode(f, "a", configured, "http://127.0.0.1:1", "", true)
	f.nodes["a"] = n
	n.probed(nodeInfo{Info: recordingInfo}, 0, nil)
	n.replaceStreams([]api.NodeStream{published("one", false), published("two", false)})
	before := f.Snapshot()
	if !json.Valid(before.All()) || &before.All()[0] != &f.Snapshot().All()[0] {
		t.Errorf("the list is made again, or is none: %s", before.All())
	}
	n.replaceStreams([]api.NodeStream{published("one", false), published("two", true)})
	after := f.Snapshot()
	if &before.Streams[0].JSON[0] != &after.Streams[0].JSON[0] || after.Streams[0].Version != before.Version || after.Streams[1].Version != after.Version || after.Version <= before.Version {
		t.Errorf("%+v, and then %+v", before, after)
	}
	n.replaceStreams([]api.NodeStream{published("three", false), published("two", true)})
	last := f.Snapshot()
	if len(last.Streams) != 2 || last.Streams[0].ID != "three" || len(last.Removed) != 1 || last.Removed[0] != (api.RemovedStream{ID: "one", Version: last.Version}) {
		t.Errorf("%+v", last)
	}
	n.probed(nodeInfo{Info: api.Info{}}, 0, syscall.ECONNREFUSED)
	if s := f.Snapshot(); len(s.Streams) != 0 || len(s.Removed) != 3 || string(s.All()) != "[]" || len(f.Streams()) != 0 {
		t.Errorf("of a node that is down: %+v", s)
	}
}

// A node that does not tell of its streams, since it refuses the manager's token,
// may have any; that it does not is nothing to wait for.
func TestNodeThatDoesNotTell(t *testing.T) {
	t.Parallel()
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	fake := newFakeNode(t, &fakeNode{events: refuse, streams: refuse})
	f := followed(t, time.Minute, 10*time.Second, map[string]*fakeNode{"a": fake})
	until(t, "it is known not to tell", func() bool { return f.node("a").describe().Error != "" })
	within(t, "to say what is known", time.Second, func() time.Duration {
		start := time.Now()
		_, err := f.Record(t.Context(), api.RecordRequest{Method: http.MethodPost, Stream: "cam"})
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "does not tell of its streams") || !strings.Contains(err.Error(), "token") {
			t.Errorf("%v", err)
		}
		if answer, err := f.Record(t.Context(), api.RecordRequest{Method: http.MethodGet, Stream: "cam"}); err != nil || answer.Status != http.StatusOK {
			t.Errorf("whether it is recorded, as far as is known: %+v, %v", answer, err)
		}
		return time.Since(start)
	})
}

// What keeps recordings of all nodes from the catalogue is logged once a minute,
// whatever it kept each of them from; what is of another kind is another thing.
func TestComplaintsAreFew(t *testing.T) {
	t.Parallel()
	var c complaints
	ours := func(err error) error { return fmt.Errorf("%w: %w", follow.ErrOurs, err) }
	away := func(node string) error {
		return ours(fmt.Errorf("put recordings of %s: %w", node, fault.New(fault.Unavailable, "the database is away")))
	}
	start := time.Now()
	for i, tt := range []struct {
		err   error
		after time.Duration
		want  bool
	}{
		{away("a"), 0, true}, {away("b"), time.Second, false}, {ours(errors.New("no such table")), 2 * time.Second, true},
		{away("a"), 3 * time.Second, false}, {away("b"), complaintPause, true},
	} {
		if got := c.isNew(tt.err, start.Add(tt.after)); got != tt.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

// A feed that tells the same again and again, as a cache on the way may, is not read
// for ever, and shown to be wrong.
func TestFeedThatDoesNotGoOn(t *testing.T) {
	t.Parallel()
	fake := newFakeNode(t, &fakeNode{feed: func(w http.ResponseWriter, _ *http.Request) {
		r := completeRecording("a", "cam/1")
		_ = json.NewEncoder(w).Encode(follow.Page{Feed: "f", Changes: []media.Change{{Seq: 1, RecordDir: r.RecordDir, Recording: &r}}, Next: 1, Base: 2})
	}})
	f := followed(t, time.Minute, 30*time.Second, map[string]*fakeNode{"a": fake})
	until(t, "it is shown", func() bool { return strings.Contains(f.node("a").describe().Feed.Error, "does not go on") })
	if n := fake.times("GET /api/recordings"); n != 2 {
		t.Errorf("it was asked for %d times", n)
	}
}

// An answer to a command that begins and does not end is none: neither who asked nor
// what is recorded by itself waits for it for ever.
func TestCommandThatTrickles(t *testing.T) {
	t.Parallel()
	fake := newFakeNode(t, &fakeNode{
		record: trickle,
		list:   func() []api.NodeStream { return []api.NodeStream{published("cam", false)} },
	})
	f := followed(t, time.Minute, 30*time.Second, map[string]*fakeNode{"a": fake})
	until(t, "its stream is there", func() bool { _, ok := f.Stream("cam"); return ok })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := f.Record(ctx, api.RecordRequest{Method: http.MethodPost, Stream: "cam"})
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no answer within 1s") {
		t.Errorf("%v", err)
	}
}

// What a node says of itself, and of what is wrong, is kept within bounds.
func TestNodeThatSaysTooMuch(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", peer.MaxShort)
	var chatty atomic.Bool
	fake := newFakeNode(t, &fakeNode{
		info: func(w http.ResponseWriter, _ *http.Request) {
			info := recordingInfo
			if chatty.Load() {
				info.Version = long
			}
			_ = json.NewEncoder(w).Encode(info)
		},
		streams: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": long})
		},
	})
	f := followed(t, 100*time.Millisecond, 30*time.Second, map[string]*fakeNode{"a": fake})
	n := f.node("a")
	until(t, "what is wrong is shown", func() bool { return strings.Contains(n.describe().Error, "it answers 500: xxx") })
	if said := n.describe().Error; len(said) > 2*peer.MaxText {
		t.Errorf("it has %d bytes", len(said))
	}
	chatty.Store(true)
	until(t, "it is down", func() bool { return n.describe().State == stateDown })
	if d := n.describe(); !strings.Contains(d.Error, "longer than") || len(d.Version) > peer.MaxText {
		t.Errorf("%s, and a version of %d bytes", d.Error, len(d.Version))
	}
}
