package fs

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/storagetest"
)

func open(t *testing.T, root string, o Options) *Store {
	t.Helper()
	s, err := New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, s *Store, key, content string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T, s *Store) []string {
	t.Helper()
	var keys []string
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func TestContract(t *testing.T) {
	for name, o := range map[string]Options{"sync": {}, "no sync": {NoSync: true}} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, t.TempDir(), o) })
		})
	}
}

// TestModes: recordings are for this user and its group, or for whom the option says.
func TestModes(t *testing.T) {
	for mode, folder := range map[os.FileMode]os.FileMode{0: 0o750, 0o600: 0o700, 0o640: 0o750, 0o644: 0o755} {
		root := filepath.Join(t.TempDir(), "root")
		s := open(t, root, Options{Mode: mode})
		put(t, s, "a/b/put", "x")
		f, err := s.Create(t.Context(), "c/created")
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if mode == 0 {
			mode = 0o640
		}
		for name, want := range map[string]os.FileMode{"": folder, "a": folder, "a/b": folder, "c": folder, tempDir: folder, "a/b/put": mode, "c/created": mode} {
			info, err := os.Stat(filepath.Join(root, name))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("mode %o: %q has %v, %v, want %o", mode, name, info.Mode(), err, want)
			}
		}
	}
}

func TestNewMakesRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "not", "yet there")
	put(t, open(t, root, Options{}), "a/b", "x")
	if data, err := os.ReadFile(filepath.Join(root, "a", "b")); err != nil || string(data) != "x" {
		t.Errorf("the file has %q, %v", data, err)
	}
}

func TestNewRootUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]string{"empty": "", "a file": file, "below a file": filepath.Join(file, "root")} {
		t.Run(name, func(t *testing.T) {
			_, err := New(root, Options{})
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), "recorder.storage.root") || !strings.Contains(err.Error(), root) {
				t.Errorf("error %q does not name the option and the folder", err)
			}
		})
	}
}

// TestNewRemovesLeftovers: those of Put which nobody writes any more, and nothing else.
func TestNewRemovesLeftovers(t *testing.T) {
	root := t.TempDir()
	put(t, open(t, root, Options{}), "a/key", "x")
	old := time.Now().Add(-2 * staleAfter)
	for name, modified := range map[string]time.Time{
		tempDir + "/put-STALE":   old,
		tempDir + "/put-IN-USE":  time.Now(),
		tempDir + "/other-STALE": old,
		"a/put-STALE":            old,
		"a/.put-STALE":           old,
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Chtimes(file, modified, modified)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, root, Options{})
	entries, err := os.ReadDir(filepath.Join(root, tempDir))
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"other-STALE", "put-IN-USE"}; !slices.Equal(left, want) {
		t.Errorf("left in the folder of temporary files: %q, want %q", left, want)
	}
	entries, err = os.ReadDir(filepath.Join(root, "a"))
	if err != nil || len(entries) != 3 {
		t.Errorf("in the folder of objects: %v, %v; want 3 files", entries, err)
	}
}

func TestPutLeavesNoTemporaries(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, Options{})
	put(t, s, "key", "x")
	for key, size := range map[string]int64{"short": 5, "long": 0, "key/below": 1} {
		if err := s.Put(t.Context(), key, strings.NewReader("x"), size); err == nil {
			t.Errorf("Put(%q) of 1 byte as %d: no error", key, size)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(root, tempDir)); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// TestNameTaken: what an object store could do and a file system cannot is a
// Conflict with a message, and harms nothing.
func TestNameTaken(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	put(t, s, "a/b", "x")
	for _, key := range []string{"a", "a/b/c"} {
		err := s.Put(t.Context(), key, strings.NewReader("y"), 1)
		if fault.KindOf(err) != fault.Conflict {
			t.Errorf("Put(%q): error %v, want a fault.Conflict", key, err)
		}
		_, err = s.Create(t.Context(), key)
		if fault.KindOf(err) != fault.Conflict {
			t.Errorf("Create(%q): error %v, want a fault.Conflict", key, err)
		}
	}
	if got := keys(t, s); !slices.Equal(got, []string{"a/b"}) {
		t.Errorf("objects: %q", got)
	}
}

func TestDeleteRemovesEmptyFolders(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, Options{})
	put(t, s, "a/b/c/1", "x")
	put(t, s, "a/2", "x")
	exists := func(name string) bool {
		_, err := os.Lstat(filepath.Join(root, name))
		return err == nil
	}
	if err := s.Delete(t.Context(), "a/b/c/1"); err != nil {
		t.Fatal(err)
	}
	if exists("a/b") || !exists("a/2") {
		t.Errorf("a/b exists: %t, want false; a/2 exists: %t, want true", exists("a/b"), exists("a/2"))
	}
	if err := s.Delete(t.Context(), "a/2"); err != nil {
		t.Fatal(err)
	}
	if exists("a") || !exists(".") {
		t.Errorf("a exists: %t, want false; the root exists: %t, want true", exists("a"), exists("."))
	}
}

