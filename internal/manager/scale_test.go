//go:build unix

package manager

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// FLEET_NODES and FLEET_STREAMS set another size, to look for a manager's limit.
var (
	scaleNodes   = sizeOf("FLEET_NODES", usualNodes)
	scaleStreams = sizeOf("FLEET_STREAMS", 25) // of each node, all of them recorded
)

// sizeOf reads a size from the environment.
func sizeOf(variable string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil && n > 0 {
		return n
	}
	return usual
}

const (
	usualNodes = 200
	// reportEvery is how often a node's catalogue hears of a recording that runs.
	reportEvery = 30 * time.Second
	// viewersEvery is how often the viewers of a node change.
	viewersEvery = 2 * time.Second

	scaleWatchers = 50 // clients that follow the streams

	simulatorVariable = "LIVEMAN_TEST_SIMULATOR"
	watchersVariable  = "LIVEMAN_TEST_WATCHERS"
)

// TestSimulator is no test but the process that stands for the nodes: their work
// is not to count as the manager's.
func TestSimulator(*testing.T) {
	if os.Getenv(simulatorVariable) == "" {
		return // it is run by the benchmark
	}
	mux := http.NewServeMux()
	for i := range scaleNodes {
		mux.Handle(fmt.Sprintf("/n%d/", i), http.StripPrefix(fmt.Sprintf("/n%d", i), newSimulated(i)))
	}
	server := httptest.NewServer(mux)
	fmt.Println("simulating at " + server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
}

// TestWatchers is no test but the process of those who follow the streams, at the
// URL that it is given.
func TestWatchers(*testing.T) {
	url := os.Getenv(watchersVariable)
	if url == "" {
		return // it is run by the benchmark
	}
	ctx, cancel := context.WithCancel(context.Background())
	var events, bytes atomic.Int64
	var all sync.WaitGroup
	for range scaleWatchers {
		all.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return
			}
			defer func() { _ = resp.Body.Close() }()
			_ = peer.ReadEvents(resp.Body, func(data []byte) error {
				events.Add(1)
				bytes.Add(int64(len(data)))
				return nil
			})
		})
	}
	fmt.Println("watching")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
	cancel()
	all.Wait()
	fmt.Println("watched", events.Load(), bytes.Load())
}

// simulated is a node that is made up.
type simulated struct {
	mux   http.ServeMux
	i     int
	begun time.Time
}

func newSimulated(i int) http.Handler {
	s := &simulated{i: i, begun: time.Now()}
	s.mux.HandleFunc("GET /api/info", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Info{Name: "live777", Version: "simulated", Node: fmt.Sprintf("n%d", i)})
	})
	s.mux.HandleFunc("GET /api/load", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.NodeLoad{Time: time.Now(), Traffic: &api.TrafficLoad{}, Process: &api.ProcessLoad{}, Storage: &api.StorageLoad{}})
	})
	s.mux.HandleFunc("GET /api/sse/streams", s.streams)
	s.mux.HandleFunc("GET /api/recordings", s.changes)
	s.mux.HandleFunc("GET /api/sse/recordings", s.events)
	return &s.mux
}

// streams sends the list of streams, in which the viewers of one change.
func (s *simulated) streams(w http.ResponseWriter, r *http.Request) {
	list := make([]api.NodeStream, scaleStreams)
	for k := range list {
		list[k] = api.NodeStream{
			ID: fmt.Sprintf("n%d-stream-%d", s.i, k), CreatedAt: 1767366245000, Recording: true,
			Publish:   api.StreamPresence{Sessions: []api.StreamSession{{ID: strings.Repeat("a", 32), CreatedAt: 1767366245000, State: "connected"}}},
			Subscribe: api.StreamPresence{Sessions: []api.StreamSession{}},
			Tracks:    []live.TrackInfo{{Kind: "video", Codec: "H264"}, {Kind: "audio", Codec: "opus"}},
		}
	}
	for n := 0; ; n++ {
		list[n%scaleStreams].Subscribe.LeaveAt = live.UnixMillis(time.Now().UnixMilli())
		data, _ := json.Marshal(list)
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		if !peer.Pause(r.Context(), viewersEvery, nil) {
			return
		}
	}
}

// seq is the number of the newest change: each recording changes once in
// reportEvery, one after the other.
func (s *simulated) seq() int64 {
	return int64(scaleStreams) + int64(time.Since(s.begun)/(reportEvery/time.Duration(scaleStreams)))
}

func (s *simulated) changes(w http.ResponseWriter, r *http.Request) {
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	last := s.seq()
	page := follow.Page{Feed: "feed", Next: last, Changes: []media.Change{}}
	for seq := max(since, last-int64(scaleStreams)) + 1; seq <= last; seq++ {
		k := seq % int64(scaleStreams)
		stream := fmt.Sprintf("n%d-stream-%d", s.i, k)
		dir := stream + "/1767366245"
		track := media.RecordingTrack{Kind: "video", Codec: "H264", RFC6381: "avc1.42c01f", Width: 1280, Height: 720, Recorded: true, Frames: seq, PacketsReceived: seq}
		page.Changes = append(page.Changes, media.Change{Seq: seq, RecordDir: dir, Recording: &media.Recording{
			Stream: stream, RecordID: "1767366245", RecordDir: dir, MPDPath: dir + "/manifest.mpd", Node: fmt.Sprintf("n%d", s.i),
			Start: time.Unix(1767366245, 0), Duration: float64(seq), Bytes: seq, Status: media.StatusRecording, Tracks: []media.RecordingTrack{track, track},
		}})
	}
	_ = json.NewEncoder(w).Encode(page)
}

