package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// TestFull: a spool that is full says so, before and then; what is there can be
// sealed, nothing is deleted, and it goes on when there is room.
func TestFull(t *testing.T) {
	remote, log := newMemRemote(), &logBuffer{}
	s := openSpool(t, Options{Remote: remote, MaxBytes: 1000, Logger: log.logger()})
	write(t, s, "d/recording.json", "{}")
	write(t, s, "d/seg1", strings.Repeat("1", 490))
	if n := log.count("the spool fills"); n != 0 {
		t.Errorf("%d warnings at 49 %%", n)
	}
	for i, level := range []int{500, 800, 950} {
		write(t, s, fmt.Sprint("d/level", i), strings.Repeat("x", level-int(s.Status().UsedBytes)))
		if n := log.count("the spool fills"); n != i+1 {
			t.Errorf("%d warnings at %d bytes", n, level)
		}
	}
	_, err := s.Create(t.Context(), "e/recording.json")
	wantFull(t, "a new recording", err)
	f := begin(t, s, "d/last", strings.Repeat("x", 40))
	_, err = f.Write(make([]byte, 11))
	wantFull(t, "a write", err)
	if _, err := f.Write(make([]byte, 10)); err != nil {
		t.Errorf("a write that fits: %v", err)
	}
	_, err = s.Create(t.Context(), "d/next")
	wantFull(t, "a new segment", err)
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	put(t, s, "d/manifest.mpd", "<MPD/>")
	put(t, s, "d/recording.json", "{ended}")
	if st := s.Status(); st.UsedBytes != 1000 || st.MaxBytes != 1000 {
		t.Errorf("Status = %+v", st)
	}
	s.Start()
	settled(t, s)
	wantRemote(t, remote, "d/last", strings.Repeat("x", 40)+string(make([]byte, 10)))
	write(t, s, "e/recording.json", "{}")
	write(t, s, "e/seg1", strings.Repeat("1", 600))
	if n := log.count("the spool fills"); n != 4 {
		t.Errorf("%d warnings after it has been empty", n)
	}
}

func wantFull(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, storage.ErrFull) || fault.KindOf(err) != fault.StorageFull || !strings.Contains(err.Error(), "recorder.spool.max_bytes") {
		t.Errorf("%s in a full spool: error %v, want ErrFull and the option", what, err)
	}
}

// TestFailedWrite: the bytes of a write that fails are not counted.
func TestFailedWrite(t *testing.T) {
	s := openSpool(t, Options{Remote: newMemRemote(), MaxBytes: 100})
	f := begin(t, s, "d/seg", "1234")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("5678")); err == nil {
		t.Error("a write after Close: no error")
	}
	if st := s.Status(); st.UsedBytes != 4 {
		t.Errorf("%d bytes are counted, want 4", st.UsedBytes)
	}
}

// TestFairness: a recording with much to upload does not make another wait.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := newMemRemote()
		s := openReal(t, Options{Remote: remote, Uploads: 2, Logger: (&logBuffer{}).logger()})
		defer closeSpool(t, s)
		for i := range 20 {
			write(t, s, fmt.Sprintf("big/seg%02d", i), "x")
		}
		for i := range 3 {
			write(t, s, fmt.Sprintf("small/seg%02d", i), "x")
		}
		remote.before = func(context.Context, string, io.Reader) error { time.Sleep(5 * time.Millisecond); return nil }
		s.Start()
		settled(t, s)
		order := remote.order()
		if at := slices.Index(order, "small/seg02"); at > 8 {
			t.Errorf("the small recording had to wait for %d uploads: %q", at, order)
		}
		big := slices.DeleteFunc(order, func(key string) bool { return strings.HasPrefix(key, "small") })
		if len(big) != 20 || slices.Index(big, "big/seg00") > 1 || slices.Index(big, "big/seg19") < 18 {
			t.Errorf("not oldest first: %q", big)
		}
	})
}

