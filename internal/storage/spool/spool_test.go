package spool

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/storagetest"
	"github.com/live777/recorder/internal/testkit/await"
)

// openSpool returns a spool with short times that is closed with the test.
func openSpool(t testing.TB, o Options) *Spool {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Logger == nil {
		o.Logger = slog.New(strict{slog.NewTextHandler(t.Output(), nil), t})
	}
	o.NoSync = true
	s, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.tune.backoffMin, s.tune.backoffMax, s.tune.probeMax = time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	s.tune.ask, s.tune.settle = 200*time.Millisecond, 100*time.Millisecond
	s.tune.silence = 10 * time.Millisecond
	t.Cleanup(func() { closeSpool(t, s) })
	return s
}

func closeSpool(t testing.TB, s *Spool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// settled waits until nothing waits but what the remote cannot take.
func settled(t testing.TB, s *Spool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		st := s.Status()
		if st.WaitingObjects == st.Conflicts && st.Uploading == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the spool does not empty: %+v", st)
		}
	}
}

func put(t testing.TB, s *Spool, key, content string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

// write creates an object in two parts and closes it.
func write(t testing.TB, s *Spool, key, content string) {
	t.Helper()
	f := begin(t, s, key, content)
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatalf("close %q: %v", key, err)
	}
}

func begin(t testing.TB, s *Spool, key, content string) storage.File {
	t.Helper()
	f, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatalf("Create(%q): %v", key, err)
	}
	for _, part := range []string{content[:len(content)/2], content[len(content)/2:]} {
		if _, err := f.Write([]byte(part)); err != nil {
			t.Fatalf("write %q: %v", key, err)
		}
	}
	return f
}

func read(ctx context.Context, s storage.Backend, key string) (string, error) {
	r, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), errors.Join(err, r.Close())
}

// TestContract: nothing is uploaded, all is local.
func TestContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return openSpool(t, Options{Remote: newMemRemote()})
	})
}

// drained is a Spool that everything has been uploaded of.
type drained struct {
	*Spool
	t    *testing.T
	held string // a folder
}

func (d *drained) settle(key string) {
	d.t.Helper()
	if d.held == "" {
		settled(d.t, d.Spool)
		return
	}
	await.Until(d.t, key+" is uploaded", func() bool {
		return path.Dir(key) == d.held || !d.Pending(key) || d.t.Context().Err() != nil
	})
}

func (d *drained) Hold(folder string) {
	d.Spool.Hold(folder)
	d.held = folder
}

func (d *drained) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	err := d.Spool.Put(ctx, key, body, size)
	d.settle(key)
	return err
}

func (d *drained) Add(ctx context.Context, key string, body io.Reader, size int64) error {
	err := d.Spool.Add(ctx, key, body, size)
	d.settle(key)
	return err
}

func (d *drained) Create(ctx context.Context, key string) (storage.File, error) {
	f, err := d.Spool.Create(ctx, key)
	return drainedFile{f, d, key}, err
}

// drainedFile is uploaded when it is closed.
type drainedFile struct {
	storage.File
	d   *drained
	key string
}

func (f drainedFile) Close() error {
	err := f.File.Close()
	f.d.settle(f.key)
	return err
}

// TestContractUploaded: all is remote.
func TestContractUploaded(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		s := openSpool(t, Options{Remote: newMemRemote()})
		s.Start()
		return &drained{Spool: s, t: t}
	})
}

// TestUploads: what is written is uploaded once, and leaves the disk.
func TestUploads(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote})
	s.Start()
	write(t, s, "cam/1/recording.json", "{}")
	put(t, s, "cam/1/v_init.mp4", "init")
	f := begin(t, s, "cam/1/v_seg_0001.m4s", "first")
	settled(t, s)
	if _, ok := remote.content("cam/1/v_seg_0001.m4s"); ok || !s.Pending("cam/1/v_seg_0001.m4s") {
		t.Error("an open segment is uploaded, or not pending")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, s, "cam/1/manifest.mpd", "<MPD/>")
	settled(t, s)
	for key, want := range map[string]string{
		"cam/1/recording.json": "{}", "cam/1/v_init.mp4": "init", "cam/1/v_seg_0001.m4s": "first", "cam/1/manifest.mpd": "<MPD/>",
	} {
		wantRemote(t, remote, key, want)
		if n := remote.writes[key]; n != 1 {
			t.Errorf("%s was uploaded %d times", key, n)
		}
		if s.Pending(key) {
			t.Errorf("%s is pending", key)
		}
		if _, err := s.disk.objects.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s is still on the disk: %v", key, err)
		}
		if got, err := read(t.Context(), s, key); err != nil || got != want {
			t.Errorf("Get(%s) = %q, %v", key, got, err)
		}
	}
	if st := s.Status(); st.UsedBytes != 0 || st.UploadedObjects != 4 || st.OpenObjects != 0 {
		t.Errorf("Status = %+v", st)
	}
}

// TestSecondProcess: a directory has one user, who is told apart from a wrong directory.
func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, Options{Dir: dir, Remote: newMemRemote()})
	_, err := New(t.Context(), Options{Dir: dir, Remote: newMemRemote()})
	if err == nil || !strings.Contains(err.Error(), "recorder.spool.dir") || fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second spool in the directory: error %v", err)
	}
	closeSpool(t, s)
	openSpool(t, Options{Dir: dir, Remote: newMemRemote()})
}

