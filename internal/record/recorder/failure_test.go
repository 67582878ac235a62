package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// faulty is a store whose calls a test can fail or hold up.
type faulty struct {
	Store
	mu       sync.Mutex
	onPut    func(key string) error
	onCreate func(key string) error
	onWrite  func(key string) error
	onDelete func(key string) error
}

func (f *faulty) hook(h *func(string) error, key string) error {
	f.mu.Lock()
	fn := *h
	f.mu.Unlock()
	if fn == nil {
		return nil
	}
	return fn(key)
}
func (f *faulty) set(h *func(string) error, fn func(string) error) {
	f.mu.Lock()
	*h = fn
	f.mu.Unlock()
}
func (f *faulty) Put(ctx context.Context, key string, b io.Reader, n int64) error {
	if err := f.hook(&f.onPut, key); err != nil {
		return err
	}
	return f.Store.Put(ctx, key, b, n)
}
func (f *faulty) Add(ctx context.Context, key string, b io.Reader, n int64) error {
	if err := f.hook(&f.onPut, key); err != nil {
		return err
	}
	return f.Store.Add(ctx, key, b, n)
}
func (f *faulty) Delete(ctx context.Context, key string) error {
	if err := f.hook(&f.onDelete, key); err != nil {
		return err
	}
	return f.Store.Delete(ctx, key)
}
func (f *faulty) Create(ctx context.Context, key string) (storage.File, error) {
	if err := f.hook(&f.onCreate, key); err != nil {
		return nil, err
	}
	file, err := f.Store.Create(ctx, key)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f, key}, nil
}

type faultyFile struct {
	storage.File
	f   *faulty
	key string
}

func (w *faultyFile) Write(p []byte) (int, error) {
	if err := w.f.hook(&w.f.onWrite, w.key); err != nil {
		return 0, err
	}
	return w.File.Write(p)
}

func faultyRig(t *testing.T, change func(*Options)) (*rig, *faulty) {
	f := &faulty{}
	g := newRig(t, func(o *Options) {
		f.Store = o.Store
		o.Store = f
		if change != nil {
			change(o)
		}
	})
	return g, f
}

// fails has all that changes storage fail, or nothing.
func (f *faulty) fails(err error) {
	fn := func(string) error { return err }
	if err == nil {
		fn = nil
	}
	for _, h := range []*func(string) error{&f.onPut, &f.onCreate, &f.onWrite, &f.onDelete} {
		f.set(h, fn)
	}
}

func full(string) error { return storage.ErrFull }

// What goes wrong at the end of a recording that has been rotated ends that
// recording only, and it is sealed.
func TestRotationExitFails(t *testing.T) {
	for _, audio := range []bool{false, true} {
		g, f := faultyRig(t, func(o *Options) { o.MaxRecording = 10 * time.Second })
		src := []*load.Source{source(t, "h264_baseline.h264")}
		if audio {
			src = append(src, source(t, "opus_stereo.ogg"))
		}
		s := g.publish("camera", src...)
		first := g.start("camera", "").RecordDir
		var once atomic.Bool
		var rotated atomic.Bool
		f.set(&f.onCreate, func(key string) error {
			if strings.HasSuffix(key, infoName) && !strings.HasPrefix(key, first) {
				rotated.Store(true)
			}
			return nil
		})
		f.set(&f.onWrite, func(key string) error {
			want := "/v_seg"
			if audio {
				want = "/a_seg"
			}
			if rotated.Load() && strings.HasPrefix(key, first+want) && once.CompareAndSwap(false, true) {
				return storage.ErrFull
			}
			return nil
		})
		for range 14 {
			s.send(time.Second)
			g.caughtUp("camera")
		}
		g.stop("camera")
		if !once.Load() {
			t.Fatal("no failure was injected")
		}
		g.listed()
		info := g.catalogue.get(first)
		_, running := g.recorder.Running(first)
		if info.Status == media.StatusRecording || running {
			t.Errorf("audio=%v: the rotated recording is never sealed: status %s, running %v", audio, info.Status, running)
		}
	}
}

