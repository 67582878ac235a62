package live

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

var avTracks = []media.Track{
	{ID: 0, Kind: media.Video, Codec: "H264", ClockRate: 90000, MID: "0"},
	{ID: 1, Kind: media.Audio, Codec: "opus", ClockRate: 48000, Channels: 2, MID: "1"},
}

// publisher notes what it is asked for.
type publisher struct {
	mu        sync.Mutex
	keyFrames []time.Time
	closed    int
	onClose   func()
}

func (p *publisher) RequestKeyFrame(media.TrackID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keyFrames = append(p.keyFrames, time.Now())
}

func (p *publisher) Close() {
	p.mu.Lock()
	p.closed++
	onClose := p.onClose
	p.mu.Unlock()
	if onClose != nil {
		onClose()
	}
}

func (p *publisher) requests() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.keyFrames...)
}

func publish(t *testing.T, s *Streams, id string, p Publisher) *Publication {
	t.Helper()
	pub, err := s.Publish(id, SessionInfo{ID: "p", CreatedAt: time.UnixMilli(1000), State: "new"}, avTracks, p)
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func subscribe(t *testing.T, s *Streams, id string, o SubscribeOptions) *Subscription {
	t.Helper()
	st, err := s.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := st.Subscribe(o)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// read returns what one Read returns, waiting a minute at most.
func read(t *testing.T, sub *Subscription) []Item {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dst := make([]Item, 1<<14)
	n, err := sub.Read(ctx, dst)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("Read: %v", err)
	}
	return dst[:n]
}

func packet(seq uint16, size int) *media.Packet {
	return &media.Packet{Seq: seq, Payload: make([]byte, size)}
}

// script writes items as letters: J joined, L left, R report, P packet; a digit
// before a letter is the number of drops told with it.
func script(items []Item) string {
	var b strings.Builder
	for _, it := range items {
		if it.Dropped > 0 {
			b.WriteString(string(rune('0' + min(it.Dropped, 9))))
		}
		switch {
		case it.Packet != nil:
			b.WriteByte('P')
		case it.Report != nil:
			b.WriteByte('R')
		case it.Joined != nil:
			b.WriteByte('J')
		case it.Left:
			b.WriteByte('L')
		}
	}
	return b.String()
}

func TestLifecycle(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	pub := publish(t, s, "cam", &publisher{})
	sub := subscribe(t, s, "cam", SubscribeOptions{})
	pub.WritePacket(packet(1, 10))
	pub.WriteReport(&media.SenderReport{})
	pub.Close()
	pub.Close()
	pub.WritePacket(packet(2, 10))
	second := publish(t, s, "cam", &publisher{})
	second.WritePacket(packet(3, 10))
	items := read(t, sub)
	if got, want := script(items), "JPRLJP"; got != want {
		t.Fatalf("items %s, want %s", got, want)
	}
	if items[0].Joined != pub || items[4].Joined != second {
		t.Error("Joined names the wrong publication")
	}
	if err := s.Delete("cam"); err != nil {
		t.Fatal(err)
	}
	if got := script(read(t, sub)); got != "L" {
		t.Errorf("after Delete: %s, want L", got)
	}
	if n, err := sub.Read(t.Context(), make([]Item, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read at the end = %d, %v, want EOF", n, err)
	}
}

func TestReadObeysContext(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	if _, err := s.Create("cam"); err != nil {
		t.Fatal(err)
	}
	sub := subscribe(t, s, "cam", SubscribeOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sub.Read(ctx, make([]Item, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v, want context.Canceled", err)
	}
}

func TestSecondPublisher(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	pub := publish(t, s, "cam", &publisher{})
	_, err := s.Publish("cam", SessionInfo{}, avTracks, &publisher{})
	if !errors.Is(err, ErrPublishing) || fault.KindOf(err) != fault.Conflict {
		t.Errorf("second Publish = %v, want ErrPublishing", err)
	}
	pub.Close()
	publish(t, s, "cam", &publisher{})
}

func TestRemoval(t *testing.T) {
	exists := func(s *Streams) bool { _, err := s.Get("cam"); return err == nil }
	t.Run("publisher leaves", func(t *testing.T) {
		s := New(Options{})
		publish(t, s, "cam", &publisher{}).Close()
		if exists(s) {
			t.Error("idle stream stays")
		}
	})
	t.Run("subscriber holds it", func(t *testing.T) {
		s := New(Options{})
		pub := publish(t, s, "cam", &publisher{})
		sub := subscribe(t, s, "cam", SubscribeOptions{})
		pub.Close()
		if !exists(s) {
			t.Fatal("stream went with a subscriber on it")
		}
		sub.Close()
		if exists(s) {
			t.Error("idle stream stays")
		}
	})
	t.Run("created stays", func(t *testing.T) {
		s := New(Options{})
		if _, err := s.Create("cam"); err != nil {
			t.Fatal(err)
		}
		publish(t, s, "cam", &publisher{}).Close()
		subscribe(t, s, "cam", SubscribeOptions{}).Close()
		if !exists(s) {
			t.Error("created stream went")
		}
		if _, err := s.Create("cam"); !errors.Is(err, ErrExists) {
			t.Errorf("second Create = %v, want ErrExists", err)
		}
	})
	t.Run("subscribe after removal", func(t *testing.T) {
		s := New(Options{})
		pub := publish(t, s, "cam", &publisher{})
		st, err := s.Get("cam")
		if err != nil {
			t.Fatal(err)
		}
		pub.Close()
		if _, err := st.Subscribe(SubscribeOptions{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("Subscribe = %v, want ErrNotFound", err)
		}
	})
}

func TestDeleteEndsEverybody(t *testing.T) {
	s := New(Options{})
	p := &publisher{}
	pub := publish(t, s, "cam", p)
	p.onClose = pub.Close
	var ended int
	var sub *Subscription
	sub = subscribe(t, s, "cam", SubscribeOptions{OnClose: func() { ended++; sub.Close() }})
	if err := s.Delete("cam"); err != nil {
		t.Fatal(err)
	}
	if p.closed != 1 || ended != 1 {
		t.Errorf("publisher closed %d times, subscription %d times, want 1 and 1", p.closed, ended)
	}
	if err := s.Delete("cam"); !errors.Is(err, ErrNotFound) {
		t.Errorf("second Delete = %v, want ErrNotFound", err)
	}
	s.Close()
	if _, err := s.Publish("cam", SessionInfo{}, avTracks, p); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish after Close = %v, want ErrClosed", err)
	}
	if _, err := s.Create("cam"); !errors.Is(err, ErrClosed) {
		t.Errorf("Create after Close = %v, want ErrClosed", err)
	}
}

func TestBadID(t *testing.T) {
	s := New(Options{})
	for _, id := range []string{"", "..", "a/b", `a\b`, "a\x00", "a\u202eb", "a\u200d"} {
		if _, err := s.Create(id); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Create(%q) = %v, want a fault.Invalid", id, err)
		}
		if _, err := s.Publish(id, SessionInfo{}, nil, &publisher{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Publish(%q) = %v, want a fault.Invalid", id, err)
		}
	}
}

func TestOnPublishSubscribesBeforeFirstPacket(t *testing.T) {
	var sub *Subscription
	s := New(Options{OnPublish: func(st *Stream) {
		var err error
		if sub, err = st.Subscribe(SubscribeOptions{}); err != nil {
			t.Error(err)
		}
	}})
	defer s.Close()
	publish(t, s, "cam", &publisher{}).WritePacket(packet(1, 1))
	if got := script(read(t, sub)); got != "JP" {
		t.Errorf("items %s, want JP", got)
	}
}

func TestWatch(t *testing.T) {
	s := New(Options{})
	w := s.Watch()
	changed := func() bool {
		select {
		case <-w.C():
			return true
		default:
			return false
		}
	}
	pub := publish(t, s, "cam", &publisher{})
	sub := subscribe(t, s, "cam", SubscribeOptions{Session: &SessionInfo{ID: "v", State: "new"}})
	if !changed() || changed() {
		t.Error("want several changes merged into one value")
	}
	for name, f := range map[string]func(){
		"publisher state": func() { pub.SetState("connected") },
		"viewer state":    func() { sub.SetState("connected") },
	} {
		if f(); !changed() {
			t.Errorf("%s: not told", name)
		}
		if f(); changed() {
			t.Errorf("%s: told without a change", name)
		}
	}
	sub.Close()
	if !changed() {
		t.Error("viewer left: not told")
	}
	pub.Close()
	if !changed() {
		t.Error("publisher left: not told")
	}
	w.Close()
	publish(t, s, "cam", &publisher{})
	if changed() {
		t.Error("told after Close")
	}
}

func TestInfoJSON(t *testing.T) {
	now := time.UnixMilli(1719326206862)
	s := New(Options{Now: func() time.Time { return now }})
	defer s.Close()
	if _, err := s.Create("b"); err != nil {
		t.Fatal(err)
	}
	pub, err := s.Publish("a", SessionInfo{ID: "p", CreatedAt: now, State: "new"},
		[]media.Track{
			{Kind: media.Video, Codec: "VP9", RID: "h", Fmtp: "profile-id=0"}, {ID: 1, Kind: media.Video, Codec: "VP9", RID: "l", Fmtp: "profile-id=0"},
			{ID: 2, Kind: media.Audio, Codec: "opus"},
		}, &publisher{})
	if err != nil {
		t.Fatal(err)
	}
	pub.SetState("connected")
	v := subscribe(t, s, "a", SubscribeOptions{Session: &SessionInfo{ID: "v", CreatedAt: now, State: "new"}})
	subscribe(t, s, "a", SubscribeOptions{}) // a recorder is no viewer
	check := func(want string) {
		t.Helper()
		got, err := json.Marshal(s.List())
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	idle := `{"id":"b","createdAt":1719326206862,"publish":{"leaveAt":1719326206862,"sessions":[]},` +
		`"subscribe":{"leaveAt":1719326206862,"sessions":[]},"tracks":[],"codecs":[]}]`
	session := func(id, state string) string {
		return `{"id":"` + id + `","createdAt":1719326206862,"leaveAt":0,"state":"` + state + `","hasDataChannel":false}`
	}
	check(`[{"id":"a","createdAt":1719326206862,"publish":{"leaveAt":0,"sessions":[` + session("p", "connected") + `]},` +
		`"subscribe":{"leaveAt":0,"sessions":[` + session("v", "new") + `]},` +
		`"tracks":[{"kind":"video","codec":"VP9","rid":"h"},{"kind":"video","codec":"VP9","rid":"l"},{"kind":"audio","codec":"opus"}],` +
		`"codecs":[{"kind":"video","codec":"VP9","fmtp":"profile-id=0"},{"kind":"audio","codec":"opus","fmtp":""}]},` + idle)
	now = now.Add(time.Millisecond)
	v.Close()
	now = now.Add(time.Millisecond)
	pub.Close()
	check(`[{"id":"a","createdAt":1719326206862,"publish":{"leaveAt":1719326206864,"sessions":[]},` +
		`"subscribe":{"leaveAt":1719326206863,"sessions":[]},"tracks":[],"codecs":[]},` + idle)
}

func TestKeyFrameRequestsAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{KeyFrameInterval: time.Second})
		p := &publisher{}
		publish(t, s, "cam", p)
		a := subscribe(t, s, "cam", SubscribeOptions{})
		b := subscribe(t, s, "cam", SubscribeOptions{})
		start := time.Now()
		expect := func(want ...time.Duration) {
			t.Helper()
			synctest.Wait()
			got := p.requests()
			if len(got) != len(want) {
				t.Fatalf("at %v: %d requests, want %d", time.Since(start), len(got), len(want))
			}
			for i := range got {
				if d := got[i].Sub(start); d != want[i] {
					t.Errorf("request %d at %v, want %v", i, d, want[i])
				}
			}
		}
		a.RequestKeyFrame(0)
		expect(0) // at once
		time.Sleep(300 * time.Millisecond)
		a.RequestKeyFrame(0)
		b.RequestKeyFrame(0)
		expect(0) // deferred, and two merged
		time.Sleep(700 * time.Millisecond)
		expect(0, time.Second)
		time.Sleep(time.Second)
		expect(0, time.Second) // nobody asked
		b.RequestKeyFrame(0)
		expect(0, time.Second, 2*time.Second)

		a.RequestKeyFrame(1) // audio
		a.RequestKeyFrame(2) // no such track
		a.RequestKeyFrame(-1)
		a.RequestKeyFrame(0) // deferred, then the publisher goes
		s.Close()
		time.Sleep(5 * time.Second)
		expect(0, time.Second, 2*time.Second)
	})
}

// keeper keeps all that it has seen.
type keeper struct {
	mu   sync.Mutex
	seen [][]byte
}

func (k *keeper) Observe(p []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = append(k.seen, p)
}

func (k *keeper) Kept() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen[:len(k.seen):len(k.seen)]
}