// TestRestart: what a process left is uploaded by the next: torn objects after they
// have been repaired, in the order of writing.
func TestRestart(t *testing.T) {
	remote, dir := newMemRemote(), t.TempDir()
	s := openSpool(t, Options{Dir: dir, Remote: remote})
	write(t, s, "d/recording.json", "{}")
	write(t, s, "d/seg2", "second by name, first by time")
	write(t, s, "d/seg1", "first by name")
	put(t, s, "d/manifest.mpd", "<MPD/>")
	begin(t, s, "d/seg3", "whole chunk;torn")
	begin(t, s, "d/seg4", "torn")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, objectsName, "d", "seg2"), old, old); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)

	s = openSpool(t, Options{Dir: dir, Remote: remote, Uploads: 1})
	if st := s.Status(); st.WaitingObjects != 6 || st.OldestWaiting < 59*time.Minute || st.UsedBytes == 0 {
		t.Errorf("Status = %+v", st)
	}
	if err := s.Repair(t.Context(), "d/seg3", 12); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "d/seg4"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "d/manifest.mpd", "sealed")
	put(t, s, "d/recording.json", "sealed")
	s.Start()
	settled(t, s)
	want := []string{"d/recording.json", "d/seg2", "d/seg1", "d/seg3", "d/manifest.mpd"}
	if got := remote.order(); !slices.Equal(got, want) {
		t.Errorf("uploaded %q, want %q", got, want)
	}
	wantRemote(t, remote, "d/seg3", "whole chunk;")
	wantRemote(t, remote, "d/manifest.mpd", "sealed")
	wantRemote(t, remote, "d/recording.json", "sealed")
	if err := s.Repair(t.Context(), "d/seg3", 12); err != nil {
		t.Errorf("Repair of what is remote: %v", err)
	}
	if err := s.Repair(t.Context(), "d/seg3", 11); fault.KindOf(err) != fault.Conflict {
		t.Errorf("Repair of what is remote to another size: %v", err)
	}
	if err := s.Repair(t.Context(), "d/seg4", 1); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Repair of nothing: %v", err)
	}
	f := begin(t, s, "d/seg5", "open")
	if err := s.Repair(t.Context(), "d/seg5", 1); fault.KindOf(err) != fault.Conflict {
		t.Errorf("Repair of an open object: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestScanTime: thousands of objects are found in a moment.
func TestScanTime(t *testing.T) {
	dir := t.TempDir()
	for i := range 5000 {
		name := filepath.Join(dir, objectsName, fmt.Sprintf("cam%d/1762842203/v_seg_%04d.m4s", i%50, i/50))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	s := openSpool(t, Options{Dir: dir, Remote: newMemRemote()})
	if took := time.Since(start); took > 20*time.Second { // a hundredth of that on an idle machine
		t.Errorf("New took %v", took)
	}
	if st := s.Status(); st.WaitingObjects != 5000 {
		t.Errorf("Status = %+v", st)
	}
}

// TestDeleteUnsent: an upload that the remote cannot have whole is broken off.
func TestDeleteUnsent(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote})
	begun := make(chan struct{})
	remote.before = func(ctx context.Context, _ string, body io.Reader) error {
		_, _ = io.ReadFull(body, make([]byte, 3))
		close(begun)
		<-ctx.Done() // and if not, the test hangs
		_, err := io.ReadAll(body)
		return err
	}
	s.Start()
	put(t, s, "d/seg", "content")
	<-begun
	if err := s.Delete(t.Context(), "d/seg"); err != nil {
		t.Fatal(err)
	}
	if keys := remote.keys(); len(keys) != 0 || s.Pending("d/seg") {
		t.Errorf("after Delete: %q", keys)
	}
}

// TestDeleteSent: an upload that the remote may have whole is awaited, so that the
// object does not come back.
func TestDeleteSent(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote})
	stored, answer := make(chan struct{}), make(chan struct{})
	remote.after = func(ctx context.Context, _ string) error {
		close(stored)
		<-answer
		if ctx.Err() != nil {
			t.Error("the upload was broken off")
		}
		return nil
	}
	s.Start()
	put(t, s, "d/seg", "content")
	<-stored
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Delete(impatient, "d/seg"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Delete that cannot wait: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, func() { close(answer) })
	if err := s.Delete(t.Context(), "d/seg"); err != nil {
		t.Fatal(err)
	}
	if keys := remote.keys(); len(keys) != 0 || s.Pending("d/seg") {
		t.Errorf("after Delete: %q", keys)
	}
}

