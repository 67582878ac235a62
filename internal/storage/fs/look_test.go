package fs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
)

// A root that is renamed, removed or made anew while it is used is opened anew; what
// was being written in the former one says so, and what comes is where it belongs.
func TestLookReplaced(t *testing.T) {
	for name, replace := range map[string]func(root string) error{
		"removed": os.RemoveAll,
		"renamed": func(root string) error { return os.Rename(root, root+".old") },
		"made anew": func(root string) error {
			return errors.Join(os.Rename(root, root+".old"), os.Mkdir(root, 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			s := open(t, root, Options{})
			put(t, s, "camera/1/recording.json", "before")
			f, err := s.Create(t.Context(), "camera/1/v_seg_0001.m4s")
			if err != nil {
				t.Fatal(err)
			}
			if replaced, err := s.Look(); replaced || err != nil {
				t.Errorf("before: %t, %v", replaced, err)
			}
			if err := replace(root); err != nil {
				t.Fatal(err)
			}
			if replaced, err := s.Look(); !replaced || err != nil {
				t.Errorf("replaced %t: %v", replaced, err)
			}
			if _, err := f.Write([]byte("more")); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("write of what was begun before: %v", err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			put(t, s, "camera/2/recording.json", "after")
			if _, err := os.Stat(filepath.Join(root, "camera", "2", "recording.json")); err != nil {
				t.Errorf("what is stored now is not in the root: %v", err)
			}
			if got := keys(t, s); !slices.Equal(got, []string{"camera/2/recording.json"}) {
				t.Errorf("the root has %q", got)
			}
			if replaced, err := s.Look(); replaced || err != nil {
				t.Errorf("after: %t, %v", replaced, err)
			}
		})
	}
}

// A root that cannot be made again says so, until it can.
func TestLookInTheWay(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	s := open(t, root, Options{})
	if err := errors.Join(os.Remove(filepath.Join(root, tempDir)), os.Remove(root), os.WriteFile(root, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Look(); err == nil {
			t.Error("a file in its place is not seen")
		}
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	if replaced, err := s.Look(); !replaced || err != nil {
		t.Errorf("%t, %v", replaced, err)
	}
}
