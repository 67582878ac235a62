package retention_test

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/retention"
	"github.com/live777/recorder/internal/media"
)

// waiting is a list of deletions in memory.
type waiting struct {
	mu   sync.Mutex
	all  map[string]media.Deletion
	held map[string]time.Time
	away bool
}

func newWaiting() *waiting {
	return &waiting{all: map[string]media.Deletion{}, held: map[string]time.Time{}}
}

// due is when there is something to do about a deletion.
func (w *waiting) due(d media.Deletion) time.Time {
	if until, ok := w.held[d.RecordDir]; ok {
		return until
	}
	return d.At
}

// use is the beginning of each method.
func (w *waiting) use() (unlock func(), err error) {
	w.mu.Lock()
	if w.away {
		err = fault.New(fault.Unavailable, "the database is away")
	}
	return w.mu.Unlock, err
}

func (w *waiting) AddDeletion(_ context.Context, dir, stream string, grace time.Duration, most int) (media.Deletion, bool, error) {
	unlock, err := w.use()
	defer unlock()
	if d, ok := w.all[dir]; ok || err != nil || len(w.all) >= most {
		return d, ok, err
	}
	w.all[dir] = media.Deletion{RecordDir: dir, Stream: stream, At: time.Now().Add(grace).UTC()}
	return w.all[dir], true, nil
}

func (w *waiting) DropDeletion(_ context.Context, dir string) (bool, error) {
	unlock, err := w.use()
	defer unlock()
	_, ok := w.all[dir]
	if _, begun := w.held[dir]; !ok || begun || err != nil {
		return false, err
	}
	delete(w.all, dir)
	return true, nil
}

func (w *waiting) Deletions(context.Context) ([]media.Deletion, error) {
	unlock, err := w.use()
	defer unlock()
	list := slices.SortedFunc(maps.Values(w.all), func(x, y media.Deletion) int { return x.At.Compare(y.At) })
	return slices.DeleteFunc(list, func(d media.Deletion) bool { return !w.held[d.RecordDir].IsZero() }), err
}

func (w *waiting) first() (first media.Deletion, ok bool) {
	for _, d := range w.all {
		if !ok || cmp.Or(w.due(d).Compare(w.due(first)), cmp.Compare(d.RecordDir, first.RecordDir)) < 0 {
			first, ok = d, true
		}
	}
	return first, ok
}

func (w *waiting) NextDeletion(context.Context) (time.Duration, bool, error) {
	unlock, err := w.use()
	defer unlock()
	d, ok := w.first()
	return time.Until(w.due(d)), ok, err
}

func (w *waiting) TakeDeletion(_ context.Context, hold time.Duration) (media.Deletion, bool, error) {
	unlock, err := w.use()
	defer unlock()
	d, ok := w.first()
	if !ok || err != nil || w.due(d).After(time.Now()) {
		return d, false, err
	}
	w.held[d.RecordDir] = time.Now().Add(hold)
	return d, true, nil
}

func (w *waiting) EndDeletion(_ context.Context, dir string, again time.Duration) error {
	unlock, err := w.use()
	defer unlock()
	if err != nil {
		return err
	}
	delete(w.held, dir)
	d := w.all[dir]
	d.At = time.Now().Add(again).UTC()
	if w.all[dir] = d; again <= 0 {
		delete(w.all, dir)
	}
	return nil
}

// shelf is recordings that bins of several processes delete.
type shelf struct {
	mu      sync.Mutex
	have    map[string]media.Recording
	deleted []string
	fails   map[string]error
}

func newShelf() *shelf {
	return &shelf{fails: map[string]error{}, have: map[string]media.Recording{
		"cam/1": {Stream: "cam", Status: media.StatusComplete}, "cam/2": {Stream: "cam", Status: media.StatusComplete},
		"cam/3": {Stream: "cam", Status: media.StatusComplete, Protected: true}, "cam/4": {Stream: "cam", Status: media.StatusRecording},
	}}
}

func (s *shelf) recording(_ context.Context, dir string) (media.Recording, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.have[dir]
	if !ok {
		return rec, fault.New(fault.NotFound, "there is none")
	}
	return rec, nil
}

func (s *shelf) delete(_ context.Context, dir string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fails[dir]; err != nil {
		return false, err
	}
	if _, ok := s.have[dir]; !ok {
		return false, fault.New(fault.NotFound, "there is none")
	}
	s.deleted = append(s.deleted, dir)
	delete(s.have, dir)
	return true, nil
}

func (s *shelf) fail(dir string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[dir] = err
}

// startBin runs a Bin until stop.
func startBin(t *testing.T, list *waiting, s *shelf, del func(context.Context, string) (bool, error)) (bin *retention.Bin, stop func()) {
	t.Helper()
	bin, err := retention.NewBin(retention.BinOptions{List: list, Recording: s.recording, Delete: del, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); bin.Run(ctx) }()
	return bin, func() { cancel(); <-ended }
}

