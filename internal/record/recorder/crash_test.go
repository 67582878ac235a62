package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/journal"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

const journalFolder = ".journals"

// withJournals gives a rig's recorder journals below its root.
func withJournals(t testing.TB, root string, o *Options) {
	t.Helper()
	o.Journals = journal.Open(filepath.Join(root, journalFolder), true)
}

// image is what a crash at one moment leaves.
type image struct {
	dir    string
	at     string                     // the operation that it is before, or behind
	seen   time.Time                  // the end of what had been closed; the rig's clock, and the sender, may be seconds ahead
	frames map[string]map[lane]int    // of each recording: handed to its tracks so far
	listed map[string]media.Recording // what the catalogue has, by record_dir
}

// camera takes an image of a rig's root before and behind each operation on its
// store.
type camera struct {
	Store
	t      testing.TB
	g      *rig
	mu     sync.Mutex
	images []image
	synced map[string]int64 // durable bytes of files that grow; nil: all images are of the process's death alone
	frames map[string]map[lane]int
}

func (c *camera) shoot(at string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	img := image{at: fmt.Sprintf("%d: %s", len(c.images), at), frames: map[string]map[lane]int{}}
	for _, rec := range c.g.recorder.Active() {
		dir := rec.RecordDir
		if end := rec.Start.Add(time.Duration(rec.Duration * float64(time.Second))); end.After(img.seen) {
			img.seen = end
		}
		for _, t := range rec.Tracks {
			if c.frames[dir] == nil {
				c.frames[dir] = map[lane]int{}
			}
			kind := media.Video
			if t.Kind == media.Audio.String() {
				kind = media.Audio
			}
			c.frames[dir][lane{Kind: kind, Layer: t.Layer}] = int(t.Frames)
		}
	}
	for dir, tracks := range c.frames {
		img.frames[dir] = map[lane]int{}
		for l, n := range tracks {
			img.frames[dir][l] = n
		}
	}
	// What others do meanwhile may take a file away: a journal when the catalogue has
	// been told, a temporary one of another recording.
	for err := os.ErrNotExist; errors.Is(err, os.ErrNotExist); {
		img.dir = c.t.TempDir()
		if err = os.CopyFS(img.dir, os.DirFS(c.g.root)); err != nil && !errors.Is(err, os.ErrNotExist) {
			c.t.Error(err)
		}
	}
	// The catalogue is read after the files: a journal that is gone has been told to it.
	img.listed = c.g.catalogue.all()
	for key, size := range c.synced {
		// What was not synced may not have reached the disk.
		if err := os.Truncate(filepath.Join(img.dir, key), size); err != nil {
			c.t.Error(err)
		}
	}
	c.images = append(c.images, img)
}

func (c *camera) around(op string, f func() error) error {
	c.shoot("before " + op)
	err := f()
	c.shoot("after " + op)
	return err
}

func (c *camera) Put(ctx context.Context, key string, b io.Reader, n int64) error {
	return c.around("put "+key, func() error {
		err := c.Store.Put(ctx, key, b, n)
		c.mu.Lock()
		delete(c.synced, key) // what it replaces is gone
		c.mu.Unlock()
		return err
	})
}

func (c *camera) Delete(ctx context.Context, key string) error {
	return c.around("delete "+key, func() error { return c.Store.Delete(ctx, key) })
}

func (c *camera) Create(ctx context.Context, key string) (f storage.File, err error) {
	err = c.around("create "+key, func() error {
		f, err = c.Store.Create(ctx, key)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.synced != nil {
			c.synced[key] = 0
		}
		return err
	})
	return &cameraFile{f, c, key, 0}, err
}

type cameraFile struct {
	storage.File
	c    *camera
	key  string
	size int64
}

// Write is seen half done, too.
func (f *cameraFile) Write(p []byte) (n int, err error) {
	err = f.c.around("write "+f.key, func() error {
		if len(p) > 1 {
			if _, err := f.File.Write(p[:len(p)/2]); err != nil {
				return err
			}
			f.c.shoot("within write " + f.key)
			_, err := f.File.Write(p[len(p)/2:])
			return err
		}
		_, err := f.File.Write(p)
		return err
	})
	f.size += int64(len(p))
	return len(p), err
}

func (f *cameraFile) Sync() error {
	err := f.File.Sync()
	f.c.mu.Lock()
	if f.c.synced != nil {
		f.c.synced[f.key] = f.size
	}
	f.c.mu.Unlock()
	f.c.shoot("after sync " + f.key)
	return err
}

func (f *cameraFile) Close() error {
	return f.c.around("close "+f.key, f.File.Close)
}