// TestModes: what waits is for this user alone, also in a directory of an earlier version.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := openSpool(t, Options{Dir: dir, Remote: newMemRemote()})
	f := begin(t, s, "camera/1/v_seg_0001.m4s", "media")
	err := filepath.WalkDir(dir, func(path string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has %v", path, info.Mode())
		}
		return err
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Error(err)
	}
}

// TestManifestLast: the manifest follows what it names, recording.json the manifest.
func TestManifestLast(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote, Uploads: 8})
	write(t, s, "d/recording.json", "claim")
	write(t, s, "d/seg1", "1")
	put(t, s, "d/manifest.mpd", "names 1")
	put(t, s, "d/recording.json", "ended")
	write(t, s, "d/seg2", "2")
	stuck := make(chan struct{})
	remote.set(func() {
		remote.before = func(_ context.Context, key string, _ io.Reader) error {
			if key == "d/seg1" {
				<-stuck
			}
			return nil
		}
	})
	s.Start()
	await.Until(t, "the claim is there, and the segment after the one that hangs", func() bool { return len(remote.order()) >= 2 })
	put(t, s, "d/manifest.mpd", "names 1 and 2")
	put(t, s, "d/recording.json", "ended again")
	close(stuck)
	settled(t, s)
	want := []string{"d/recording.json", "d/seg2", "d/seg1", "d/manifest.mpd", "d/recording.json"}
	if got := remote.order(); !slices.Equal(got, want) {
		t.Errorf("uploaded %q, want %q", got, want)
	}
	wantRemote(t, remote, "d/manifest.mpd", "names 1 and 2")
	wantRemote(t, remote, "d/recording.json", "ended again")
}

// TestManifestsInOrder: a manifest that names another follows it, also where that has to be
// tried again, and recording.json follows all of them.
func TestManifestsInOrder(t *testing.T) {
	remote := newMemRemote()
	s := openSpool(t, Options{Remote: remote, Uploads: 8})
	names := []string{"audio.m3u8", "video.m3u8", "index.m3u8", "manifest.mpd", "recording.json"}
	for _, name := range names {
		put(t, s, "d/"+name, name)
	}
	failed := false
	remote.set(func() {
		remote.before = func(_ context.Context, key string, _ io.Reader) error {
			if key == "d/video.m3u8" && !failed {
				failed = true
				return fault.New(fault.Unavailable, "the remote is away")
			}
			return nil
		}
	})
	s.Start()
	settled(t, s)
	var want []string
	for _, name := range names {
		want = append(want, "d/"+name)
		wantRemote(t, remote, "d/"+name, name)
	}
	if got := remote.order(); !failed || !slices.Equal(got, want) {
		t.Errorf("uploaded %q, want %q", got, want)
	}
}

// TestCreateAsks: an object that only the remote has exists; one that cannot be
// asked about does not keep Create waiting.
func TestCreateAsks(t *testing.T) {
	remote := newMemRemote()
	remote.objects["d/recording.json"] = memObject{data: []byte("another's")}
	s := openSpool(t, Options{Remote: remote})
	ask := s.tune.ask
	s.tune.ask = time.Minute // the answer comes
	if _, err := s.Create(t.Context(), "d/recording.json"); !errors.Is(err, iofs.ErrExist) || fault.KindOf(err) != fault.Conflict {
		t.Errorf("Create of what is remote: error %v", err)
	}
	s.tune.ask = ask
	var asked atomic.Int32
	hang := func(ctx context.Context, _ string) error { asked.Add(1); <-ctx.Done(); return ctx.Err() }
	remote.set(func() { remote.ask = hang })
	start := time.Now()
	write(t, s, "e/recording.json", "{}")
	write(t, s, "e/seg", "1") // in a claimed folder: nothing is asked
	if d := time.Since(start); d < s.tune.ask || asked.Load() != 1 {
		t.Errorf("Create took %v while the remote hangs, and asked %d times", d, asked.Load())
	}
}

// TestSilence: a remote that does not answer keeps nobody waiting for long, and few
// at all; when it does it is asked again.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := newMemRemote()
		s := openReal(t, Options{Remote: remote, Logger: slog.New(slog.DiscardHandler)})
		defer closeSpool(t, s)
		remote.ask = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		for i, want := range []time.Duration{s.tune.stat, s.tune.stat, s.tune.stat, 0, 0} {
			start := time.Now()
			if _, err := s.Stat(t.Context(), "d/seg"); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("Stat while the remote hangs: error %v", err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("Stat %d took %v, want %v", i, took, want)
			}
		}
		write(t, s, "d/recording.json", "{}")
		remote.down(nil)
		time.Sleep(s.tune.silence)
		if _, err := s.Stat(t.Context(), "d/seg"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Stat when the remote answers: %v", err)
		}
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Stat(impatient, "d/seg"); !errors.Is(err, context.Canceled) || s.asker.silence.failures != 0 {
			t.Errorf("Stat by one who does not wait: %v", err)
		}
	})
}
