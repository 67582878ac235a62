package events

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/config"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hookServer is a webhook that keeps what it was told, without a network.
type hookServer struct {
	t      *testing.T
	answer func(ctx context.Context, n int) (status int, err error) // to the n-th call
	// answerTo is the same, for those who look at the subject; it goes before answer.
	answerTo func(subject string) (status int)

	mu    sync.Mutex
	calls int
	got   []envelopeRead // what it took, in order
}

type envelopeRead struct {
	SpecVersion, ID, Source, Type, Subject string
	Data                                   json.RawMessage
}

// RoundTrip implements http.RoundTripper.
func (h *hookServer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	seconds, _ := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64)
	if off := time.Since(time.Unix(seconds, 0)); off < 0 || off > 2*time.Second {
		h.t.Errorf("the time stamp is off by %v", off)
	}
	if want := sign(secretKey(testSecret), r.Header.Get("Webhook-Id"), time.Unix(seconds, 0), body); r.Header.Get("Webhook-Signature") != want {
		h.t.Errorf("signature %q, want %q", r.Header.Get("Webhook-Signature"), want)
	}
	var e envelopeRead
	if err := json.Unmarshal(body, &e); err != nil || e.SpecVersion != "1.0" || e.ID != r.Header.Get("Webhook-Id") || e.Source != "/live777/test" {
		h.t.Errorf("%v: %s", err, body)
	}
	h.mu.Lock()
	h.calls++
	n := h.calls
	h.mu.Unlock()
	h.mu.Lock()
	what := h.answer
	h.mu.Unlock()
	if h.answerTo != nil {
		what = always(h.answerTo(e.Subject))
	}
	status, err := what(r.Context(), n)
	if status/100 == 2 {
		h.mu.Lock()
		h.got = append(h.got, e)
		h.mu.Unlock()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Status: strconv.Itoa(status), Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func always(status int) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) { return status, nil }
}

func (h *hookServer) taken() []envelopeRead {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func toWebhook(patterns ...string) config.Events {
	return config.Events{
		Options:  config.EventOptions{Timeout: 10, HookTimeout: 10},
		Webhooks: []config.Webhook{{URL: "https://hooks.example/live", Secret: testSecret, Events: patterns}},
	}
}

var slogDiscard = slog.New(slog.DiscardHandler)

// open opens a service whose webhooks call h.
func open(t *testing.T, file string, h *hookServer, cfg config.Events) *Service {
	t.Helper()
	s, err := Open(t.Context(), Options{
		Source: "/live777/test", File: file, Keep: 72 * time.Hour, Max: 64 << 20, Targets: cfg, Logger: slogDiscard, transport: h,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeIt(t *testing.T, s *Service) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// until awaits a condition, in the time of a bubble or a real one.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 5000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: did not come true", what)
}

// inOrder wants each subject's events once each and in order, but for repeats of the one
// that came last, which have its id.
func inOrder(t *testing.T, got []envelopeRead, each int) (repeats int) {
	t.Helper()
	next, ids := map[string]int{}, map[string]string{}
	for _, e := range got {
		var n int
		if err := json.Unmarshal(e.Data, &n); err != nil {
			t.Fatal(err)
		}
		switch {
		case n == next[e.Subject]:
			next[e.Subject]++
			ids[e.Subject] = e.ID
		case n == next[e.Subject]-1 && e.ID == ids[e.Subject]:
			repeats++
		default:
			t.Fatalf("%s: got %d (%s), want %d", e.Subject, n, e.ID, next[e.Subject])
		}
	}
	for subject, n := range next {
		if n != each {
			t.Errorf("%s: %d events came, want %d", subject, n, each)
		}
	}
	return repeats
}

func waits(t *testing.T, s *Service) bool {
	t.Helper()
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(st.Targets, func(one Target) bool { return one.Waiting > 0 })
}

// TestOneRefusedStream: a receiver that takes no event of one stream gets those of others at
// once, however often it has refused that one, and that one's in order when it takes it.
func TestOneRefusedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hookServer{t: t}
		var mended atomic.Bool
		h.answerTo = func(subject string) int {
			if subject == "bad" && !mended.Load() {
				return 422
			}
			return 204
		}
		s := open(t, filepath.Join(t.TempDir(), "q.db"), h, toWebhook())
		defer closeIt(t, s)
		emit := func(subject string, n int) {
			s.Emit(Event{Type: config.EventStreamStarted, Subject: subject, Data: n})
			s.flush()
		}
		for n := range 3 {
			emit("bad", n)
		}
		for n := range 4 {
			for s.Measure()[0].Failed < int64(n+1)*(patience+2) { // more than a receiver may that works
				time.Sleep(100 * time.Millisecond)
			}
			began := time.Now()
			emit("good", n)
			until(t, "the other stream's event is told", func() bool { return len(h.taken()) == n+1 })
			if took := time.Since(began); took > time.Second {
				t.Errorf("event %d of the other stream was told after %v", n, took)
			}
		}
		st, err := s.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if to := st.Targets[0]; to.Waiting != 3 || to.Retrying != 1 || !strings.Contains(to.Error, "422") || !to.NextTry.After(time.Now()) {
			t.Errorf("%+v", to)
		}
		mended.Store(true)
		until(t, "all is told", func() bool { time.Sleep(10 * time.Second); return !waits(t, s) })
		var bad []envelopeRead
		for _, e := range h.taken() {
			if e.Subject == "bad" {
				bad = append(bad, e)
			}
		}
		inOrder(t, bad, 3)
		if to := s.Measure()[0]; to.Retrying != 0 || to.Error != "" || !to.NextTry.IsZero() {
			t.Errorf("when all is told: %+v", to)
		}
	})
}