// shot runs a scenario and returns the images of all its moments.
func shot(t testing.TB, powerLoss bool, change func(*Options), scenario func(g *rig) []*sender) ([]image, []*sender) {
	t.Helper()
	c := &camera{t: t, frames: map[string]map[lane]int{}}
	if powerLoss {
		c.synced = map[string]int64{}
	}
	g := newRig(t, func(o *Options) {
		c.Store = o.Store
		o.SegmentDuration, o.ChunkDuration = time.Second, 250*time.Millisecond
		change(o)
		o.Store = c
	})
	c.g = g
	withJournals(t, g.root, &g.recorder.o)
	senders := scenario(g)
	return c.images, senders
}

// after returns a rig with what an image holds, at a time.
func after(t *testing.T, img image, now time.Time, reconnect time.Duration) *rig {
	t.Helper()
	g := newRig(t, func(o *Options) {
		o.Reconnect = reconnect
		o.SegmentDuration, o.ChunkDuration = time.Second, 250*time.Millisecond
		o.Logger = slog.New(slog.DiscardHandler)
	})
	if err := os.CopyFS(g.root, os.DirFS(img.dir)); err != nil {
		t.Fatal(err)
	}
	g.catalogue.fill(img.listed)
	withJournals(t, g.root, &g.recorder.o)
	g.clock.advance(now)
	return g
}

