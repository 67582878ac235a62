package recorder

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
)

// TestCatalogueHearsAfterCrash: a recording ends while the catalogue is away, and the
// node dies before that is back. The next start tells it, or it would take the
// recording for a running one for ever.
func TestCatalogueHearsAfterCrash(t *testing.T) {
	picky := &pickyCatalogue{}
	g := newRig(t, func(o *Options) { picky.Catalogue, o.Catalogue = o.Catalogue, picky })
	withJournals(t, g.root, &g.recorder.o)
	s := g.publish("bad", source(t, "opus_stereo.ogg"))
	dir := g.start("bad", "").RecordDir
	s.send(3 * time.Second)
	picky.refuses.Store(true)
	ended := g.stop("bad")
	if stored := g.info(dir); stored.Status != media.StatusComplete {
		t.Fatalf("the storage has %q", stored.Status)
	}

	next := after(t, image{dir: g.root}, g.clock.Now().Add(time.Hour), time.Second)
	if err := next.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.mended(image{}, nil, math.MaxInt)
	if got := next.catalogue.get(dir); got.Status != ended.Status || got.Duration != ended.Duration || got.End == nil || got.Recovered != 0 {
		t.Errorf("the next start tells the catalogue %+v, want %+v", got, ended)
	}

	picky.refuses.Store(false)
	g.recorder.reporter.flush(t.Context())
	for _, r := range []*rig{g, next} {
		if left, err := filepath.Glob(filepath.Join(r.root, journalFolder, "*")); err != nil || len(left) > 0 {
			t.Errorf("journals when the catalogue knows: %v, %v", left, err)
		}
	}
}

// endedUnheard returns a rig whose recording, in dir, has ended, of which its catalogue
// refuses to hear: it knows of the beginning.
func endedUnheard(t *testing.T) (g *rig, picky *pickyCatalogue, dir string) {
	t.Helper()
	picky = &pickyCatalogue{}
	g = newRig(t, func(o *Options) { picky.Catalogue, o.Catalogue = o.Catalogue, picky })
	s := g.publish("bad", source(t, "opus_stereo.ogg"))
	dir = g.start("bad", "").RecordDir
	s.send(3 * time.Second)
	g.caughtUp("bad")
	await.Until(t, "the catalogue hears of the beginning", g.recorder.reporter.idle)
	picky.refuses.Store(true)
	g.stop("bad")
	return g, picky, dir
}

// TestForgottenIsNotReported: what waits for the catalogue, or is on the way to it,
// when a recording is deleted does not put it into lists again.
func TestForgottenIsNotReported(t *testing.T) {
	g, picky, dir := endedUnheard(t)
	g.recorder.Forget(dir)
	picky.refuses.Store(false)
	g.recorder.reporter.flush(t.Context())
	if got := g.catalogue.get(dir); got.Status != media.StatusRecording {
		t.Errorf("the catalogue was told of what had been deleted: %s", got.Status)
	}
}

// TestForgetWaitsForReport: a report that is on the way to the catalogue comes
// before the deletion.
func TestForgetWaitsForReport(t *testing.T) {
	c := &slowCatalogue{begun: make(chan struct{}), goOn: make(chan struct{})}
	p := newReporter(&Recorder{o: Options{Catalogue: c}})
	p.add(media.Recording{RecordDir: "a/1"})
	go p.flush(t.Context())
	<-c.begun
	forgotten := make(chan struct{})
	go func() {
		p.forget("a/1")
		close(forgotten)
	}()
	select {
	case <-forgotten:
		t.Error("it did not wait")
	case <-time.After(100 * time.Millisecond): // in which it would have been done
	}
	close(c.goOn)
	<-forgotten
}

// slowCatalogue takes a recording when the test says so.
type slowCatalogue struct{ begun, goOn chan struct{} }

func (c *slowCatalogue) Put(context.Context, media.Recording) error {
	close(c.begun)
	<-c.goOn
	return nil
}

