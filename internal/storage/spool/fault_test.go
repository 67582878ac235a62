package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/await"
)

// logBuffer is a log that tests look into.
type logBuffer struct{ logtest.Buffer }

func (l *logBuffer) count(text string) int { return strings.Count(l.String(), text) }

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// openReal is openSpool with the times that are real, for bubbles of synctest. Close it.
func openReal(t *testing.T, o Options) *Spool {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.NoSync = true
	s, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBreaker: a remote that fails is left alone but for one probe at a time, at
// most every few seconds; everything waits, and goes when it answers.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote, log := newMemRemote(), &logBuffer{}
		s := openReal(t, Options{Remote: remote, Uploads: 8, Logger: log.logger()})
		defer closeSpool(t, s)
		var tries, running, most atomic.Int64
		remote.before = func(context.Context, string, io.Reader) error {
			tries.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(100 * time.Millisecond)
			return errDown
		}
		const objects = 100
		for i := range objects {
			put(t, s, "d"+string(rune('0'+i%10))+"/"+string(rune('A'+i/10)), "content")
		}
		s.Start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if st := s.Status(); !st.Failing || st.WaitingObjects != objects || !strings.Contains(st.LastError, "the server is down") {
			t.Errorf("Status after 10 s = %+v", st)
		}
		tries.Store(0)
		most.Store(0)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := tries.Load(); n < 600 || n > 3600 || most.Load() != 1 {
			t.Errorf("%d probes in an hour, at most %d at a time; want one now and then", n, most.Load())
		}
		remote.down(nil)
		time.Sleep(6 * time.Second) // the longest wait for a probe
		synctest.Wait()
		if st := s.Status(); st.Failing || st.WaitingObjects != 0 || st.LastError != "" || st.UploadedObjects != objects {
			t.Errorf("Status after the outage = %+v", st)
		}
		for text, want := range map[string]int{"remote storage fails": 1, "answers again: ": 1, "caught up": 1, "level=ERROR": 1} {
			if n := log.count(text); n != want {
				t.Errorf("%q is in the log %d times, want %d", text, n, want)
			}
		}
	})
}

// TestBackoff: one object that fails does not hold up others, and is tried for ever
// with growing pauses.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote, log := newMemRemote(), &logBuffer{}
		s := openReal(t, Options{Remote: remote, Logger: log.logger()})
		defer closeSpool(t, s)
		var tries atomic.Int64
		remote.before = func(_ context.Context, key string, _ io.Reader) error {
			if key != "d/bad" {
				return nil
			}
			tries.Add(1)
			return errDown
		}
		s.Start()
		put(t, s, "d/bad", "x")
		for range 600 {
			put(t, s, "d/manifest.mpd", "waits for bad")
			write(t, s, "e/good", "x")
			time.Sleep(6 * time.Second)
			if err := s.Delete(t.Context(), "e/good"); err != nil {
				t.Fatal(err)
			}
		}
		if n := tries.Load(); n < 120 || n > 720 {
			t.Errorf("%d tries in an hour; want one every 15 s on average", n)
		}
		if st := s.Status(); st.Failing || st.WaitingObjects != 2 || st.Conflicts != 0 {
			t.Errorf("Status = %+v", st)
		}
		remote.down(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantRemote(t, remote, "d/bad", "x")
		wantRemote(t, remote, "d/manifest.mpd", "waits for bad")
	})
}

// TestClockPutBack: a wall clock that is put back, as at the first contact with a time
// server, holds up no upload that has failed before.
func TestClockPutBack(t *testing.T) {
	s := openSpool(t, Options{Remote: newMemRemote()}) // not started
	put(t, s, "d/v_seg_0001.m4s", "x")
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := time.Now()
	s.later(s.queue.entries["d/v_seg_0001.m4s"], failed)
	soon := putBack(failed.Add(s.tune.backoffMax), 8*time.Hour)
	if e, at := s.queue.pick(s.clock.ticks(soon), false); e == nil {
		t.Errorf("it is tried again in %v", time.Duration(at-s.clock.ticks(soon)))
	}
}

