package recorder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/journal"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/storage/spool"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// The variables that make a test process a victim.
const (
	victimDir    = "RECORDER_VICTIM_DIR"
	victimRun    = "RECORDER_VICTIM_RUN"
	victimBucket = "RECORDER_VICTIM_BUCKET" // S3: a JSON of s3.Options
)

// victimRecords is the line that a victim prints when it has recorded something.
const victimRecords = "VICTIM RECORDS"

// run is what a victim does.
type run struct {
	Number int
	Start  time.Time // of its sender
}

// sources are what the run's sender sends: the codec changes.
func (r run) sources(t *testing.T) []*load.Source {
	video := []string{"h264_baseline.h264", "vp8.ivf", "vp9.ivf"}[r.Number%3]
	return []*load.Source{source(t, video), source(t, "opus_mono.ogg")}
}

// step is a line of a victim's diary: what its recorder had done.
type step struct {
	Run    *run                      `json:",omitempty"`
	Now    time.Time                 `json:",omitzero"`
	Frames map[string]map[string]int `json:",omitempty"` // by record_dir and kind: handed to the tracks
}

// victim is a recorder's process that is going to be killed: each run goes on with
// what the last one has left, and each third run without a pause between.
type victim struct {
	dir    string // of everything that it keeps on the disk
	bucket string // s3.Options as JSON; empty: it records to dir
}

func (v victim) diary() string { return filepath.Join(v.dir, "diary") }

// steps reads the diary, whose last line may be torn.
func (v victim) steps(t *testing.T) (steps []step) {
	f, err := os.Open(v.diary())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s step
		if json.Unmarshal(lines.Bytes(), &s) == nil {
			steps = append(steps, s)
		}
	}
	return steps
}

// open makes the recorder on what is there.
func (v victim) open(t *testing.T, reconnect time.Duration) *rig {
	t.Helper()
	root := filepath.Join(v.dir, "root")
	g := newRigIn(t, root, func(o *Options) {
		o.SegmentDuration, o.ChunkDuration, o.MaxRecording = time.Second, 250*time.Millisecond, 4*time.Second
		o.Reconnect = reconnect
		o.Logger = slog.New(slog.DiscardHandler)
		o.Journals = journal.Open(filepath.Join(v.dir, "journals"), true)
		if v.bucket != "" {
			o.Store = v.openSpool(t)
		}
	})
	for _, s := range v.steps(t) {
		g.clock.advance(s.Now)
	}
	// What was done after the last line was sent at most so much later.
	g.clock.advance(g.clock.Now().Add(150 * time.Millisecond))
	g.clock.advance(time.Now())
	if err := g.recorder.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	if sp, ok := g.recorder.o.Store.(*spool.Spool); ok {
		sp.Start()
	}
	return g
}

func (v victim) remote(t *testing.T) *s3.Store {
	t.Helper()
	var o s3.Options
	if err := json.Unmarshal([]byte(v.bucket), &o); err != nil {
		t.Fatal(err)
	}
	remote, err := s3.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return remote
}