// dirs returns the record_dirs below a rig's root.
func (g *rig) dirs() (dirs []string) {
	g.t.Helper()
	for o, err := range g.store.List(context.Background(), "") {
		if err != nil {
			g.t.Fatal(err)
		}
		if dir, ok := strings.CutSuffix(o.Key, "/"+infoName); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// only returns the log of the tracks that a recording has: of one that had just
// begun nothing may have come to storage.
func only(log *load.Log, rec *verify.Recording) *load.Log {
	out := *log
	if _, ok := rec.Track(media.Audio); !ok {
		out.Audio = nil
	}
	if _, ok := rec.Track(media.Video); !ok {
		out.Video = nil
	}
	return &out
}

// mended checks that everything below a rig's root is sealed and has what it had
// when it was left, but for one chunk of each track.
func (g *rig) mended(img image, log *load.Log, lost int) {
	g.t.Helper()
	g.listed()
	for _, dir := range g.dirs() {
		info := g.info(dir)
		if lost == math.MaxInt && info.Recovered == 0 {
			continue // without syncs, not even what was sealed is sure to be on the disk
		}
		if info.Status == media.StatusRecording || info.End == nil {
			g.t.Errorf("%s is %s", dir, info.Status)
		}
		if got := g.catalogue.get(dir); got.Status != media.StatusRecording && got.Status != info.Status && img.frames[dir] != nil && info.Recovered > 0 {
			g.t.Errorf("catalogue has %s as %s, recording.json as %s", dir, got.Status, info.Status)
		}
		if info.Duration == 0 {
			for l, n := range img.frames[dir] {
				if n > lost {
					g.t.Errorf("%s is empty, %d frames of %s had been written", dir, n, l.String())
				}
			}
			continue
		}
		for _, tr := range info.Tracks {
			if info.Recovered > 0 && tr.PacketsReceived < tr.Frames {
				g.t.Errorf("%s: %d frames of %s came in %d packets", dir, tr.Frames, tr.Kind, tr.PacketsReceived)
			}
		}
		rec := g.read(dir)
		if rec.Dynamic {
			g.t.Errorf("the manifest of %s is dynamic", dir)
		}
		for l, n := range img.frames[dir] {
			track, ok := rec.Track(l.Kind)
			got := 0
			if ok {
				got = len(track.Samples)
			}
			if n-got > lost {
				g.t.Errorf("%s: %d samples of %s are left of %d", dir, got, l.String(), n)
			}
		}
		g.compare(only(log, rec), rec, compare.Options{TailUnits: -1, AllowFillers: true, MaxAV: -1})
	}
	if left, err := os.ReadDir(filepath.Join(g.root, journalFolder)); err != nil && !errors.Is(err, os.ErrNotExist) || len(left) > 0 {
		g.t.Errorf("journals are left: %v, %v", left, err)
	}
}

// A chunk of 250 ms has 13 packets of audio, 8 frames of video; one frame waits for
// the time of the next. A segment of a second has 50 packets.
const (
	framesOfChunk   = 15
	framesOfSegment = 66
)

// film is the scenario that is interrupted: a recording, its rotation, its end.
func film(t testing.TB, power bool, video string, sync segmenter.Sync) ([]image, *sender) {
	t.Helper()
	images, senders := shot(t, power, func(o *Options) { o.MaxRecording, o.Sync = 4*time.Second, sync }, func(g *rig) []*sender {
		g.clock.advance(time.Now())
		s := g.publish("camera", source(t, video), source(t, "opus_mono.ogg"))
		g.start("camera", "")
		s.send(6 * time.Second)
		g.stop("camera")
		return []*sender{s}
	})
	if len(images) < 200 {
		t.Fatalf("%d moments were seen, which is too few to be true", len(images))
	}
	return images, senders[0]
}

// films has the films of processes that die, by their video. To make one takes seconds
// under the race detector, and many tests look at the same.
var films struct {
	sync.Mutex
	dir  string // of all images; TestMain removes it
	made map[string]*madeFilm
}

type madeFilm struct {
	images []image
	sender *sender
}

// TestMain removes the films.
func TestMain(m *testing.M) {
	code := m.Run()
	if films.dir != "" {
		_ = os.RemoveAll(films.dir)
	}
	os.Exit(code)
}

// theFilm is film for a process that dies. Tests share what it returns, and change none of it.
func theFilm(t testing.TB, video string) ([]image, *sender) {
	t.Helper()
	films.Lock()
	defer films.Unlock()
	if films.made == nil {
		dir, err := os.MkdirTemp("", "films-") //nolint:usetesting // it outlasts this test
		if err != nil {
			t.Fatal(err)
		}
		films.dir, films.made = dir, map[string]*madeFilm{}
	}
	f := films.made[video]
	if f == nil {
		set := &filmSet{TB: t}
		f = &madeFilm{}
		f.images, f.sender = film(set, false, video, segmenter.SyncOff)
		set.strike()
		films.made[video] = f
	}
	return slices.Clone(f.images), f.sender
}

// filmSet is a test whose folders outlast it, and whose cleanup runs when the film is made.
type filmSet struct {
	testing.TB
	cleanups []func()
}

// TempDir returns a folder that stays until all tests have ended.
func (s *filmSet) TempDir() string {
	dir, err := os.MkdirTemp(films.dir, "")
	if err != nil {
		s.Fatal(err)
	}
	return dir
}

// Cleanup keeps f for strike.
func (s *filmSet) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *filmSet) strike() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

// beforeRotation returns the moments of a film at which there is one recording.
func beforeRotation(t testing.TB, images []image) []image {
	t.Helper()
	for i, img := range images {
		folders, err := os.ReadDir(filepath.Join(img.dir, "camera"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if len(folders) > 1 {
			return images[:i]
		}
	}
	t.Fatal("the film has no rotation")
	return nil
}

// sealedFiles returns the recording.json of what is sealed, by record_dir.
func (g *rig) sealedFiles() map[string][]byte {
	g.t.Helper()
	files := map[string][]byte{}
	for _, dir := range g.dirs() {
		data := g.infoFile(dir)
		var info media.Recording
		if err := json.Unmarshal(data, &info); err == nil && info.Status != media.StatusRecording {
			files[dir] = data
		}
	}
	return files
}

func (g *rig) infoFile(dir string) []byte {
	g.t.Helper()
	data, err := os.ReadFile(filepath.Join(g.root, dir, infoName))
	if err != nil {
		g.t.Fatal(err)
	}
	return data
}

// dropUnsyncedLines takes what was appended to journals after the last line that
// was made durable.
func (g *rig) dropUnsyncedLines() {
	g.t.Helper()
	files, err := filepath.Glob(filepath.Join(g.root, journalFolder, "*"))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			g.t.Fatal(err)
		}
		var durable, at int
		for line := range bytes.Lines(data) {
			at += len(line)
			for _, kind := range []string{`{"claim"`, `{"claimed"`, `{"track"`, `{"sealed"`} {
				if bytes.HasPrefix(line, []byte(kind)) {
					durable = at
				}
			}
		}
		if err := os.Truncate(name, int64(durable)); err != nil {
			g.t.Fatal(err)
		}
	}
}

// Recovery can be interrupted like everything else.
func TestCrashInRecovery(t *testing.T) {
	images, s := theFilm(t, "h264_baseline.h264")
	for i := 20; i < len(images); i += 12 {
		img := images[i]
		t.Run(img.at, func(t *testing.T) {
			t.Parallel()
			c := &camera{t: t, frames: map[string]map[lane]int{}}
			g := after(t, img, time.Now().Add(time.Hour), 10*time.Second)
			c.g, c.Store = g, g.recorder.o.Store
			g.recorder.o.Store = c
			if err := g.recorder.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, second := range c.images {
				again := after(t, second, time.Now().Add(time.Hour), 10*time.Second)
				if err := again.recorder.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
				second.frames = img.frames
				again.mended(second, s.log, framesOfChunk)
			}
		})
	}
}

// A publisher that comes back soon after its node goes on with its recording. The moments
// are before the rotation: of a folder that was claimed a moment ago there is nothing to go
// on with.
func TestCrashAndComeBack(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp8.ivf"} {
		images, s := theFilm(t, video)
		images = beforeRotation(t, images)
		for i := 30; i < len(images); i += 13 {
			img := images[i]
			t.Run(video+" "+img.at, func(t *testing.T) {
				t.Parallel()
				g := after(t, img, img.seen.Add(2*time.Second), time.Minute)
				if err := g.recorder.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
				st := g.recorder.Status("camera")
				if !st.Recording || st.Info.Recovered != 1 {
					t.Fatalf("it does not wait for its publisher: %+v", st)
				}
				dir := st.Info.RecordDir
				back := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
				back.send(4 * time.Second)
				info := g.stop("camera")
				if info.RecordDir != dir || info.Status != media.StatusDegraded || info.Reason == "" {
					t.Errorf("recording ended as %s (%s) in %s, want degraded in %s", info.Status, info.Reason, info.RecordDir, dir)
				}
				rec := g.read(dir)
				last := len(rec.Periods) - 1
				if last < 1 { // nothing of the first had come to storage
					g.compare(back.log, rec, compare.Options{})
					return
				}
				g.compare(s.log, rec.InPeriods(0, last-1), compare.Options{TailUnits: -1, AllowFillers: true})
				g.compare(back.log, rec.InPeriods(last, last), compare.Options{})
				if gaps := info.Tracks[0].Gaps; len(gaps) != 1 || gaps[0].Cause != arrange.CauseReconnect {
					t.Errorf("gaps: %+v", gaps)
				}
			})
		}
	}
}