// TestCatalogueAway: a catalogue that is away is not asked once more for each of the
// recordings that wait, nor whenever one of them has something new.
func TestCatalogueAway(t *testing.T) {
	for _, away := range []error{
		fault.New(fault.Unavailable, "connection refused"), fault.New(fault.StorageFull, "no space left"), context.DeadlineExceeded,
	} {
		c := &countingCatalogue{err: away, asked: make(chan string, 100)}
		p := newReporter(&Recorder{o: Options{Catalogue: c}, log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		p.add(media.Recording{RecordDir: "a/1"})
		p.add(media.Recording{RecordDir: "b/1"})
		var run sync.WaitGroup
		run.Go(func() { p.run(ctx) })
		if dir := <-c.asked; dir != "a/1" {
			t.Errorf("%v: it is told of %s first", away, dir)
		}
		p.add(media.Recording{RecordDir: "c/1"})
		select {
		case dir := <-c.asked:
			t.Errorf("%v: it is told of %s, too", away, dir)
		case <-time.After(100 * time.Millisecond): // in which it would have been
		}
		cancel()
		run.Wait()
	}
}

// countingCatalogue takes nothing.
type countingCatalogue struct {
	err   error
	asked chan string
}

func (c *countingCatalogue) Put(_ context.Context, r media.Recording) error {
	c.asked <- r.RecordDir
	return c.err
}

// TestSeal: whoever wants to delete a recording that has ended waits for its seal,
// and is told what storage says where it does not take that.
func TestSeal(t *testing.T) {
	g, f := faultyRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	dir := g.start("camera", "").RecordDir
	s.send(3 * time.Second)
	g.caughtUp("camera")
	f.set(&f.onPut, func(key string) error {
		if path.Base(key) == media.InfoName {
			return fault.New(fault.Unavailable, "the disk is full")
		}
		return nil
	})
	if _, _, err := g.recorder.Stop(t.Context(), "camera"); err == nil {
		t.Error("Stop: no error")
	}
	if rec, ok := g.recorder.Running(dir); !ok || rec.Status != media.StatusComplete {
		t.Errorf("before the seal: %v, %s", ok, rec.Status)
	}
	if err := g.recorder.Seal(dir); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Seal while storage refuses: %v", err)
	}
	f.set(&f.onPut, nil)
	if err := g.recorder.Seal(dir); err != nil {
		t.Errorf("Seal: %v", err)
	}
	if g.recorder.activeIn(dir) != nil {
		t.Error("it is not sealed")
	}
	if err := errors.Join(g.recorder.Seal(dir), g.recorder.Seal("nothing/here")); err != nil {
		t.Errorf("Seal of what is sealed, and of nothing: %v", err)
	}
}

// TestEndBeforeTheCatalogue: of a recording that has ended the recorder tells until
// the catalogue does, and whoever wants to delete it waits for that.
func TestEndBeforeTheCatalogue(t *testing.T) {
	g, picky, dir := endedUnheard(t)
	if rec, ok := g.recorder.Running(dir); !ok || rec.Status != media.StatusComplete {
		t.Errorf("before the catalogue knows: %v, %q", ok, rec.Status)
	}
	sealed := make(chan error)
	go func() { sealed <- g.recorder.Seal(dir) }()
	select {
	case err := <-sealed:
		t.Errorf("Seal did not wait for the catalogue: %v", err)
	case <-time.After(100 * time.Millisecond): // in which it would have been done
		defer func() {
			if err := <-sealed; err != nil {
				t.Errorf("Seal: %v", err)
			}
			if got := g.catalogue.get(dir); got.Status != media.StatusComplete {
				t.Errorf("the catalogue has %q", got.Status)
			}
		}()
	}
	picky.refuses.Store(false)
	g.recorder.reporter.flush(t.Context())
	if _, ok := g.recorder.Running(dir); ok {
		t.Error("it is told of when the catalogue knows")
	}
}

// TestProtectWhileSealing: protection that comes while the seal is being stored is in
// recording.json, whatever is under way.
func TestProtectWhileSealing(t *testing.T) {
	var behind atomic.Bool
	behind.Store(true)
	g, f := faultyRig(t, func(o *Options) { o.Store = lagging{o.Store, &behind} })
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	dir := g.start("camera", "").RecordDir
	s.send(3 * time.Second)
	g.caughtUp("camera")
	rec := g.recorder.activeIn(dir)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.set(&f.onPut, func(key string) error {
		if path.Base(key) == media.InfoName && rec.Unsealed() {
			once.Do(func() { close(begun); <-goOn })
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() {
		_, _, err := g.recorder.Stop(t.Context(), "camera")
		ended <- err
	}()
	<-begun
	protected := make(chan error, 1)
	go func() {
		_, ok, err := g.recorder.Protect(dir, true)
		if !ok {
			t.Error("it is not here")
		}
		protected <- err
	}()
	time.AfterFunc(100*time.Millisecond, func() { close(goOn) }) // it has gone as far as it can
	if err := errors.Join(<-ended, <-protected); err != nil {
		t.Fatal(err)
	}
	behind.Store(false)
	if err := g.recorder.sealRest(t.Context()); err != nil {
		t.Error(err)
	}
	g.listed()
	if stored, listed := g.info(dir), g.catalogue.get(dir); !stored.Protected || !listed.Protected {
		t.Errorf("protected: %v in recording.json, %v in the catalogue", stored.Protected, listed.Protected)
	}
}
