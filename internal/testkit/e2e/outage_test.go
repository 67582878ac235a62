package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/load"
)

const (
	outageStreams = 20
	// outageTime is how long each outage lasts, unless OUTAGE_SECONDS says otherwise:
	// `make soak` has outages of a minute.
	outageTime = 5 * time.Second
	// maxGrowth bounds what the server's memory grows by in outages. What waits is on the disk.
	maxGrowth = 64 << 20
	// maxGap bounds how long a viewer waits for a packet, beyond what this machine,
	// which has twenty publishers, the server and MinIO on it, keeps a process waiting.
	maxGap = time.Second
	// outageTries is how often a viewer has to wait for longer before the outage is to
	// blame: the server may be kept waiting where this process is not.
	outageTries = 3
)

// outage is a way in which storage fails.
type outage struct {
	name       string
	begin, end func()
	partial    bool // some uploads get through
}

// TestOutages: twenty streams are published, and rotated, while MinIO fails in every
// way there is, one after the other. Afterwards every frame is in the bucket, in order
// and once; memory stayed flat, and viewers noticed nothing.
func TestOutages(t *testing.T) {
	t.Parallel()
	lasting := outageTime
	if text := os.Getenv("OUTAGE_SECONDS"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("OUTAGE_SECONDS: %v", err)
		}
		lasting = time.Duration(seconds) * time.Second
	}
	disk := newSmallDisk(t)
	m := miniotest.StartWith(t, miniotest.Options{Dir: disk.dir, Wrapper: disk.wrapper})
	proxy := miniotest.NewProxy(t, m.Endpoint)
	s := start(t, s3Config(m, proxy.Endpoint, "segment_seconds = 2\nmax_recording_seconds = 20\nreconnect_seconds = 5"))
	p := s.publishMany(outageStreams)
	viewers := []*viewer{s.watch(streamName(0)), s.watch(streamName(outageStreams - 1))}
	for _, v := range viewers {
		v.await(t)
	}
	s.await("media", streamName(0), func(st status) bool { return st.Duration >= 8 })
	memory, machine := s.sampleMemory(), pulse(t)
	usual := max(viewers[0].gap(), viewers[1].gap())
	calm := memory.next()
	t.Logf("before the outages: %d MiB, longest wait of a viewer %v", calm>>20, usual.Round(time.Millisecond))

	w := &watch{s, viewers, memory, machine, calm, usual}
	for _, o := range outagesOf(m, proxy, disk) {
		waited := w.suffer(o, lasting)
		for try := 1; waited != "" && try < outageTries; try++ {
			waited = w.suffer(o, lasting)
		}
		if waited != "" {
			t.Error(waited)
		}
	}
	s.settleOutages(m, p.end())
}

// watch is what is looked at in outages.
type watch struct {
	*server
	viewers []*viewer
	memory  *memorySampler
	machine *viewer
	calm    int64         // memory, and
	usual   time.Duration // what viewers waited, before
}

// suffer has an outage last for some time and says, where a viewer waited for long,
// for how long.
func (w *watch) suffer(o outage, lasting time.Duration) (waited string) {
	w.t.Helper()
	waiting, rate := w.server.suffer(o, lasting)
	peak, gap, busy := w.memory.next(), max(w.viewers[0].gap(), w.viewers[1].gap()), w.machine.gap()
	w.t.Logf("%-24s %5d segments waited, caught up at %8.0f bytes/s; peak %d MiB, longest wait of a viewer %v, of a timer %v",
		o.name, waiting, rate, peak>>20, gap.Round(time.Millisecond), busy.Round(time.Millisecond))
	if waiting < outageStreams && !o.partial {
		w.t.Errorf("%s: %d segments wait: this was no outage", o.name, waiting)
	}
	if peak > w.calm+maxGrowth {
		w.t.Errorf("%s: memory has grown from %d to %d MiB", o.name, w.calm>>20, peak>>20)
	}
	if gap > max(w.usual, maxGap)+busy {
		return fmt.Sprintf("%s: a viewer waited %v for a packet, before the outages %v, a timer of this process %v", o.name, gap, w.usual, busy)
	}
	return ""
}