// TestNoObjects: what is in the folder and is no object is not listed, cannot be
// read, and disturbs nothing.
func TestNoObjects(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, Options{})
	put(t, s, "a/key", "x")
	join := func(name string) string { return filepath.Join(root, name) }
	if err := errors.Join(
		os.WriteFile(join(".hidden"), []byte("x"), 0o600),
		os.WriteFile(join("a/back\\slash"), []byte("x"), 0o600),
		os.WriteFile(join("a/not\xffutf8"), []byte("x"), 0o600),
		os.MkdirAll(join(".git/objects"), 0o700),
		os.WriteFile(join(".git/objects/1"), []byte("x"), 0o600),
		os.MkdirAll(join("a/empty"), 0o700),
		os.Symlink("a", join("link-to-folder")),
		os.Symlink("..", join("a/loop")),
		os.Symlink("nowhere", join("dangling")),
		syscall.Mkfifo(join("a/pipe"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, s); !slices.Equal(got, []string{"a/key"}) {
		t.Errorf("objects: %q", got)
	}
	for _, key := range []string{"a/pipe", "a/empty", "link-to-folder", "dangling"} {
		if _, err := s.Get(t.Context(), key, 0, -1); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Get(%q): error %v, want ErrNotFound", key, err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Stat(%q): error %v, want ErrNotFound", key, err)
		}
	}
	// A folder behind a link keeps what is in it when the link is the way to Delete.
	put(t, s, "a/second", "x")
	if err := s.Delete(t.Context(), "link-to-folder/second"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(join("link-to-folder")); err != nil {
		t.Errorf("Delete removed a link: %v", err)
	}
}