// unanswered takes all of an upload and says nothing.
func unanswered(ctx context.Context, _ string, body io.Reader) error {
	_, _ = io.ReadAll(body)
	<-ctx.Done()
	return ctx.Err()
}

// TestDeleteLate: an upload that was given up, and is carried out after Delete, does
// not bring the object back; one that was written anew stays.
func TestDeleteLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := newMemRemote()
		s := openReal(t, Options{Remote: remote, Logger: (&logBuffer{}).logger()})
		defer closeSpool(t, s)
		remote.before = unanswered
		s.Start()
		put(t, s, "d/1", "content")
		put(t, s, "d/2", "content")
		time.Sleep(s.tune.stall + time.Millisecond)
		synctest.Wait()
		remote.set(func() { remote.before = func(context.Context, string, io.Reader) error { return errDown } })
		for _, key := range []string{"d/1", "d/2"} {
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		remote.set(func() { remote.objects["d/1"] = memObject{data: []byte("content")} })
		remote.down(nil)
		put(t, s, "d/2", "new")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := remote.keys(); !slices.Equal(got, []string{"d/2"}) {
			t.Errorf("remote has %q", got)
		}
		wantRemote(t, remote, "d/2", "new")
	})
}

// TestDeleteInOutage: what never left this machine is deleted without the remote,
// the rest is not said to be.
func TestDeleteInOutage(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote})
	write(t, s, "d/recording.json", "{}")
	remote.down(errDown)
	write(t, s, "d/seg", "x")
	f := begin(t, s, "d/open", "x")
	for _, key := range []string{"d/seg", "d/open"} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete(%s): %v", key, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Errorf("Close after Delete: %v", err)
	}
	if s.Pending("d/open") || s.Status().UsedBytes != 0 {
		t.Errorf("left: %+v", s.Status())
	}
	put(t, s, "d/manifest.mpd", "x")
	if err := s.Delete(t.Context(), "d/manifest.mpd"); !errors.Is(err, errDown) {
		t.Errorf("Delete of what may be remote: %v", err)
	}
	for name, call := range map[string]func() error{
		"Get":  func() error { _, err := read(t.Context(), s, "e/seg"); return err },
		"Stat": func() error { _, err := s.Stat(t.Context(), "e/seg"); return err },
		"List": func() error {
			for _, err := range s.List(t.Context(), "") {
				return err
			}
			return nil
		},
	} {
		if err := call(); !errors.Is(err, errDown) {
			t.Errorf("%s of what may be remote: error %v", name, err)
		}
	}
}

// TestNoWindow: while objects move to the remote they can be read and are listed,
// each once.
func TestNoWindow(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote, Uploads: 4})
	s.Start()
	var written atomic.Int64
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				n := written.Load()
				for i := max(0, n-20); i < n; i++ {
					key := fmt.Sprintf("d/seg%04d", i)
					if got, err := read(t.Context(), s, key); err != nil || got != "content of "+key {
						t.Errorf("Get(%s) = %q, %v", key, got, err)
					}
					if _, err := s.Stat(t.Context(), key); err != nil {
						t.Errorf("Stat(%s): %v", key, err)
					}
				}
				var last string
				var listed int64
				for o, err := range s.List(t.Context(), "d") {
					if err != nil || o.Key <= last {
						t.Errorf("List: %q after %q, %v", o.Key, last, err)
						return
					}
					last = o.Key
					listed++
				}
				if listed < n {
					t.Errorf("%d objects are listed of %d", listed, n)
				}
			}
		})
	}
	for i := range 500 {
		key := fmt.Sprintf("d/seg%04d", i)
		put(t, s, key, "content of "+key)
		written.Store(int64(i + 1))
	}
	close(done)
	readers.Wait()
	settled(t, s)
	// What was opened here is read to its end.
	remote.down(errDown)
	put(t, s, "d/slow", "content")
	r, err := s.Get(t.Context(), "d/slow", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	remote.down(nil)
	settled(t, s)
	if data, err := io.ReadAll(r); err != nil || string(data) != "content" || r.Close() != nil {
		t.Errorf("what was opened before it was uploaded: %q, %v", data, err)
	}
}