// settleOutages waits until the recordings have ended and compares the bucket with what was sent.
func (s *server) settleOutages(m *miniotest.Server, logs []*load.Log) {
	s.t.Helper()
	store := openBucket(s.t, m)
	var listed []string
	units, recordings := 0, 0
	for i, log := range logs {
		recs := s.awaitEnd(streamName(i))
		inBucket(s.t, store, log, recs)
		for _, r := range recs {
			listed = append(listed, r.RecordDir)
		}
		units += len(log.Video.Units) + len(log.Audio.Units)
		recordings += len(recs)
	}
	slices.Sort(listed)
	if in := bucketFolders(s.t, store); !slices.Equal(in, listed) {
		s.t.Errorf("the bucket has %q, listed are %q", in, listed)
	}
	if n, size := s.spooled(time.Now().Add(time.Hour), everything); n != 0 {
		s.t.Errorf("%d objects of %d bytes are left in the spool", n, size)
	}
	if code, out := runCommand(s.t, s.dir, nil, "verify"); code != 0 {
		s.t.Errorf("live777 verify ends with %d:\n%s", code, out)
	}
	s.t.Logf("%d frames of %d streams in %d recordings, all in the bucket; peak of all time %s",
		units, len(logs), recordings, strings.TrimSpace(s.procStatus("VmHWM")))
}

// suffer has an outage last for some time, and waits until the segments that waited
// then are uploaded.
func (s *server) suffer(o outage, lasting time.Duration) (waiting int, rate float64) {
	s.t.Helper()
	o.begin()
	time.Sleep(lasting) // the outage
	ended := time.Now()
	waiting, size := s.spooled(ended.Add(-time.Second), segments) // the open segments are younger
	o.end()
	begin := time.Now()
	s.uploaded(ended, segments)
	return waiting, float64(size) / time.Since(begin).Seconds()
}

func outagesOf(m *miniotest.Server, proxy *miniotest.Proxy, disk *smallDisk) []outage {
	inject := func(f miniotest.Fault) func() { return func() { proxy.Inject(f) } }
	puts := miniotest.Is(http.MethodPut)
	access, secret := m.AccessKey, m.SecretKey
	return []outage{
		{name: "killed", begin: m.Kill, end: m.Restart},
		{name: "paused (SIGSTOP)", begin: m.Pause, end: m.Resume},
		{name: "slow", begin: inject(miniotest.Fault{Delay: time.Second, Rate: 4 << 10}), end: proxy.Clear, partial: true},
		{name: "503 SlowDown", begin: inject(miniotest.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}), end: proxy.Clear},
		{
			name:  "500 in mid-body",
			begin: inject(miniotest.Fault{Match: puts, CutRequest: 1000, Status: http.StatusInternalServerError, Code: "InternalError"}), end: proxy.Clear,
		},
		{name: "cut in mid-PUT", begin: inject(miniotest.Fault{Match: puts, CutRequest: 1000}), end: proxy.Clear},
		{name: "answers lost", begin: inject(miniotest.Fault{Match: puts, LoseAnswer: true}), end: proxy.Clear, partial: true},
		{name: "disk full", begin: disk.fill, end: disk.empty},
		{name: "credentials invalid", begin: func() { m.RestartAs("somebody-else", "another-secret") }, end: func() { m.RestartAs(access, secret) }},
	}
}

func streamName(i int) string { return fmt.Sprintf("camera-%02d", i) }

// publishers are many that publish at once.
type publishers struct {
	t      *testing.T
	cancel func()
	wg     sync.WaitGroup
	logs   []*load.Log
	errs   []error
}