// What goes wrong in a new recording is no fault of the one before it.
func TestNewFailsOldSealed(t *testing.T) {
	g, f := faultyRig(t, func(o *Options) { o.MaxRecording = 10 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.tracks[1].delay = 500 * time.Millisecond
	first := g.start("camera", "").RecordDir
	f.set(&f.onCreate, func(key string) error {
		if strings.Contains(key, "_seg_") && !strings.HasPrefix(key, first) {
			return full("")
		}
		return nil
	})
	for range 12 {
		s.send(time.Second)
		g.caughtUp("camera")
	}
	g.stop("camera")
	g.listed()
	r := g.catalogue.get(first)
	if r.Status != media.StatusComplete {
		t.Errorf("the old recording ended as %s: %s", r.Status, r.Reason)
	}
}

// Start during the end of a recording begins another.
func TestStartWhileStopping(t *testing.T) {
	g, f := faultyRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(3 * time.Second)
	g.caughtUp("camera")
	hold, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.set(&f.onPut, func(key string) error {
		if strings.HasSuffix(key, manifestName) {
			once.Do(func() { close(held) })
			<-hold
		}
		return nil
	})
	done := make(chan struct{})
	go func() { defer close(done); g.stop("camera") }()
	<-held
	time.AfterFunc(300*time.Millisecond, func() { close(hold) })
	ctx, c := context.WithTimeout(context.Background(), 30*time.Second)
	defer c()
	rec, err := g.recorder.Start(ctx, "camera", "")
	<-done
	s.send(time.Second)
	t.Logf("Start: %v %s %v", rec.RecordDir, rec.Status, err)
	if err == nil && !g.recorder.Recording("camera") {
		t.Errorf("Start said %s is running; nothing is recorded", rec.RecordDir)
	}
}

// A directory that could not be claimed is free for the next try.
func TestClaimLeftover(t *testing.T) {
	g, f := faultyRig(t, nil)
	g.publish("camera", source(t, "opus_stereo.ogg"))
	f.set(&f.onWrite, full)
	_, err := g.recorder.Start(context.Background(), "camera", "archive/x")
	if fault.KindOf(err) != fault.StorageFull {
		t.Fatalf("got %v", err)
	}
	f.set(&f.onWrite, nil)
	if _, err := g.recorder.Start(context.Background(), "camera", "archive/x"); err != nil {
		t.Errorf("the disk has room again: %v", err)
	}
}

// A publisher that goes while its recording begins, without a packet, is waited
// for no longer than any other.
func TestPublisherGoesAtOnce(t *testing.T) {
	g, f := faultyRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	f.set(&f.onCreate, func(string) error { s.leave(); return nil })
	g.start("camera", "")
	g.clock.advance(g.clock.Now().Add(200 * time.Second))
	await.Until(t, "the end, 200 s after the publisher went: reconnect_seconds are 10", func() bool { return !g.recorder.Recording("camera") })
}

// A publisher of an automatic stream that comes while the last session seals is
// recorded from its first packet on, however long storage takes for the seal.
func TestAutoDuringSeal(t *testing.T) {
	g, f := faultyRig(t, func(o *Options) { o.AutoStreams = []string{"*"} })
	a := g.publish("camera", source(t, "opus_stereo.ogg"))
	a.send(3 * time.Second)
	g.caughtUp("camera")
	old := g.recorder.Status("camera").Info.RecordDir
	hold, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	g.recorder.mu.Lock()
	session := g.recorder.sessions["camera"]
	g.recorder.mu.Unlock()
	f.set(&f.onPut, func(key string) error {
		if key == old+"/"+manifestName && session.ended.Load() { // and not while it waits for the publisher
			once.Do(func() { close(held) })
			<-hold
		}
		return nil
	})
	a.leave()
	g.clock.advance(g.clock.Now().Add(11 * time.Second))
	<-held
	b := g.publish("camera", source(t, "opus_stereo.ogg"))
	b.send(5 * time.Second)
	await.Until(t, "a recording while the last one is being sealed", func() bool {
		st := g.recorder.Status("camera")
		return st.Recording && st.Info.RecordDir != old && st.Info.Duration > 0
	})
	close(hold)
	rec := g.stop("camera")
	if report := g.compare(b.log, g.read(rec.RecordDir), compare.Options{}); report.Tracks[0].First != 0 {
		t.Errorf("it begins with packet %d, want the first", report.Tracks[0].First)
	}
	await.Until(t, "the seal of the first", func() bool { return g.catalogue.get(old).Status == media.StatusComplete })
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// A stream that cannot be recorded is said once.
func TestLogFlood(t *testing.T) {
	var buf bytes.Buffer
	var mu sync.Mutex
	g := newRig(t, func(o *Options) {
		o.AutoStreams = []string{"*"}
		o.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &buf}, nil))
	})
	s := g.publish("g722", unrecordable(t))
	s.step(time.Second)
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(buf.String(), "stream is not recorded"); n > 3 {
		t.Errorf("%d log lines for one stream within a second", n)
	}
}