// wantWaiting wants these deletions to wait.
func wantWaiting(t *testing.T, bin *retention.Bin, want ...string) {
	t.Helper()
	list, err := bin.Deletions(t.Context())
	got := make([]string, len(list))
	for i, d := range list {
		got[i] = d.RecordDir
	}
	if err != nil || !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("%q wait, %v; want %q", got, err, want)
	}
}

// TestBin deletes recordings after a while, but for what was taken back.
func TestBin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, list := newShelf(), newWaiting()
		bin, stop := startBin(t, list, s, s.delete)
		defer stop()
		ctx, begin := t.Context(), time.Now()
		for dir, want := range map[string]fault.Kind{"cam/3": fault.Conflict, "cam/4": fault.Conflict, "cam/5": fault.NotFound} {
			if _, err := bin.DeleteLater(ctx, dir, 10*time.Second); fault.KindOf(err) != want {
				t.Errorf("%s: %v", dir, err)
			}
		}
		if _, err := bin.Undelete(ctx, "cam/1"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("taken back what nobody has asked for: %v", err)
		}
		for i, dir := range []string{"cam/2", "cam/1", "cam/1"} {
			grace := time.Duration(10+min(i, 1)) * time.Second
			w, err := bin.DeleteLater(ctx, dir, grace+time.Duration(i/2)*time.Hour)
			if err != nil || !w.At.Equal(begin.Add(grace)) {
				t.Errorf("%s: %v, %v", dir, w, err)
			}
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		wantWaiting(t, bin, "cam/2", "cam/1")
		if len(s.deleted) > 0 {
			t.Errorf("after 9 s %q are deleted", s.deleted)
		}
		if rec, err := bin.Undelete(ctx, "cam/2"); err != nil || rec.Stream != "cam" {
			t.Errorf("take it back: %v, %v", rec, err)
		}
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		wantWaiting(t, bin)
		if !slices.Equal(s.deleted, []string{"cam/1"}) {
			t.Errorf("deleted are %q", s.deleted)
		}
		for i := range retention.MaxWaiting {
			list.all[time.Duration(i).String()] = media.Deletion{At: time.Now().Add(time.Hour)}
		}
		if _, err := bin.DeleteLater(ctx, "cam/2", time.Second); fault.KindOf(err) != fault.TooMany {
			t.Errorf("one too many: %v", err)
		}
	})
}

// TestBinOfAnother: of two processes with one list either takes back what the other was asked
// for, and one of them deletes. What one began when it died the other ends.
func TestBinOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, list := newShelf(), newWaiting()
		hangs := func(ctx context.Context, _ string) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		}
		a, kill := startBin(t, list, s, hangs)
		b, err := retention.NewBin(retention.BinOptions{List: list, Recording: s.recording, Delete: s.delete, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		later := func(dir string) {
			t.Helper()
			if _, err := a.DeleteLater(ctx, dir, 10*time.Second); err != nil {
				t.Error(err)
			}
		}
		later("cam/1")
		later("cam/2")
		if _, err := b.Undelete(ctx, "cam/2"); err != nil {
			t.Error(err)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		wantWaiting(t, b) // it has begun
		if _, err := b.Undelete(ctx, "cam/1"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("taken back what has begun: %v", err)
		}
		kill()
		later("cam/2")
		var stops []func()
		for range 2 {
			_, stop := startBin(t, list, s, s.delete)
			stops = append(stops, stop)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		slices.Sort(s.deleted)
		if !slices.Equal(s.deleted, []string{"cam/1", "cam/2"}) || len(list.all) > 0 {
			t.Errorf("deleted are %q, and of the list is left: %v", s.deleted, list.all)
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// TestBinTriesAgain: what is away now is deleted when it is back, and what is refused is not.
func TestBinTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, list := newShelf(), newWaiting()
		s.fail("cam/1", fault.New(fault.Unavailable, "the node is down"))
		s.fail("cam/2", fault.New(fault.Conflict, "it is protected now"))
		bin, stop := startBin(t, list, s, s.delete)
		defer stop()
		for _, dir := range []string{"cam/1", "cam/2"} {
			if _, err := bin.DeleteLater(t.Context(), dir, time.Second); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantWaiting(t, bin, "cam/1")
		list.mu.Lock()
		list.away = true
		list.mu.Unlock()
		s.fail("cam/1", nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		list.mu.Lock()
		list.away = false
		list.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantWaiting(t, bin)
		if !slices.Equal(s.deleted, []string{"cam/1"}) {
			t.Errorf("deleted are %q", s.deleted)
		}
	})
}