func (v victim) openSpool(t *testing.T) *spool.Spool {
	t.Helper()
	sp, err := spool.New(context.Background(), spool.Options{
		Dir: filepath.Join(v.dir, "spool"), Remote: v.remote(t), NoSync: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := sp.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return sp
}

// TestVictim is no test, but the process that TestKill kills.
func TestVictim(t *testing.T) {
	v := victim{os.Getenv(victimDir), os.Getenv(victimBucket)}
	if v.dir == "" {
		return
	}
	n, err := strconv.Atoi(os.Getenv(victimRun))
	if err != nil {
		t.Fatal(err)
	}
	reconnect := time.Nanosecond
	if n%2 == 0 {
		reconnect = 1000 * time.Hour // its clock runs ahead
	}
	g := v.open(t, reconnect)
	diary, err := os.OpenFile(v.diary(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	write := func(s step) {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(diary, "\n%s\n", line); err != nil {
			t.Fatal(err)
		}
	}
	tell := sync.OnceFunc(func() { fmt.Println(victimRecords) })
	for ; ; n += 1000 {
		r := run{n, g.clock.Now()}
		write(step{Run: &r, Now: r.Start})
		s := g.publish("camera", r.sources(t)...)
		g.start("camera", "")
		for range 60 {
			s.send(100 * time.Millisecond)
			g.caughtUp("camera")
			write(step{Now: g.clock.Now(), Frames: g.framesSoFar()})
			tell()
		}
		s.leave()
		g.stop("camera")
		g.clock.advance(g.clock.Now().Add(1500 * time.Millisecond)) // a second is one record_id
	}
}

// framesSoFar returns how many frames the active recordings' tracks have.
func (g *rig) framesSoFar() map[string]map[string]int {
	frames := map[string]map[string]int{}
	for _, info := range g.recorder.Active() {
		dir := info.RecordDir
		frames[dir] = map[string]int{}
		for _, tr := range info.Tracks {
			frames[dir][tr.Kind] = int(tr.Frames)
		}
	}
	return frames
}

// TestKill kills recorders at random moments, with SIGKILL, over and over: while
// they write, close segments, rotate, seal and recover from the last time.
func TestKill(t *testing.T) {
	const kills = 55 // of each of four
	minio := miniotest.Start(t)
	for i := range 4 {
		name, bucket := fmt.Sprintf("fs%d", i), ""
		if i >= 2 {
			o, err := json.Marshal(s3.Options{
				Bucket: minio.Bucket, Root: fmt.Sprintf("victim%d", i), Endpoint: minio.Endpoint, Region: miniotest.Region,
				AccessKeyID: minio.AccessKey, SecretAccessKey: minio.SecretKey,
			})
			if err != nil {
				t.Fatal(err)
			}
			name, bucket = fmt.Sprintf("s3%d", i), string(o)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := victim{t.TempDir(), bucket}
			random := rand.New(rand.NewPCG(uint64(i), 777))
			for n := range kills {
				// On a busy machine a moment may come before anything is recorded: a third
				// are counted from then on.
				v.kill(t, n, n%3 == 0, time.Duration(random.Int64N(int64(500*time.Millisecond))))
			}
			v.autopsy(t)
		})
	}
}

// kill runs the victim for a while, since it was started or since it records.
func (v victim) kill(t *testing.T, n int, records bool, after time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), victimDir+"="+v.dir, victimRun+"="+strconv.Itoa(n), victimBucket+"="+v.bucket)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	recording, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if lines.Text() == victimRecords {
				close(recording)
			}
			fmt.Fprintln(&out, lines.Text())
		}
		ended <- cmd.Wait()
	}()
	early := func(err error) {
		t.Helper()
		t.Fatalf("run %d ended by itself: %v\n%s", n, err, out.String())
	}
	if records {
		select {
		case <-recording:
		case err := <-ended:
			early(err)
		}
	}
	select {
	case <-time.After(after): // the moment is the test
	case err := <-ended:
		early(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// autopsy lets a last run seal what is left, and looks at everything.
func (v victim) autopsy(t *testing.T) {
	t.Helper()
	g := v.open(t, time.Nanosecond)
	g.clock.advance(g.clock.Now().Add(time.Minute)) // nobody comes back
	await.Until(t, "the recording has ended", func() bool { return !g.recorder.Recording("camera") })
	store := storage.Backend(g.store)
	if sp, ok := g.recorder.o.Store.(*spool.Spool); ok {
		await.Until(t, "the spool is empty", func() bool { return sp.Status().WaitingObjects == 0 })
		if st := sp.Status(); st.OpenObjects > 0 || st.Conflicts > 0 {
			t.Errorf("the spool has %+v", st)
		}
		store = v.remote(t)
	}
	frames := map[string]map[string]int{}
	var runs []run
	for _, s := range v.steps(t) {
		if s.Run != nil {
			runs = append(runs, *s.Run)
		}
		for dir, tracks := range s.Frames {
			frames[dir] = tracks
		}
	}
	recovered := 0
	dirs := dirsOf(t, store)
	for _, dir := range dirs {
		recovered += v.examine(t, store, dir, frames[dir], runs)
	}
	for dir := range frames {
		if _, err := store.Stat(t.Context(), dir+"/"+infoName); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	t.Logf("%d runs of senders, %d recordings, which were interrupted %d times", len(runs), len(dirs), recovered)
	if recovered < 10 {
		t.Error("too few interruptions to be true")
	}
}

// examine holds a recording against what its runs sent and returns how often it
// was interrupted.
func (v victim) examine(t *testing.T, store storage.Backend, dir string, frames map[string]int, runs []run) int {
	t.Helper()
	info := infoOf(t, store, dir)
	if info.Status == media.StatusRecording || info.End == nil {
		t.Errorf("%s is %s", dir, info.Status)
		return 0
	}
	if info.Duration == 0 {
		for kind, n := range frames {
			if n > framesOfChunk {
				t.Errorf("%s is empty, %d frames of %s had been written", dir, n, kind)
			}
		}
		return info.Recovered
	}
	rec, err := verify.ReadRecording(t.Context(), store, dir)
	if err != nil {
		t.Error(err)
		return info.Recovered
	}
	for _, p := range rec.Problems {
		t.Errorf("%s: %s", dir, p)
	}
	if rec.Dynamic {
		t.Errorf("the manifest of %s is dynamic", dir)
	}
	for kind, n := range frames {
		got := 0
		for _, tr := range rec.Tracks {
			if tr.Kind.String() == kind {
				got += len(tr.Samples)
			}
		}
		// Each interruption may have cost a chunk.
		if n-got > framesOfChunk*max(info.Recovered, 1) {
			t.Errorf("%s: %d samples of %s are left of %d, after %d interruptions", dir, got, kind, n, info.Recovered)
		}
	}
	v.compare(t, dir, rec, runs)
	return info.Recovered
}

// compare holds the Periods of a recording against the senders that they are of.
func (v victim) compare(t *testing.T, dir string, rec *verify.Recording, runs []run) {
	t.Helper()
	of := func(period int) int {
		at := rec.Start.Add(rec.Periods[period].Start)
		n := 0
		for i, r := range runs {
			if !r.Start.After(at.Add(10 * time.Millisecond)) {
				n = i
			}
		}
		return n
	}
	for first := 0; first < len(rec.Periods); {
		last := first
		for last+1 < len(rec.Periods) && of(last+1) == of(first) {
			last++
		}
		part, r := rec.InPeriods(first, last), runs[of(first)]
		s := newSender(r.Start, r.sources(t))
		s.rehearse(8 * time.Second)
		if err := compare.Recording(only(s.log, part), part, compare.Options{TailUnits: -1, AllowFillers: true, MaxAV: -1}).Err(); err != nil {
			t.Errorf("%s, periods %d to %d of run %d: %v", dir, first, last, r.Number, err)
		}
		first = last + 1
	}
}

// rehearse fills the log with what the sender would send.
func (s *sender) rehearse(d time.Duration) {
	for _, tr := range s.tracks {
		for tr.next < d {
			u := tr.src.Units[tr.unit%len(tr.src.Units)]
			tr.note(&u, s.start.Add(tr.next))
			tr.skip(&u)
		}
	}
}

func dirsOf(t *testing.T, store storage.Backend) (dirs []string) {
	t.Helper()
	for o, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if dir, ok := strings.CutSuffix(o.Key, "/"+infoName); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func infoOf(t *testing.T, store storage.Backend, dir string) (info media.Recording) {
	t.Helper()
	body, err := store.Get(t.Context(), dir+"/"+infoName, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&info); err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	return info
}