// A new directory that cannot be had puts the rotation off.
func TestRotationClaimFails(t *testing.T) {
	g, f := faultyRig(t, func(o *Options) { o.MaxRecording = 10 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	first := g.start("camera", "").RecordDir
	var n atomic.Int32
	f.set(&f.onCreate, func(key string) error {
		if strings.HasSuffix(key, infoName) && n.Add(1) == 1 {
			return syscall.EIO
		}
		return nil
	})
	for range 40 {
		s.send(time.Second)
	}
	g.stop("camera")
	g.listed()
	r := g.catalogue.get(first)
	frames := 0
	g.catalogue.mu.Lock()
	for _, c := range g.catalogue.last {
		frames += int(c.Tracks[0].Frames)
	}
	g.catalogue.mu.Unlock()
	t.Log(r.Status, r.Reason, r.Duration, "frames", frames, "of", len(s.log.Video.Units))
	if r.Status != media.StatusComplete {
		t.Errorf("the old recording, with nothing wrong, ended as %s: %s", r.Status, r.Reason)
	}
	if lost := len(s.log.Video.Units) - frames; lost > 60 {
		t.Errorf("%d frames lost to one failed claim", lost)
	}
}

// The live manifest on storage is a spare: that it cannot be written ends nothing.
func TestPersistFails(t *testing.T) {
	g, f := faultyRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	first := g.start("camera", "").RecordDir
	var n atomic.Int32
	f.set(&f.onPut, func(key string) error {
		if strings.HasSuffix(key, manifestName) && n.Add(1) == 1 {
			return syscall.EIO
		}
		return nil
	})
	for range 20 {
		s.send(time.Second)
		g.caughtUp("camera")
	}
	g.stop("camera")
	r := g.catalogue.get(first)
	if r.Status != media.StatusComplete {
		t.Errorf("one failed write of the live manifest: the recording ended as %s after %v s", r.Status, r.Duration)
	}
}

// A disk that stays full is tried less and less often.
func TestFullDiskLitter(t *testing.T) {
	g, f := faultyRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	g.start("camera", "")
	f.set(&f.onWrite, func(key string) error {
		if strings.Contains(key, "_seg_") {
			return storage.ErrFull
		}
		return nil
	})
	for range 120 {
		s.send(time.Second)
		g.caughtUp("camera")
	}
	g.stop("camera")
	g.catalogue.mu.Lock()
	defer g.catalogue.mu.Unlock()
	if n := len(g.catalogue.last); n > 5 {
		t.Errorf("%d recordings in the catalogue after 2 minutes of a full disk", n)
	}
}

// A write that fails while the publisher leaves spoils nothing that was written.
func TestWriteFailsInLeave(t *testing.T) {
	g, f := faultyRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.reports = false
	g.start("camera", "")
	s.send(4 * time.Second)
	g.caughtUp("camera")
	var n atomic.Int32
	f.set(&f.onWrite, func(key string) error {
		if strings.Contains(key, "a_seg") && n.Add(1) == 1 {
			return storage.ErrFull
		}
		return nil
	})
	rec := g.stop("camera")
	t.Log(rec.Status, rec.Reason)
	g.read(rec.RecordDir)
}

type closeFails struct {
	storage.File
	fail bool
}

func (c closeFails) Close() error {
	err := c.File.Close()
	if c.fail {
		err = errors.New("EIO")
	}
	return err
}

type closeStore struct{ Store }

func (c closeStore) Create(ctx context.Context, key string) (storage.File, error) {
	f, err := c.Store.Create(ctx, key)
	return closeFails{f, strings.Contains(key, "a_seg_0001")}, err
}

// Nor does a segment that cannot be closed.
func TestCloseFailsInLeave(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Store = closeStore{o.Store} })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.reports = false
	g.start("camera", "")
	s.send(4 * time.Second)
	g.caughtUp("camera")
	if rec := g.stop("camera"); rec.Status != media.StatusFailed || !strings.Contains(rec.Reason, "EIO") {
		t.Errorf("it ended as %s: %s", rec.Status, rec.Reason)
	}
}