// TestQueueOutlivesTheProgram tells after a restart what was not told before, and what
// ended with the program.
func TestQueueOutlivesTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "q.db")
		down := &hookServer{t: t, answer: always(503)}
		s := open(t, file, down, toWebhook())
		s.Came("camera", "session-1", 0)
		s.Came("door", "session-2", 0)
		s.Left("door", 1)
		s.Level(true, Event{Type: config.EventDiskLow, Subject: "storage", Data: 0}, "disk")
		s.Level(true, Event{Type: config.EventDiskLow, Subject: "storage", Data: 1}, "disk")
		closeIt(t, s)
		s = open(t, file, down, toWebhook()) // and once more
		closeIt(t, s)

		up := &hookServer{t: t, answer: always(200)}
		s = open(t, file, up, toWebhook())
		s.Level(true, Event{Type: config.EventDiskLow, Subject: "storage", Data: 2}, "disk")
		s.Level(false, Event{Type: config.EventDiskOK, Subject: "storage", Data: 3}, "disk")
		until(t, "all is told", func() bool { return !waits(t, s) })
		closeIt(t, s)
		var told []string
		for _, e := range up.taken() {
			told = append(told, e.Subject+" "+strings.TrimPrefix(e.Type, typePrefix)+" "+string(e.Data))
		}
		slices.Sort(told)
		want := []string{
			`camera stream.ended {"reason":"the program stopped"}`, "camera stream.started 0", "door stream.ended 1", "door stream.started 0",
			"storage disk.low 0", "storage disk.ok 3",
		}
		if !slices.Equal(told, want) {
			t.Errorf("got %q\nwant %q", told, want)
		}
		s = open(t, file, up, toWebhook())
		defer closeIt(t, s)
		if n := len(up.taken()); n != len(want) || waits(t, s) {
			t.Errorf("%d events were told", n)
		}
	})
}

// TestFull leaves events out when too many wait for a receiver, those of recordings last.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hookServer{t: t, answer: always(503)}
		s := open(t, filepath.Join(t.TempDir(), "q.db"), h, toWebhook())
		defer closeIt(t, s)
		one := s.receivers()[0]
		one.mu.Lock()
		one.waiting = maxWaiting * 3 / 4
		one.mu.Unlock()
		s.Emit(Event{Type: config.EventStreamStarted, Subject: "a"})
		s.Emit(Event{Type: config.EventRecordingEnded, Subject: "a"})
		s.flush()
		one.mu.Lock()
		one.waiting = maxWaiting
		one.mu.Unlock()
		s.Emit(Event{Type: config.EventRecordingEnded, Subject: "a"})
		s.flush()
		st, err := s.Status(t.Context())
		if err != nil || st.Targets[0].LeftOut != 2 {
			t.Errorf("%+v, %v", st, err)
		}
		s.o.Max = s.size.Load() + 10
		s.Emit(Event{Type: config.EventRecordingEnded, Subject: "a"})
		s.flush()
		if st, err = s.Status(t.Context()); err != nil || st.Targets[0].LeftOut != 3 {
			t.Errorf("%+v, %v", st, err)
		}
		time.Sleep(time.Minute)
		if err := s.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "takes no events") {
			t.Errorf("nothing is said to be wrong: %v", err)
		}
	})
}

// TestExpired gives up an event that nobody takes for days, and says so.
func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hookServer{t: t, answer: always(500)}
		s := open(t, filepath.Join(t.TempDir(), "q.db"), h, toWebhook())
		defer closeIt(t, s)
		s.Emit(Event{Type: config.EventStreamStarted, Subject: "a"})
		time.Sleep(72*time.Hour + 10*time.Minute)
		st, err := s.Status(t.Context())
		if err != nil || st.Targets[0].Expired != 1 || st.Targets[0].Waiting != 0 {
			t.Errorf("%+v, %v", st, err)
		}
		log, err := s.Deliveries(t.Context(), DeliveryQuery{Limit: 2, Subject: "a"})
		if err != nil || len(log) != 2 || log[0].Outcome != OutcomeExpired || log[1].Outcome != OutcomeFailed || log[1].Status != 500 {
			t.Errorf("%+v, %v", log, err)
		}
		if h.calls > 1000 { // every five minutes
			t.Errorf("%d calls", h.calls)
		}
	})
}