func TestLinksOutOfRoot(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	root := filepath.Join(t.TempDir(), "root")
	s := open(t, root, Options{})
	if err := errors.Join(
		os.WriteFile(secret, []byte("secret"), 0o600),
		os.Symlink(secret, filepath.Join(root, "absolute")),
		os.Symlink(outside, filepath.Join(root, "folder")),
		os.Symlink("../outside", filepath.Join(root, "relative")),
		os.WriteFile(filepath.Join(root, "..", "outside"), []byte("secret"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"absolute", "folder/secret", "relative"} {
		calls := map[string]func() error{
			"Get":  func() error { _, err := s.Get(t.Context(), key, 0, -1); return err },
			"Stat": func() error { _, err := s.Stat(t.Context(), key); return err },
		}
		if key == "folder/secret" {
			calls["Put"] = func() error { return s.Put(t.Context(), key, strings.NewReader("x"), 1) }
			calls["Create"] = func() error { _, err := s.Create(t.Context(), "folder/new"); return err }
			calls["Delete"] = func() error { return s.Delete(t.Context(), key) }
			calls["List"] = func() error {
				for _, err := range s.List(t.Context(), "folder") {
					return err
				}
				return nil
			}
		}
		for name, call := range calls {
			if err := call(); !errors.Is(err, storage.ErrDenied) {
				t.Errorf("%s(%q): error %v, want ErrDenied", name, key, err)
			}
		}
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside of the root: %v, %v; want the one file", entries, err)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "secret" {
		t.Errorf("the file outside has %q, %v", data, err)
	}
	if got := keys(t, s); got != nil {
		t.Errorf("links are listed: %q", got)
	}
}

// TestListVanishing lists folders whose content comes and goes.
func TestListVanishing(t *testing.T) {
	s := open(t, t.TempDir(), Options{NoSync: true})
	put(t, s, "a/stays", "x")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			for _, key := range []string{"a/1", "a/b/1", "b/1"} {
				if err := s.Put(t.Context(), key, strings.NewReader("x"), 1); err != nil {
					t.Error(err)
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if got := keys(t, s); !slices.Contains(got, "a/stays") {
			t.Errorf("objects: %q", got)
		}
	}
}

// TestSharedRoot: what one process deletes does not make another's Create or Put
// in the same folder fail. A Store of its own stands for the other process.
func TestSharedRoot(t *testing.T) {
	root := t.TempDir()
	var processes sync.WaitGroup
	for _, name := range []string{"shared/folder/1", "shared/folder/2"} {
		s := open(t, root, Options{NoSync: true})
		processes.Go(func() {
			for range 200 {
				f, err := s.Create(t.Context(), name)
				if err != nil {
					t.Error(err)
					return
				}
				err = errors.Join(f.Close(), s.Put(t.Context(), name, strings.NewReader("x"), 1), s.Delete(t.Context(), name))
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	processes.Wait()
}

// fakeHandle fails as it is told to.
type fakeHandle struct {
	content     []byte
	room        int // bytes that fit
	truncateErr error
	syncErr     error
}

func (h *fakeHandle) Write(p []byte) (int, error) {
	n := min(len(p), h.room-len(h.content))
	h.content = append(h.content, p[:n]...)
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (h *fakeHandle) Truncate(size int64) error {
	if h.truncateErr == nil {
		h.content = h.content[:size]
	}
	return h.truncateErr
}

func (h *fakeHandle) Sync() error  { err := h.syncErr; h.syncErr = nil; return err }
func (h *fakeHandle) Close() error { return nil }

// grown is an object that is being written by way of h.
func grown(t *testing.T, h handle) *file {
	t.Helper()
	s := open(t, t.TempDir(), Options{})
	return &file{handle: h, store: s, root: s.root(), key: "key"}
}

func TestFileWriteFull(t *testing.T) {
	h := &fakeHandle{room: 10}
	f := grown(t, h)
	for _, test := range []struct {
		chunk, want string
		full        bool
	}{{"12345", "12345", false}, {"1234567", "12345", true}, {"12345", "1234512345", false}, {"1", "1234512345", true}} {
		n, err := f.Write([]byte(test.chunk))
		if errors.Is(err, storage.ErrFull) != test.full || (err != nil) != test.full || (n > 0) == test.full {
			t.Errorf("Write(%q) = %d, %v", test.chunk, n, err)
		}
		if string(h.content) != test.want {
			t.Errorf("after Write(%q) the object is %q, want %q", test.chunk, h.content, test.want)
		}
	}
}

// TestFileTorn: what cannot be cut off must not be followed by anything.
func TestFileTorn(t *testing.T) {
	h := &fakeHandle{room: 10, truncateErr: syscall.EIO}
	f := grown(t, h)
	if _, err := f.Write(make([]byte, 11)); !errors.Is(err, storage.ErrFull) || !errors.Is(err, syscall.EIO) {
		t.Errorf("Write: error %v", err)
	}
	h.room = 100
	if n, err := f.Write([]byte("more")); err == nil || n != 0 || len(h.content) != 10 {
		t.Errorf("Write after a torn one = %d, %v; the object has %d bytes", n, err, len(h.content))
	}
	if err := f.Sync(); err == nil {
		t.Error("Sync after a torn Write: no error")
	}
}

func TestFileSyncErrorStays(t *testing.T) {
	f := &file{handle: &fakeHandle{room: 10, syncErr: syscall.ENOSPC}, store: open(t, t.TempDir(), Options{}), key: "key"}
	for range 2 {
		if err := f.Sync(); !errors.Is(err, storage.ErrFull) {
			t.Errorf("Sync: error %v, want ErrFull", err)
		}
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("Write after a failed Sync: no error")
	}
}

func TestLogNamesLeftover(t *testing.T) {
	root := t.TempDir()
	open(t, root, Options{})
	file := filepath.Join(root, tempDir, tempPrefix+"X")
	old := time.Now().Add(-2 * staleAfter)
	if err := errors.Join(os.WriteFile(file, []byte("xyz"), 0o600), os.Chtimes(file, old, old)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	open(t, root, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), tempPrefix+"X") {
		t.Errorf("log: %q", log.String())
	}
}