// Close keeps its deadline when storage hangs.
func TestCloseDeadline(t *testing.T) {
	g, f := faultyRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(3 * time.Second)
	g.caughtUp("camera")
	hold := make(chan struct{})
	f.set(&f.onPut, func(string) error { <-hold; return nil })
	ctx, c := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer c()
	done := make(chan error, 1)
	go func() { done <- g.recorder.Close(ctx) }()
	select {
	case err := <-done:
		t.Log(err)
	case <-time.After(30 * time.Second):
		t.Error("Close with 200 ms is still there after 30 s")
	}
	close(hold)
}

// What is lost while nothing is recorded does not count for the next recording.
func TestLossDuringOutage(t *testing.T) {
	g, f := faultyRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	g.start("camera", "")
	s.send(4 * time.Second)
	g.caughtUp("camera")
	f.set(&f.onWrite, full)
	s.send(3 * time.Second)
	g.caughtUp("camera")
	f.set(&f.onWrite, nil)
	first := s.tracks[0].unit
	s.drop = func(_ media.Kind, unit, _ int) bool { return unit == first+10 } // while nothing is recorded
	for range 30 {
		s.send(time.Second)
		g.caughtUp("camera")
	}
	rec := g.stop("camera")
	t.Log(rec.Status, rec.Reason, rec.Duration)
	if rec.Status != media.StatusComplete {
		t.Errorf("the recording that began after the loss is %s: %s", rec.Status, rec.Reason)
	}
	if n := g.recorder.Failed(); n != 1 {
		t.Errorf("%d recordings were ended by an error, want 1", n)
	}
}

// A recording that Close did not wait for does not begin.
func TestStartOutlivesClose(t *testing.T) {
	g, f := faultyRig(t, nil)
	g.publish("camera", source(t, "opus_stereo.ogg"))
	hold, held := make(chan struct{}), make(chan struct{})
	f.set(&f.onCreate, func(string) error { close(held); <-hold; return nil })
	started := make(chan error, 1)
	go func() { _, err := g.recorder.Start(context.Background(), "camera", ""); started <- err }()
	<-held
	ctx, c := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer c()
	t.Log("Close:", g.recorder.Close(ctx))
	var late atomic.Int32
	f.set(&f.onPut, func(string) error { late.Add(1); return nil })
	close(hold)
	err := <-started
	time.Sleep(300 * time.Millisecond)
	if err == nil || late.Load() > 0 {
		t.Errorf("after Close: Start says %v, %d objects were stored", err, late.Load())
	}
}

