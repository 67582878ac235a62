package events

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	mochiauth "github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/live777/recorder/internal/base/config"
)

// publishTo tells three events to a receiver whose broker comes later, and wants them once
// each, in order.
func publishTo(t *testing.T, cfg config.Events, come func() (got func() []string), want []string) {
	t.Helper()
	cfg.Options = config.EventOptions{Timeout: 5, HookTimeout: 5}
	s := open(t, filepath.Join(t.TempDir(), "q.db"), nil, cfg)
	defer closeIt(t, s)
	s.Emit(Event{Type: config.EventStreamStarted, Subject: "a", Data: 0})
	until(t, "an attempt has failed", func() bool { return s.Measure()[0].Failed > 0 })
	got := come()
	s.Emit(Event{Type: config.EventRecordingEnded, Subject: "a", Data: 1})
	s.Emit(Event{Type: config.EventStreamEnded, Subject: "a", Data: 2})
	until(t, "all is told", func() bool { return len(got()) >= len(want) })
	if all := got(); !slices.Equal(all, want) {
		t.Errorf("got %q, want %q", all, want)
	}
}

// freePort returns an address that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func natsAt(t *testing.T, address string, jetStream bool) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	server, err := natsserver.NewServer(&natsserver.Options{Host: host, Port: number, NoLog: true, NoSigs: true, JetStream: jetStream, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	go server.Start()
	t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
	if !server.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server does not come up")
	}
	return server.ClientURL()
}

// collected collects what a subscriber is told.
type collected struct {
	mu  sync.Mutex
	all []string
}

func (c *collected) add(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, s)
}

func (c *collected) list() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

func TestNATS(t *testing.T) {
	for _, jetStream := range []bool{false, true} {
		address := freePort(t)
		publishTo(t, config.Events{NATS: []config.NATS{{URL: config.TargetURL("nats://" + address), Subject: "site", JetStream: jetStream}}}, func() func() []string {
			conn, err := nats.Connect(natsAt(t, address, jetStream))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Close)
			if jetStream {
				js, err := conn.JetStream()
				if err == nil {
					_, err = js.AddStream(&nats.StreamConfig{Name: "events", Subjects: []string{"site.>"}})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			var got collected
			if _, err := conn.Subscribe("site.>", func(m *nats.Msg) {
				if m.Header.Get(nats.MsgIdHdr) != "" && strings.HasPrefix(string(m.Data), `{"specversion":"1.0",`) {
					got.add(m.Subject)
				}
			}); err != nil {
				t.Fatal(err)
			}
			return got.list
		}, []string{"site.stream.started", "site.recording.ended", "site.stream.ended"})
	}
}

func TestMQTT(t *testing.T) {
	address := freePort(t)
	publishTo(t, config.Events{MQTT: []config.MQTT{{URL: config.TargetURL("mqtt://" + address), Username: "u", Password: "p"}}}, func() func() []string {
		server := mochi.New(&mochi.Options{InlineClient: true})
		server.Log = slogDiscard
		var got collected
		if err := server.AddHook(new(mochiauth.AllowHook), nil); err != nil {
			t.Fatal(err)
		}
		if err := server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: address})); err != nil {
			t.Fatal(err)
		}
		if err := server.Serve(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		if err := server.Subscribe("live777/#", 1, func(_ *mochi.Client, _ packets.Subscription, p packets.Packet) {
			if strings.HasPrefix(string(p.Payload), `{"specversion":"1.0",`) {
				got.add(p.TopicName)
			}
		}); err != nil {
			t.Fatal(err)
		}
		return got.list
	}, []string{"live777/stream/started", "live777/recording/ended", "live777/stream/ended"})
}