// putBack is t by a wall clock that is behind; the monotonic one goes on.
func putBack(t time.Time, by time.Duration) time.Time {
	was := t.Round(0)
	(*struct { // as package time has it
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t)).wall -= uint64(by/time.Second) << 30
	if got := was.Sub(t.Round(0)); got != by {
		panic(fmt.Sprintf("put back by %v, not %v", got, by))
	}
	return t
}

// TestHanging: an upload that stands still, and one that is too slow, is given up
// and tried again.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := newMemRemote()
		s := openReal(t, Options{Remote: remote, Logger: (&logBuffer{}).logger()})
		defer closeSpool(t, s)
		var causes []error
		tried := map[string]int{}
		remote.before = func(ctx context.Context, key string, body io.Reader) error {
			if tried[key]++; tried[key] > 1 {
				return nil
			}
			for ctx.Err() == nil {
				if key == "slow" {
					_, _ = body.Read(make([]byte, 1))
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Second):
				}
			}
			causes = append(causes, context.Cause(ctx))
			return ctx.Err()
		}
		s.o.Uploads = 1
		s.Start()
		start := time.Now()
		put(t, s, "still", "content")
		put(t, s, "slow", strings.Repeat("content", 10))
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if len(causes) != 2 || !errors.Is(causes[0], errStalled) || !errors.Is(causes[1], errSlow) {
			t.Errorf("uploads ended by %v after %v", causes, time.Since(start))
		}
		wantRemote(t, remote, "still", "content")
		wantRemote(t, remote, "slow", strings.Repeat("content", 10))
	})
}

// TestAnswerLost: what was stored, though the answer never came, is not stored twice.
func TestAnswerLost(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote})
	lost := map[string]bool{}
	remote.after = func(_ context.Context, key string) error {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if lost[key] {
			return nil
		}
		lost[key] = true
		return errDown
	}
	write(t, s, "d/recording.json", "{}")
	big := strings.Repeat("0123456789", 10_000)
	write(t, s, "d/seg", big)
	put(t, s, "d/manifest.mpd", "<MPD/>")
	s.Start()
	settled(t, s)
	wantRemote(t, remote, "d/recording.json", "{}")
	wantRemote(t, remote, "d/seg", big)
	wantRemote(t, remote, "d/manifest.mpd", "<MPD/>")
	if n := remote.writes["d/seg"]; n != 1 {
		t.Errorf("the segment was written %d times", n)
	}
	if st := s.Status(); st.Conflicts != 0 || st.Retries != 3 {
		t.Errorf("Status = %+v", st)
	}
}

// TestCutOff: what somebody on the way has cut off is uploaded again, whether it is
// written once or claims a folder. Another's object is not taken for that.
func TestCutOff(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote})
	cut := map[string]bool{}
	remote.after = func(_ context.Context, key string) error {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if o := remote.objects[key]; !cut[key] {
			cut[key], o.data = true, o.data[:len(o.data)/2]
			remote.objects[key] = o
			return storage.ErrUnproved
		}
		return nil
	}
	write(t, s, "d/recording.json", `{"stream":"d"}`)
	write(t, s, "d/seg", "content")
	put(t, s, "d/manifest.mpd", "<MPD/>")
	s.Start()
	settled(t, s)
	wantRemote(t, remote, "d/recording.json", `{"stream":"d"}`)
	wantRemote(t, remote, "d/seg", "content")
	wantRemote(t, remote, "d/manifest.mpd", "<MPD/>")
	if st := s.Status(); st.Conflicts != 0 || st.WaitingObjects != 0 {
		t.Errorf("Status = %+v", st)
	}
	remote.set(func() { remote.objects["d/theirs"] = memObject{data: []byte("contempt")} })
	write(t, s, "d/theirs", "content of ours")
	settled(t, s)
	wantRemote(t, remote, "d/theirs", "contempt")
	if st := s.Status(); st.Conflicts != 1 {
		t.Errorf("Status = %+v", st)
	}
}