// The node dies when a Period has begun of which nothing has come to storage, while there
// is still sound in the one before. That ends where its media does, and not where the Period
// begins with which the publisher comes back.
func TestCrashAtBoundary(t *testing.T) {
	images, _ := shot(t, false, func(*Options) {}, func(g *rig) []*sender {
		g.clock.advance(time.Now())
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
		g.start("camera", "")
		s.tracks[0].off = true
		s.send(6 * time.Second)
		s.tracks[0].off = false
		s.send(2 * time.Second)
		g.stop("camera")
		return []*sender{s}
	})
	n := 0
	for i := range images {
		if img := images[i]; strings.Contains(img.at, "create ") && strings.HasSuffix(img.at, "/v_seg_0002.m4s") {
			n++
			g := after(t, img, img.seen.Add(2*time.Second), time.Minute)
			if err := g.recorder.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			back := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
			back.send(3 * time.Second)
			g.read(g.stop("camera").RecordDir)
		}
	}
	if n == 0 {
		t.Error("the node never died at the boundary")
	}
}

// What waits for a publisher that does not come is sealed.
func TestCrashAndStayAway(t *testing.T) {
	images, s := theFilm(t, "h264_baseline.h264")
	img := images[100]
	g := after(t, img, img.seen, 3*time.Second)
	if err := g.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := g.recorder.Status("camera").Info.RecordDir
	if dir == "" {
		t.Fatal("nothing waits")
	}
	if _, err := g.streams.Get("camera"); err != nil {
		t.Errorf("the stream is not there while its recording waits: %v", err)
	}
	g.clock.advance(g.clock.Now().Add(4 * time.Second))
	await.Until(t, "the recording has ended", func() bool { return !g.recorder.Recording("camera") })
	g.mended(img, s.log, framesOfChunk)
	info := g.info(dir)
	if want := info.Start.Add(time.Duration(info.Duration * float64(time.Second))); info.End.Sub(want).Abs() > 10*time.Millisecond {
		t.Errorf("it ended at %v, its media at %v", info.End, want)
	}
	if _, err := g.streams.Get("camera"); err == nil {
		t.Error("the stream stayed")
	}
}

// slowRemote is a store that does not say that it has what it was given.
type slowRemote struct {
	Store
}

func (slowRemote) Traits() storage.Traits { return storage.Traits{Uploads: true, InPlace: true} }

func (slowRemote) Pending(string) bool { return true }

func (slowRemote) Lost(string) []string { return nil }

// A recording that is deleted before storage has all of it stays deleted.
func TestForget(t *testing.T) {
	images, _ := theFilm(t, "h264_baseline.h264")
	g := after(t, images[100], time.Now().Add(time.Hour), time.Second)
	g.recorder.o.Store = slowRemote{g.store}
	if err := g.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := g.dirs()[0]
	journals := func() []string {
		names, err := filepath.Glob(filepath.Join(g.root, journalFolder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if len(journals()) != 1 {
		t.Fatalf("journals before storage has acknowledged everything: %v", journals())
	}
	g.recorder.Forget(dir)
	if len(journals()) != 0 {
		t.Errorf("journals of what is forgotten: %v", journals())
	}
	g.recorder.o.Store = g.store
	if err := g.recorder.sealRest(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who interrupts the recovery is told, so that nothing torn is uploaded after it.
func TestRecoveryCancelled(t *testing.T) {
	images, _ := theFilm(t, "h264_baseline.h264")
	g := after(t, images[100], time.Now().Add(time.Hour), time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.recorder.Recover(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Recover: %v", err)
	}
}