// events says that there is a change, whenever there is one.
func (s *simulated) events(w http.ResponseWriter, r *http.Request) {
	for last := s.seq(); peer.Pause(r.Context(), 100*time.Millisecond, nil); {
		now := s.seq()
		if now == last {
			continue
		}
		last = now
		if _, err := fmt.Fprintf(w, "id: %d\ndata: {\"seq\":%[1]d}\n\n", now); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
	}
}

// startProcess runs a test of this program as a process of its own, until stop is
// called or b ends, and returns what it says when it is ready. stop returns what it
// says at its end.
func startProcess(b *testing.B, test, variable, value string) (ready string, stop func() string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), variable+"="+value)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	stop = sync.OnceValue(func() string {
		_ = stdin.Close()
		last := ""
		for lines.Scan() {
			if text := lines.Text(); strings.HasPrefix(text, "watched ") {
				last = text
			}
		}
		_ = cmd.Wait()
		return last
	})
	b.Cleanup(func() { stop() })
	if !lines.Scan() {
		b.Fatalf("%s did not start", test)
	}
	return lines.Text(), stop
}

// BenchmarkFleet keeps 200 nodes with 5,000 streams fresh, all of which are
// recorded, for 50 who follow the streams, and fails where that takes half a core or
// what is known is old. "changes" are clients as the page is, "whole" those who have
// the whole list sent with each change.
func BenchmarkFleet(b *testing.B) {
	postgres := pgtest.Start(b)
	for kind, query := range map[string]string{"changes": "?changes=true", "whole": ""} {
		b.Run("sqlite/"+kind, func(b *testing.B) {
			benchmarkFleet(b, "sqlite://"+filepath.Join(b.TempDir(), "liveman.db"), query)
		})
		b.Run("postgres/"+kind, func(b *testing.B) { benchmarkFleet(b, postgres.Database(), query) })
	}
}

func benchmarkFleet(b *testing.B, database, query string) {
	b.Helper()
	said, _ := startProcess(b, "TestSimulator", simulatorVariable, "1")
	url := strings.TrimPrefix(said, "simulating at ")
	cfg := config.DefaultLiveman()
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.Database.URL = config.DatabaseURL(database)
	for i := range scaleNodes {
		cfg.Nodes = append(cfg.Nodes, config.Node{Alias: fmt.Sprintf("n%d", i), URL: fmt.Sprintf("%s/n%d", url, i)})
	}
	m, err := New(b.Context(), cfg, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	patience := time.Minute * time.Duration(max(1, scaleNodes/usualNodes))
	begun := time.Now()
	for deadline := begun.Add(patience); ; time.Sleep(100 * time.Millisecond) {
		_, total, err := m.catalogue.List(ctx, media.RecordingQuery{Limit: 1})
		if err == nil && total == scaleNodes*scaleStreams && len(m.fleet.Streams()) == total {
			break
		}
		if time.Now().After(deadline) {
			b.Fatalf("not all is known after %v: %d recordings, %d streams, %v", patience, total, len(m.fleet.Streams()), err)
		}
	}
	known := time.Since(begun)
	_, stop := startProcess(b, "TestWatchers", watchersVariable, m.URL()+"/api/sse/streams"+query)
	time.Sleep(2 * time.Second) // they have all connected
	b.ResetTimer()
	const span = 20 * time.Second
	for b.Loop() {
		before, start := cpuTime(b), time.Now()
		time.Sleep(span)
		cores := (cpuTime(b) - before).Seconds() / time.Since(start).Seconds()
		b.ReportMetric(cores, "cores")
		if cores > 0.5 && scaleNodes == usualNodes {
			b.Errorf("it takes %.2f cores", cores)
		}
	}
	var events, bytes float64
	if _, err := fmt.Sscanf(stop(), "watched %g %g", &events, &bytes); err != nil || events < scaleWatchers*span.Seconds()/2 {
		b.Errorf("they were told %g times: %v", events, err)
	}
	b.ReportMetric(bytes/events, "B/event")
	b.ReportMetric(known.Seconds(), "s-until-known")
	checkFresh(b, m)
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// checkFresh finds what is known of a node that is old or wrong.
func checkFresh(b *testing.B, m *Manager) {
	b.Helper()
	oldest := time.Duration(0)
	for _, n := range m.fleet.Nodes() {
		if n.State != stateUp || n.Error != "" || n.Feed.Error != "" {
			b.Errorf("%+v", n)
		}
		oldest = max(oldest, time.Since(n.Feed.UpdatedAt))
	}
	b.ReportMetric(oldest.Seconds(), "s-oldest-feed")
	if oldest > 5*time.Second {
		b.Errorf("the recordings of a node are as of %v ago", oldest)
	}
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