// TestWrongLook: one wrong answer of somebody on the way makes no object another's.
func TestWrongLook(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote})
	lost, lied := map[string]bool{}, map[string]bool{}
	remote.after = func(_ context.Context, key string) error {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if !lost[key] {
			lost[key] = true
			return errDown
		}
		return nil
	}
	remote.wrong = func(key string, o memObject) memObject {
		if !lied[key] {
			lied[key], o.data = true, []byte("<html>please log in")
		}
		return o
	}
	write(t, s, "d/recording.json", "{}")
	write(t, s, "d/seg", "content")
	s.Start()
	settled(t, s)
	wantRemote(t, remote, "d/seg", "content")
	if st := s.Status(); st.Conflicts != 0 || st.WaitingObjects != 0 || !lied["d/seg"] || !lied["d/recording.json"] {
		t.Errorf("Status = %+v, lies %v", st, lied)
	}
}

// TestConflict: an object that differs from the remote one of that name is not
// uploaded, not lost and no obstacle.
func TestConflict(t *testing.T) {
	for name, theirs := range map[string]string{"size": "theirs, longer", "bytes": "their"} {
		t.Run(name, func(t *testing.T) {
			remote, log, dir := newMemRemote(), &logBuffer{}, t.TempDir()
			s := openSpool(t, Options{Dir: dir, Remote: remote, Logger: log.logger()})
			s.Start()
			write(t, s, "d/recording.json", "{}")
			settled(t, s)
			remote.set(func() { remote.objects["d/seg1"] = memObject{data: []byte(theirs)} })
			write(t, s, "d/seg1", "ours.")
			write(t, s, "d/seg2", "next")
			put(t, s, "d/manifest.mpd", "<MPD/>")
			settled(t, s)
			wantRemote(t, remote, "d/seg1", theirs)
			wantRemote(t, remote, "d/seg2", "next")
			wantRemote(t, remote, "d/manifest.mpd", "<MPD/>")
			if st := s.Status(); st.Conflicts != 1 || st.WaitingObjects != 1 || !s.Pending("d/seg1") {
				t.Errorf("Status = %+v", st)
			}
			if got, err := read(t.Context(), s, "d/seg1"); err != nil || got != "ours." {
				t.Errorf("Get = %q, %v", got, err)
			}
			closeSpool(t, s)
			if n := log.count("level=ERROR"); n != 1 {
				t.Errorf("%d errors in the log, want 1", n)
			}
			s = openSpool(t, Options{Dir: dir, Remote: remote})
			s.Start()
			settled(t, s)
			if st := s.Status(); st.Conflicts != 1 {
				t.Errorf("Status after a restart = %+v", st)
			}
			if err := s.Delete(t.Context(), "d/seg1"); err != nil || s.Status().Conflicts != 0 {
				t.Errorf("Delete: %v; %+v", err, s.Status())
			}
		})
	}
}