// TestReplace changes who is told while events wait.
func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hookServer{t: t, answer: always(503)}
		file := filepath.Join(t.TempDir(), "q.db")
		s := open(t, file, h, config.Events{})
		s.Emit(Event{Type: config.EventStreamStarted, Subject: "a", Data: -1})
		if _, err := os.Stat(file); err == nil || s.Look(t.Context()) != nil {
			t.Error("there is a queue for nobody")
		}
		replace := func(cfg config.Events) {
			if err := s.Replace(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		}
		replace(toWebhook())
		s.Emit(Event{Type: config.EventStreamStarted, Subject: "a", Data: 0})
		s.flush()
		other := toWebhook("stream.*") // the same one, with other events
		other.Webhooks = append(other.Webhooks, config.Webhook{Name: "second", URL: "https://hooks.example/two", Secret: testSecret})
		replace(other)
		s.Emit(Event{Type: config.EventStreamStarted, Subject: "a", Data: 1})
		s.Emit(Event{Type: config.EventNodeUp, Subject: "b", Data: 0})
		s.flush()
		waiting := func() (all []int) {
			for _, one := range s.Measure() {
				all = append(all, one.Waiting)
			}
			return all
		}
		if got := waiting(); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("%v wait", got)
		}
		replace(toWebhook("stream.*"))
		h.mu.Lock()
		h.answer = always(200)
		h.mu.Unlock()
		until(t, "all is told", func() bool { return !waits(t, s) })
		if got := h.taken(); len(got) != 2 || inOrder(t, got, 2) != 0 {
			t.Errorf("%+v", got)
		}
		closeIt(t, s)
		replace(toWebhook()) // of one that is closed: nothing
	})
}

// TestRetryAfter obeys a receiver that says when to come back.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 12, 2, 7, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-3": 0, "120": 2 * time.Minute, "1000000": time.Hour, "Wed, 02 Dec 2026 07:01:00 GMT": time.Minute, "Wed, 02 Dec 2026 06:01:00 GMT": 0,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}