// Who joins late is told what the packets of a track have told before.
func TestTracksHaveParameters(t *testing.T) {
	s := New(Options{Keeper: func(t media.Track) Keeper {
		if t.Kind == media.Audio {
			return nil
		}
		return &keeper{}
	}})
	pub := publish(t, s, "cam", &publisher{})
	pub.WritePacket(&media.Packet{Track: 0, Payload: []byte("sets")})
	pub.WritePacket(&media.Packet{Track: 1, Payload: []byte("sound")})
	sub := subscribe(t, s, "cam", SubscribeOptions{})
	tracks := read(t, sub)[0].Joined.Tracks()
	if len(tracks) != 2 || len(tracks[0].Parameters) != 1 || string(tracks[0].Parameters[0]) != "sets" || tracks[1].Parameters != nil {
		t.Errorf("tracks %+v", tracks)
	}
	pub.Close()
	pub = publish(t, s, "cam", &publisher{})
	if tracks := pub.Tracks(); len(tracks[0].Parameters) > 0 {
		t.Errorf("the next publication has %q", tracks[0].Parameters)
	}
}

// TestMaxStreams: those that publishers bring count as those that are created.
func TestMaxStreams(t *testing.T) {
	s := New(Options{Logger: slog.New(slog.DiscardHandler), MaxStreams: 2})
	if _, err := s.Create("a"); err != nil {
		t.Fatal(err)
	}
	pub, err := s.Publish("b", SessionInfo{}, nil, &publisher{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish("c", SessionInfo{}, nil, &publisher{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("one more publisher: %v", err)
	}
	if _, err := s.Create("c"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("one more stream: %v", err)
	}
	if _, err := s.Publish("a", SessionInfo{}, nil, &publisher{}); err != nil {
		t.Errorf("a stream that is there: %v", err)
	}
	if n := s.Refused(); n != 2 {
		t.Errorf("%d refusals are counted, want 2", n)
	}
	pub.Close()
	if _, err := s.Create("c"); err != nil {
		t.Errorf("when one is gone: %v", err)
	}
}
