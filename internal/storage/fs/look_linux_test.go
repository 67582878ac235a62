package fs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/live777/recorder/internal/storage"
)

// A disk that is full is seen before a recording is, and that there is room again.
func TestLookFull(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	dir := tmpfs(t, 1<<20)
	s := open(t, dir, Options{})
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, bytes.Repeat([]byte("x"), 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if _, err := s.Look(); !errors.Is(err, storage.ErrFull) {
		t.Errorf("full: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if replaced, err := s.Look(); replaced || err != nil {
		t.Errorf("with room: %t, %v", replaced, err)
	}
}

// A disk that is unmounted is seen although its folder is still there: what goes to
// the disk below it is not lost in silence. When it is back all is well.
func TestLookUnmounted(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	dir := t.TempDir()
	mount := func() {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1048576"); err != nil {
			t.Fatal(err)
		}
	}
	mount()
	s := open(t, dir, Options{})
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	for _, first := range []bool{true, false} {
		if replaced, err := s.Look(); replaced != first || err == nil || !strings.Contains(err.Error(), "was it unmounted?") {
			t.Errorf("unmounted: %t, %v", replaced, err)
		}
	}
	put(t, s, "camera/1/recording.json", "goes on")
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	if _, err := s.Look(); err == nil {
		t.Error("the same disk in another place counts as the first one")
	}
}