// TestForeignFolder: a folder that turns out to be another recording's is not mixed
// with it, neither by uploads nor by deletions, now and after a restart.
func TestForeignFolder(t *testing.T) {
	remote, dir := newMemRemote(), t.TempDir()
	remote.objects["d/recording.json"] = memObject{data: []byte("theirs")}
	remote.objects["d/seg1"] = memObject{data: []byte("theirs")}
	remote.down(errDown)
	s := openSpool(t, Options{Dir: dir, Remote: remote})
	write(t, s, "d/recording.json", "ours")
	write(t, s, "d/seg1", "ours")
	write(t, s, "d/seg2", "ours")
	put(t, s, "d/recording.json", "ours, ended")
	put(t, s, "d/manifest.mpd", "ours")
	remote.down(nil)
	check := func() {
		t.Helper()
		await.Until(t, "the conflict is known", func() bool { return s.Status().Conflicts > 0 })
		write(t, s, "e/seg", "other folders are uploaded")
		await.Until(t, "the other folder is uploaded", func() bool { return !s.Pending("e/seg") })
		if got := strings.Join(remote.order(), " "); strings.Contains(got, "d/") {
			t.Errorf("uploaded: %s", got)
		}
		wantRemote(t, remote, "d/recording.json", "theirs")
	}
	s.Start()
	check()
	closeSpool(t, s)
	s = openSpool(t, Options{Dir: dir, Remote: remote})
	s.Start()
	if err := s.Delete(t.Context(), "e/seg"); err != nil {
		t.Fatal(err)
	}
	check()
	if err := s.Delete(t.Context(), "d/recording.json"); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s) // in the middle of the deletion of the recording
	s = openSpool(t, Options{Dir: dir, Remote: remote})
	s.Start()
	for _, key := range []string{"d/recording.json", "d/manifest.mpd", "d/seg1", "d/seg2", "d/seg1"} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Status(); st.WaitingObjects != 0 {
		t.Errorf("Status after deleting all = %+v", st)
	}
	want := []string{"d/recording.json", "d/seg1", "e/seg"}
	if got := remote.keys(); !slices.Equal(got, want) {
		t.Errorf("remote has %q, want %q", got, want)
	}
	wantRemote(t, remote, "d/seg1", "theirs")
}

// TestDeleteBeforeClaim: what another recording has in remote storage stays when ours in
// the folder of the same name is deleted before its claim is decided, or meanwhile; our
// claim goes, where that was stored and the answer lost.
func TestDeleteBeforeClaim(t *testing.T) {
	for _, tt := range []struct {
		there   string // recording.json, "" for none
		sending bool   // the claim is on its way when the deletion begins
		want    []string
	}{
		{"theirs", false, []string{"d/recording.json", "d/seg1"}},
		{"theirs", true, []string{"d/recording.json", "d/seg1"}},
		{"ours", false, nil},
		{"", false, nil},
	} {
		remote, dir := newMemRemote(), t.TempDir()
		s := openSpool(t, Options{Dir: dir, Remote: remote})
		write(t, s, "d/recording.json", "ours")
		write(t, s, "d/seg1", "ours")
		var sent atomic.Bool
		remote.set(func() {
			remote.before = func(_ context.Context, _ string, body io.Reader) error {
				_, err := io.Copy(io.Discard, body)
				sent.Store(true)
				return errors.Join(errDown, err) // and the answer is lost
			}
		})
		s.Start()
		await.Until(t, "it is sent", sent.Load)
		closeSpool(t, s)
		s = openSpool(t, Options{Dir: dir, Remote: remote})
		put(t, s, "d/recording.json", "ours, ended")
		put(t, s, "d/manifest.mpd", "ours")
		goOn := make(chan struct{})
		remote.set(func() {
			if tt.there != "" {
				remote.objects["d/recording.json"] = memObject{data: []byte(tt.there)}
			}
			if tt.there == "theirs" {
				remote.objects["d/seg1"] = memObject{data: []byte(tt.there)}
			}
			remote.before = func(_ context.Context, key string, body io.Reader) error {
				_, err := io.Copy(io.Discard, body)
				sent.Store(true)
				<-goOn
				return errors.Join(fmt.Errorf("add %s: %w", key, iofs.ErrExist), err)
			}
		})
		if sent.Store(false); tt.sending {
			s.Start()
			await.Until(t, "it is sent", sent.Load)
			time.AfterFunc(50*time.Millisecond, func() { close(goOn) })
		}
		for _, key := range []string{"d/manifest.mpd", "d/recording.json", "d/seg1", "d/recording.json", "d/manifest.mpd"} {
			if err := s.Delete(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
		if got := remote.keys(); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: remote has %q", tt, got)
		}
		if st := s.Status(); st.WaitingObjects != 0 {
			t.Errorf("%+v: Status = %+v", tt, st)
		}
	}
}

// TestClaimTwice: a claim whose answer was lost is known again after recording.json
// has been replaced and the process too.
func TestClaimTwice(t *testing.T) {
	remote, dir := newMemRemote(), t.TempDir()
	s := openSpool(t, Options{Dir: dir, Remote: remote})
	remote.after = func(context.Context, string) error {
		remote.down(errDown)
		return errDown
	}
	write(t, s, "d/recording.json", "first")
	write(t, s, "d/seg", "media")
	s.Start()
	await.Until(t, "it is tried again", func() bool { return s.Status().Retries >= 2 })
	wantRemote(t, remote, "d/recording.json", "first")
	closeSpool(t, s)
	s = openSpool(t, Options{Dir: dir, Remote: remote})
	put(t, s, "d/recording.json", "second")
	remote.set(func() { remote.after = nil })
	remote.down(nil)
	s.Start()
	settled(t, s)
	wantRemote(t, remote, "d/recording.json", "second")
	wantRemote(t, remote, "d/seg", "media")
	if names, err := s.disk.claims.all(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("claims left: %v, %v", names, err)
	}
}

// TestOvertaken: an upload that got no answer, and is carried out after a newer one,
// does not have the last word.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := newMemRemote()
		s := openReal(t, Options{Remote: remote, Logger: (&logBuffer{}).logger()})
		defer closeSpool(t, s)
		late := func(key, content string) {
			time.Sleep(10 * time.Second)
			remote.set(func() { remote.objects[key] = memObject{data: []byte(content)} })
		}
		var once sync.Once
		remote.before = func(ctx context.Context, key string, body io.Reader) (err error) {
			once.Do(func() {
				data, _ := io.ReadAll(body)
				<-ctx.Done()
				go late(key, string(data))
				err = ctx.Err()
			})
			return err
		}
		s.Start()
		put(t, s, "d/manifest.mpd", "old")
		time.Sleep(time.Second)
		put(t, s, "d/manifest.mpd", "new")
		time.Sleep(35 * time.Second) // the first has timed out, the second is there
		synctest.Wait()
		wantRemote(t, remote, "d/manifest.mpd", "new")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantRemote(t, remote, "d/manifest.mpd", "old") // the late one: what this is about
		time.Sleep(time.Minute)
		synctest.Wait()
		wantRemote(t, remote, "d/manifest.mpd", "new")
		if s.Pending("d/manifest.mpd") {
			t.Error("still pending")
		}
	})
}

