package fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/live777/recorder/internal/storage"
)

// again runs the calling test in another process of this program, with the first
// of attrs that the machine allows, and reports whether it is that process.
func again(t *testing.T, attrs ...*syscall.SysProcAttr) bool {
	t.Helper()
	const marker = "STORAGE_FS_TEST_AGAIN"
	if os.Getenv(marker) == t.Name() {
		return true
	}
	var refused error
	for _, attr := range attrs {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), marker+"="+t.Name())
		cmd.SysProcAttr = attr
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		err := cmd.Wait()
		if err != nil || !strings.Contains(out.String(), "--- PASS: "+t.Name()) {
			t.Errorf("in a process of its own: %v\n%s", err, out.String())
		}
		return false
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs a namespace: run as root, or allow users to make them (sysctl user.max_user_namespaces): %v", refused)
	}
	t.Skipf("needs a namespace, which this machine refuses: %v", refused)
	return false
}

// userNamespace makes this user the one with the id uid in a namespace.
func userNamespace(uid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}},
	}
}

// inMountNamespace runs the calling test in a process with a mount namespace of
// its own, where it can mount small and read-only file systems without a trace
// on the machine. It reports whether it is that process.
func inMountNamespace(t *testing.T) bool {
	t.Helper()
	user := userNamespace(0)
	user.Cloneflags |= syscall.CLONE_NEWNS
	root := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS} // where users may not make namespaces
	if !again(t, user, root) {
		return false
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
	return true
}

// asOrdinaryUser runs the calling test in a process that file permissions hold
// for, as they do not for root. It reports whether it is that process.
func asOrdinaryUser(t *testing.T) bool {
	t.Helper()
	return os.Getuid() != 0 || again(t, userNamespace(1000))
}

// tmpfs mounts a file system of size bytes and returns its folder.
func tmpfs(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func content(t *testing.T, s *Store, key string) []byte {
	t.Helper()
	r, err := s.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFullDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	root := tmpfs(t, 1<<20)
	s := open(t, root, Options{})
	put(t, s, "a/manifest", "old manifest")
	f, err := s.Create(t.Context(), "a/seg")
	if err != nil {
		t.Fatal(err)
	}
	// Not a multiple of the page: the last write fits in part.
	chunk := bytes.Repeat([]byte("chunk of media. "), 4_001)
	written := 0
	for {
		if _, err = f.Write(chunk); err != nil {
			break
		}
		if written += len(chunk); written > 2<<20 {
			t.Fatal("a full disk is not noticed")
		}
	}
	if !errors.Is(err, storage.ErrFull) {
		t.Errorf("Write to a full disk: error %v, want ErrFull", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("Sync of what fits: %v", err)
	}
	if got := content(t, s, "a/seg"); len(got) != written || !bytes.Equal(got[written-len(chunk):], chunk) {
		t.Errorf("the object has %d bytes, want the %d of whole writes", len(got), written)
	}

	big := make([]byte, 512<<10)
	if err := s.Put(t.Context(), "a/manifest", bytes.NewReader(big), int64(len(big))); !errors.Is(err, storage.ErrFull) {
		t.Errorf("Put to a full disk: error %v, want ErrFull", err)
	}
	if got := content(t, s, "a/manifest"); string(got) != "old manifest" {
		t.Errorf("the old object has %d bytes after a failed Put", len(got))
	}
	if entries, err := os.ReadDir(filepath.Join(root, tempDir)); err != nil || len(entries) != 0 {
		t.Errorf("a failed Put left %v, %v", entries, err)
	}
	open(t, root, Options{}) // a full disk does not keep recordings from being played

	if err := errors.Join(f.Close(), s.Delete(t.Context(), "a/seg")); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/manifest", "new manifest") // goes on as soon as there is room
	if got := keys(t, s); !slices.Equal(got, []string{"a/manifest"}) {
		t.Errorf("objects: %q", got)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	root := tmpfs(t, 1<<20)
	s := open(t, root, Options{})
	put(t, s, "a/b", "x")
	if err := syscall.Mount("tmpfs", root, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Put":    s.Put(t.Context(), "a/b", strings.NewReader("y"), 1),
		"Create": func() error { _, err := s.Create(t.Context(), "a/c"); return err }(),
		"Delete": s.Delete(t.Context(), "a/b"),
	} {
		if !errors.Is(err, storage.ErrDenied) {
			t.Errorf("%s on a read-only disk: error %v, want ErrDenied", name, err)
		}
	}
	if got := content(t, s, "a/b"); string(got) != "x" {
		t.Errorf("the object is %q", got)
	}
	var log bytes.Buffer
	again := open(t, root, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if got := content(t, again, "a/b"); string(got) != "x" {
		t.Errorf("opened on a read-only disk, the object is %q", got)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "recorder.storage.root") {
		t.Errorf("New on a read-only disk logs %q, want an error with the option's name", log.String())
	}
}

func TestNoPermission(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	root := t.TempDir()
	chmod := func(name string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	s := open(t, root, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	put(t, s, "a/key", "x")
	put(t, s, "lost+found/key", "x")
	put(t, s, "z/key", "x")
	chmod("lost+found", 0)
	chmod("z", 0o500)
	t.Cleanup(func() { chmod(".", 0o700); chmod("lost+found", 0o700); chmod("z", 0o700) })

	if got := keys(t, s); !slices.Equal(got, []string{"a/key", "z/key"}) {
		t.Errorf("objects: %q; want those that can be read", got)
	}
	if !strings.Contains(log.String(), "lost+found") {
		t.Errorf("log: %q; want what is left out", log.String())
	}
	for name, call := range map[string]func() error{
		"Get":    func() error { _, err := s.Get(t.Context(), "lost+found/key", 0, -1); return err },
		"Stat":   func() error { _, err := s.Stat(t.Context(), "lost+found/key"); return err },
		"Put":    func() error { return s.Put(t.Context(), "z/key", strings.NewReader("y"), 1) },
		"Create": func() error { _, err := s.Create(t.Context(), "z/new"); return err },
		"Delete": func() error { return s.Delete(t.Context(), "z/key") },
		"List": func() error {
			for _, err := range s.List(t.Context(), "lost+found") {
				return err
			}
			return nil
		},
	} {
		if err := call(); !errors.Is(err, storage.ErrDenied) {
			t.Errorf("%s without permission: error %v, want ErrDenied", name, err)
		}
	}
	missing := filepath.Join(root, "z", "new")
	_, err := New(missing, Options{})
	if !errors.Is(err, storage.ErrDenied) || !strings.Contains(err.Error(), "recorder.storage.root") || !strings.Contains(err.Error(), missing) {
		t.Errorf("New of a root that cannot be made: error %v", err)
	}
}