// publishMany publishes so many streams of a low bit rate until end.
func (s *server) publishMany(n int) *publishers {
	s.t.Helper()
	video, audio := source(s.t, "h264_small.h264"), source(s.t, "opus_mono.ogg")
	ctx, cancel := context.WithCancel(context.Background())
	all := &publishers{t: s.t, cancel: cancel, logs: make([]*load.Log, n), errs: make([]error, n)}
	s.t.Cleanup(func() { cancel(); all.wg.Wait() })
	for i := range n {
		pub, err := load.New(load.Options{URL: s.url + "/whip/" + streamName(i), Video: video, Audio: audio, SenderReports: true})
		if err != nil {
			s.t.Fatal(err)
		}
		all.wg.Go(func() { all.logs[i], all.errs[i] = pub.Run(ctx) })
		s.await("the publisher", streamName(i), func(st status) bool { return st.Recording })
	}
	return all
}

// end makes all leave and returns what each has sent.
func (p *publishers) end() []*load.Log {
	p.t.Helper()
	p.cancel()
	p.wg.Wait()
	for i, err := range p.errs {
		if err != nil {
			p.t.Errorf("%s: %v", streamName(i), err)
		}
	}
	return p.logs
}

// memorySampler follows how much memory a process has.
type memorySampler struct {
	mu   sync.Mutex
	peak int64
	done chan struct{}
}

// sampleMemory follows the server's resident memory until the test ends.
func (s *server) sampleMemory() *memorySampler {
	s.t.Helper()
	m := &memorySampler{done: make(chan struct{})}
	stop := make(chan struct{})
	m.add(s.resident())
	go func() {
		defer close(m.done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				m.add(s.resident())
			case <-stop:
				return
			}
		}
	}()
	s.t.Cleanup(func() { close(stop); <-m.done })
	return m
}

func (m *memorySampler) add(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peak = max(m.peak, bytes)
}

// next returns the peak since the last call.
func (m *memorySampler) next() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	peak := m.peak
	m.peak = 0
	return peak
}

// resident returns the server's resident memory in bytes; 0 when it is gone.
func (s *server) resident() int64 {
	kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(s.procStatus("VmRSS")), " kB"), 10, 64)
	return kib << 10
}

// procStatus returns a line of the server's /proc/PID/status, see proc(5).
func (s *server) procStatus(key string) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(data) {
		if value, ok := strings.CutPrefix(string(line), key+":"); ok {
			return value
		}
	}
	return ""
}

// smallDisk is a tmpfs for MinIO, in a mount namespace that lives as long as the
// test: what runs by the wrapper finds it at dir.
type smallDisk struct {
	t       *testing.T
	dir     string
	wrapper []string
	ballast string // as this process sees it
}

func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	dir := t.TempDir()
	holder := exec.CommandContext(t.Context(), "unshare", "--mount", "--map-root-user", "sh", "-c",
		`mount -t tmpfs -o size=512m tmpfs "$0" && echo mounted && exec cat`, dir)
	stdin, err := holder.StdinPipe() // its end ends cat, with this process too
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = holder.Wait() })
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatalf("a tmpfs in a mount namespace (Debian package util-linux): %v", err)
	}
	target := strconv.Itoa(holder.Process.Pid)
	return &smallDisk{
		t: t, dir: dir, ballast: fmt.Sprintf("/proc/%s/root%s/.ballast", target, dir),
		wrapper: []string{
			"nsenter", "--target", target, "--user", "--preserve-credentials", "--mount", "--",
			"setpriv", "--pdeathsig", "KILL", // joining a namespace has cleared it
		},
	}
}

// fill leaves no room on the disk.
func (d *smallDisk) fill() {
	d.t.Helper()
	f, err := os.Create(d.ballast)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 1<<20)
	for {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}

// empty makes room again.
func (d *smallDisk) empty() {
	d.t.Helper()
	if err := os.Remove(d.ballast); err != nil {
		d.t.Fatal(err)
	}
}