// TestDenied: refused credentials are loud, and are tried again until they are
// accepted.
func TestDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote, log := newMemRemote(), &logBuffer{}
		s := openReal(t, Options{Remote: remote, Logger: log.logger()})
		defer closeSpool(t, s)
		remote.down(storage.ErrDenied)
		s.Start()
		put(t, s, "d/seg", "media")
		time.Sleep(10 * time.Minute)
		if n := log.count("check the credentials"); n < 9 || n > 11 {
			t.Errorf("%d errors in 10 minutes, want one a minute", n)
		}
		remote.down(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantRemote(t, remote, "d/seg", "media")
	})
}

// TestDefective: an object that the remote takes for invalid, while it takes others,
// and one that cannot be read do not hold up their recording for ever.
func TestDefective(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote})
	remote.before = func(_ context.Context, key string, _ io.Reader) error {
		if key == "d/bad" {
			return fault.New(fault.Invalid, "a name that cannot be")
		}
		return nil
	}
	put(t, s, "d/bad", "x")
	put(t, s, "d/missing", "x")
	if err := s.disk.objects.Delete(t.Context(), "d/missing"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "d/manifest.mpd", "<MPD/>")
	s.Start()
	others := 0
	await.Until(t, "what conflicts and what is lost is known", func() bool {
		write(t, s, "e/"+string(rune('a'+others%26))+string(rune('a'+others/26)), "others get through")
		others++
		return s.Status().Conflicts >= 1 && s.Status().Lost >= 1
	})
	settled(t, s)
	wantRemote(t, remote, "d/manifest.mpd", "<MPD/>")
}