// TestClose: uploads under way may end until the context does.
func TestClose(t *testing.T) {
	for _, patient := range []bool{true, false} {
		dir, remote := t.TempDir(), newMemRemote()
		s := openSpool(t, Options{Dir: dir, Remote: remote, Uploads: 1})
		begun := make(chan struct{})
		remote.before = func(ctx context.Context, key string, _ io.Reader) error {
			if key != "d/1" {
				t.Errorf("%s is uploaded after Close", key)
			}
			close(begun)
			if patient {
				<-s.run.stop // Close has begun
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		put(t, s, "d/1", "x")
		put(t, s, "d/2", "x")
		s.Start()
		<-begun
		ctx, cancel := context.WithCancel(t.Context())
		if !patient {
			cancel()
		}
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if _, uploaded := remote.content("d/1"); uploaded != patient {
			t.Errorf("patient %t: uploaded %t", patient, uploaded)
		}
		remote.down(nil)
		s = openSpool(t, Options{Dir: dir, Remote: remote})
		s.Start()
		settled(t, s)
		wantRemote(t, remote, "d/1", "x")
		wantRemote(t, remote, "d/2", "x")
	}
}

// Of two nodes that begin a recording in one folder in the same moment, one learns
// at once that it is the other's, and deleting its claim leaves that alone.
func TestClaimed(t *testing.T) {
	remote := newMemRemote()
	first := openSpool(t, Options{Remote: remote})
	second := openSpool(t, Options{Remote: remote})
	first.tune.ask, second.tune.ask = time.Minute, time.Minute // the answer comes
	const key = "camera/1/recording.json"
	f, g := begin(t, first, key, "the first"), begin(t, second, key, "the second")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	first.Start()
	if err := first.Claimed(t.Context(), key); err != nil {
		t.Errorf("of who was first: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	second.Start()
	if err := second.Claimed(t.Context(), key); !errors.Is(err, os.ErrExist) {
		t.Errorf("of who was second: %v", err)
	}
	if err := second.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
	wantRemote(t, remote, key, "the first")

	remote.down(errDown)
	if err := second.Claimed(t.Context(), key); err != nil {
		t.Errorf("of what is not here: %v", err)
	}
	third := openSpool(t, Options{Remote: remote})
	third.Start()
	write(t, third, "camera/2/recording.json", "third")
	if err := third.Claimed(t.Context(), "camera/2/recording.json"); err != nil {
		t.Errorf("in an outage: %v", err)
	}
}

// An object that is deleted while its upload has been sent and not answered does not
// come back when that is carried out after all.
func TestDeleteUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := newMemRemote()
		s := openReal(t, Options{Remote: remote, Logger: (&logBuffer{}).logger()})
		defer closeSpool(t, s)
		remote.before = unanswered
		s.Start()
		put(t, s, "d/1", "content")
		time.Sleep(time.Second)
		if err := s.Delete(t.Context(), "d/1"); err != nil {
			t.Fatal(err)
		}
		remote.set(func() { remote.objects["d/1"] = memObject{data: []byte("content")} })
		remote.down(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := remote.keys(); len(got) != 0 {
			t.Errorf("what was deleted is back: %q", got)
		}
	})
}

// What is held back is not uploaded.
func TestHold(t *testing.T) {
	remote, dir := newMemRemote(), t.TempDir()
	s := openSpool(t, Options{Dir: dir, Remote: remote})
	write(t, s, "held/v_seg_0001.m4s", "torn")
	write(t, s, "other/v_seg_0001.m4s", "whole")
	s.Hold("held")
	s.Start()
	for remote.keys() == nil {
		time.Sleep(time.Millisecond)
	}
	closeSpool(t, s)
	if got := remote.keys(); len(got) != 1 || got[0] != "other/v_seg_0001.m4s" {
		t.Errorf("remote storage has %q", got)
	}
}