// deadCatalogue answers when it is released, or not in time.
type deadCatalogue chan struct{}

func (c deadCatalogue) Put(ctx context.Context, _ media.Recording) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A catalogue that does not answer holds nothing up.
func TestDeadCatalogue(t *testing.T) {
	released := make(deadCatalogue)
	g := newRig(t, func(o *Options) { o.Catalogue = released })
	t.Cleanup(func() { close(released) })
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	began := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); g.start("camera", "") }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("Start waits for the catalogue")
	}
	<-done
	t.Log("Start took", time.Since(began))
	s.send(time.Second)
}

// pickyCatalogue refuses the recordings of the stream bad.
type pickyCatalogue struct {
	Catalogue
	refuses atomic.Bool
}

func (c *pickyCatalogue) Put(ctx context.Context, r media.Recording) error {
	if r.Stream == "bad" && c.refuses.Load() {
		return errors.New("refused")
	}
	return c.Catalogue.Put(ctx, r)
}

// A recording that the catalogue refuses holds up the reports of no other, and
// a session that never had a recording reports nothing.
func TestRefusedReportHoldsUpNoOther(t *testing.T) {
	picky := &pickyCatalogue{}
	picky.refuses.Store(true)
	g := newRig(t, func(o *Options) {
		o.AutoStreams = []string{"g722"}
		picky.Catalogue, o.Catalogue = o.Catalogue, picky
	})
	nothing := g.publish("g722", unrecordable(t))
	nothing.send(time.Second)
	nothing.leave()
	g.clock.advance(g.clock.Now().Add(11 * time.Second))
	await.Until(t, "the end of the session without a recording", func() bool {
		g.recorder.mu.Lock()
		defer g.recorder.mu.Unlock()
		return g.recorder.sessions["g722"] == nil
	})
	bad, good := g.publish("bad", source(t, "opus_stereo.ogg")), g.publish("good", source(t, "opus_stereo.ogg"))
	g.start("bad", "")
	dir := g.start("good", "").RecordDir
	bad.send(3 * time.Second)
	good.send(3 * time.Second)
	g.stop("bad")
	g.stop("good")
	if got := g.catalogue.get(dir); got.Status != media.StatusComplete {
		t.Errorf("the catalogue has %q of the other recording", got.Status)
	}
	picky.refuses.Store(false) // the end waits for all
}

// TestSealedOnce: the sealer leaves a recording alone whose session is storing the
// seal, however slow storage is about it.
func TestSealedOnce(t *testing.T) {
	g, f := faultyRig(t, func(o *Options) { withJournals(t, t.TempDir(), o) })
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	dir := g.start("camera", "").RecordDir
	s.send(3 * time.Second)
	g.caughtUp("camera")
	g.recorder.mu.Lock()
	rec := g.recorder.active[dir]
	g.recorder.mu.Unlock()
	var seals atomic.Int64
	begun, goOn := make(chan struct{}), make(chan struct{})
	f.set(&f.onPut, func(key string) error {
		if path.Base(key) == media.InfoName && rec.Unsealed() && seals.Add(1) == 1 {
			close(begun)
			<-goOn
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() {
		_, _, err := g.recorder.Stop(t.Context(), "camera")
		ended <- err
	}()
	<-begun
	rested := make(chan error, 1)
	go func() { rested <- g.recorder.sealRest(t.Context()) }()
	var err error
	select {
	case err = <-rested:
		t.Error("the sealer was done before the session")
	case <-time.After(100 * time.Millisecond): // in which it would have been
		defer func() {
			if err := <-rested; err != nil {
				t.Error(err)
			}
		}()
	}
	close(goOn)
	if err = errors.Join(err, <-ended); err != nil {
		t.Error(err)
	}
	if n := seals.Load(); n != 1 {
		t.Errorf("%s was stored %d times", media.InfoName, n)
	}
}