// TestSignature checks the example of the Standard Webhooks specification.
func TestSignature(t *testing.T) {
	got := sign(secretKey(testSecret), "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestHooks runs commands.
func TestHooks(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("LIVE777_AUTH_SECRET", "do not tell")
	run := func(timeout time.Duration, script string) answer {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return hook{[]string{"/bin/sh", "-c", script}}.send(ctx, message{id: "1", kind: "test", subject: "a b", body: []byte(`{"x":1}`)})
	}
	if a := run(time.Minute, `cat >"`+dir+`/in"; env >"`+dir+`/env"`); a.err != nil {
		t.Fatal(a.err)
	}
	in, _ := os.ReadFile(dir + "/in")
	env, _ := os.ReadFile(dir + "/env")
	if string(in) != `{"x":1}` || !strings.Contains(string(env), "LIVE777_EVENT_SUBJECT=a b\n") || strings.Contains(string(env), "do not tell") {
		t.Errorf("%s\n%s", in, env)
	}
	if a := run(time.Minute, `echo "too
bad" >&2; exit 3`); a.err == nil || a.status != 3 || !strings.Contains(a.err.Error(), "too bad") {
		t.Errorf("%+v", a)
	}
	if a := run(50*time.Millisecond, `sleep 60`); a.err == nil || !strings.Contains(a.err.Error(), "hook_timeout_seconds") {
		t.Errorf("%+v", a)
	}
	if a := (hook{[]string{filepath.Join(dir, "absent")}}).send(t.Context(), message{}); a.err == nil {
		t.Error("a command that is not there has run")
	}
}

// TestLongEvent tells of an event that is too long without what makes it long.
func TestLongEvent(t *testing.T) {
	m, err := encode(Event{Type: config.EventStreamStarted, Subject: "a", Data: strings.Repeat("x", maxBody)}, "/live777/test", time.Now())
	if err != nil || len(m.body) > 1000 || !strings.Contains(string(m.body), `"too_long":`) {
		t.Errorf("%.200s, %v", m.body, err)
	}
	if _, err := encode(Event{Data: func() {}}, "/", time.Now()); err == nil {
		t.Error("a function is JSON")
	}
}

// TestUnwritten leaves events out that come faster than the disk takes them.
func TestUnwritten(t *testing.T) {
	h := &hookServer{t: t, answer: always(200)}
	s := open(t, filepath.Join(t.TempDir(), "q.db"), h, toWebhook("stream.*"))
	held, free := make(chan struct{}), make(chan struct{})
	s.between <- func() { close(held); <-free } // as a disk that stands still
	<-held
	for n := range maxUnwritten + 3 {
		s.Emit(Event{Type: config.EventNodeUp, Subject: "a", Data: n}) // which it does not want: to be quick
	}
	close(free)
	if st, err := s.Status(t.Context()); err != nil || st.Unwritten != 3 {
		t.Errorf("%+v, %v", st, err)
	}
	closeIt(t, s)
}

// TestDeliveriesAreTrimmed keeps the newest attempts alone.
func TestDeliveriesAreTrimmed(t *testing.T) {
	q, err := openQueue(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer q.close() //nolint:errcheck // of a test
	err = q.change(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), `INSERT INTO deliveries (n, time, target, id, type, subject, attempt, outcome, status, error, took)
			VALUES (1, 0, 'a', '', '', '', 1, 'failed', 0, '', 0)`); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), `UPDATE sqlite_sequence SET seq = ? WHERE name = 'deliveries'`, keptDeliveries)
		for range trimEvery {
			if _, err := q.settle(t.Context(), tx, &Delivery{Target: "b", Outcome: OutcomeFailed}); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := q.deliveries(t.Context(), DeliveryQuery{Limit: keptDeliveries})
	if err != nil || len(all) != trimEvery || all[0].N != keptDeliveries+trimEvery {
		t.Errorf("%d are kept, %v", len(all), err)
	}
	if older, err := q.deliveries(t.Context(), DeliveryQuery{Limit: 1, Before: all[0].N}); err != nil || older[0].N != all[1].N {
		t.Errorf("%+v, %v", older, err)
	}
}

// TestAnswersAreCut reads and keeps little of what a receiver says.
func TestAnswersAreCut(t *testing.T) {
	rest := strings.NewReader(strings.Repeat("long ", 1<<16))
	w := newWebhook("https://hooks.example", "", roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusFound, Status: "302 Found", Header: http.Header{"Location": {"http://127.0.0.1/"}}, Body: io.NopCloser(rest)}, nil
	}))
	a := w.send(t.Context(), message{id: "1", body: []byte("{}")})
	if a.status != http.StatusFound || a.err == nil || len(a.err.Error()) > maxError+100 || rest.Len() < 1<<17 {
		t.Errorf("%d, %d bytes are left, %.100v", a.status, rest.Len(), a.err)
	}
	if s := shorten("a\n b\x00\xff" + strings.Repeat("é", maxError)); len(s) > maxError || !strings.HasPrefix(s, "a b") {
		t.Errorf("%.20q", s)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestParallel tells events of different streams side by side, and no more than that.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		h := &hookServer{t: t, answer: func(context.Context, int) (int, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return 200, nil
		}}
		s := open(t, filepath.Join(t.TempDir(), "q.db"), h, toWebhook())
		for i := range 2 * webhookParallel {
			s.Emit(Event{Type: config.EventStreamStarted, Subject: strconv.Itoa(i), Data: 0})
			s.Emit(Event{Type: config.EventStreamStarted, Subject: strconv.Itoa(i), Data: 1})
		}
		until(t, "all is told", func() bool { return len(h.taken()) == 4*webhookParallel })
		if inOrder(t, h.taken(), 2); most.Load() != webhookParallel {
			t.Errorf("%d at once", most.Load())
		}
		if all := receivers(config.Events{Hooks: []config.Hook{{Command: []string{"x"}}}}, nil); all[0].parallel != hookParallel {
			t.Errorf("%d processes of a hook at once", all[0].parallel)
		}
		closeIt(t, s)
	})
}

// TestWebhookTest tells all receivers an event at once.
func TestWebhookTest(t *testing.T) {
	cfg := config.Events{
		Options: config.EventOptions{Timeout: 10, HookTimeout: 10},
		Hooks:   []config.Hook{{Command: []string{"/bin/cat"}, Events: []string{"stream.*"}}, {Command: []string{"/bin/sh", "-c", "exit 2"}, Name: "bad"}},
	}
	var out strings.Builder
	ok, err := Test(t.Context(), cfg, "/live777", &out)
	if ok || err != nil || !strings.Contains(out.String(), "hook /bin/cat: has taken it (") || !strings.Contains(out.String(), "hook bad: has not taken it: the command failed: exit status 2") {
		t.Errorf("%v, %v: %s", ok, err, out.String())
	}
	if _, err := Test(t.Context(), config.Events{}, "/live777", &out); err == nil {
		t.Error("nobody was told, and that is well")
	}
}
