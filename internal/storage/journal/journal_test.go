package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func open(path string) *Dir { return Open(path, false) }

func lines(t *testing.T, j *Journal) (got []string) {
	t.Helper()
	if err := j.Read(func(line []byte) error { got = append(got, string(line)); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAppendRead(t *testing.T) {
	d := open(t.TempDir())
	j, err := d.Create("camera/1762842203")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create("camera/1762842203"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second journal of the same: %v", err)
	}
	for _, v := range []any{map[string]int{"a": 1}, "two\nlines", 3} {
		if err := j.Append(v, true); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{`{"a":1}`, `"two\nlines"`, `3`}
	if got := lines(t, j); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	if o, err := d.Orphans(); err != nil || len(o) != 0 {
		t.Errorf("%d orphans (%v) while it is locked", len(o), err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	o, err := d.Orphans()
	if err != nil || len(o) != 1 {
		t.Fatalf("%d orphans, %v; want 1", len(o), err)
	}
	if got := lines(t, o[0]); !slices.Equal(got, want) {
		t.Errorf("read by the next: %q, want %q", got, want)
	}
	if err := o[0].Remove(); err != nil {
		t.Fatal(err)
	}
	if o, err := d.Orphans(); err != nil || len(o) != 0 {
		t.Errorf("%d orphans (%v) after Remove", len(o), err)
	}
}

// What a power failure leaves of the last lines is cut off, and writing goes on.
// TestModes: what runs is for this user alone, in folders of earlier versions too.
func TestModes(t *testing.T) {
	for name, before := range map[string]os.FileMode{"new": 0, "old": 0o755} {
		path := filepath.Join(t.TempDir(), name)
		if before != 0 {
			if err := os.Mkdir(path, before); err != nil {
				t.Fatal(err)
			}
		}
		j, err := open(path).Create("camera/1")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = j.Close() })
		folder, err := os.Stat(path)
		if err != nil || folder.Mode().Perm() != 0o700 {
			t.Errorf("%s: the folder has %v, %v", name, folder.Mode(), err)
		}
		file, err := j.f.Stat()
		if err != nil || file.Mode().Perm() != 0o600 {
			t.Errorf("%s: the journal has %v, %v", name, file.Mode(), err)
		}
	}
}

func TestTornEnd(t *testing.T) {
	for name, torn := range map[string]string{
		"half a line": `{"a":`, "no end": `{"a":1}`, "zeros": strings.Repeat("\x00", 100), "zeros and a line": "\x00\x00\n{}\n",
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t.TempDir())
			j, err := d.Create("x")
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Append(1, false); err != nil {
				t.Fatal(err)
			}
			if _, err := j.f.WriteString(torn); err != nil {
				t.Fatal(err)
			}
			if got := lines(t, j); !slices.Equal(got, []string{"1"}) {
				t.Errorf("read %q", got)
			}
			if err := j.Append(2, false); err != nil {
				t.Fatal(err)
			}
			if got := lines(t, j); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("read %q after appending to it", got)
			}
		})
	}
}

// Journals whose folder is removed or replaced while they are written are made anew with
// all that they had, so that the next run finds them.
func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journals")
	d := open(path)
	j, err := d.Create("camera/1")
	if err != nil {
		t.Fatal(err)
	}
	removed, err := d.Create("camera/2")
	if err != nil {
		t.Fatal(err)
	}
	for i, lose := range []func() error{
		func() error { return nil },
		func() error { return os.RemoveAll(path) },
		func() error { return os.Rename(path, path+".old") },
		func() error { return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o755)) },
		func() error { return os.Remove(j.Path()) },
	} {
		if err := errors.Join(j.Append(2*i, true), lose(), j.Append(2*i+1, true), d.Look()); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := d.Look(); err == nil {
		t.Error("a file in the place of the folder is no error")
	}
	if err := errors.Join(os.Remove(path), removed.Remove(), d.Look(), j.Close()); err != nil {
		t.Fatal(err)
	}
	o, err := d.Orphans()
	if err != nil || len(o) != 1 {
		t.Fatalf("%d orphans, %v; want 1: what has ended does not come back", len(o), err)
	}
	if got := lines(t, o[0]); strings.Join(got, "") != "0123456789" {
		t.Errorf("read by the next: %q", got)
	}
	if err := errors.Join(os.RemoveAll(path), d.Look()); err != nil {
		t.Error(err)
	}
	if got := lines(t, o[0]); strings.Join(got, "") != "0123456789" {
		t.Errorf("read of the one that was taken over: %q", got)
	}
	if err := errors.Join(o[0].Remove(), d.Look()); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(path, "*")); err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
}

// The lock is the process's: it ends with a SIGKILL.
func TestKilledProcess(t *testing.T) {
	if path := os.Getenv("JOURNAL_TEST_DIR"); path != "" {
		j, err := open(path).Create("x")
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append("last words", false); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready\n") //nolint:errcheck // the parent waits for it
		select {}
	}
	path := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledProcess$")
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_DIR="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	d := open(path)
	if o, err := d.Orphans(); err != nil || len(o) != 0 {
		t.Errorf("%d orphans (%v) while the process lives", len(o), err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	o, err := d.Orphans()
	if err != nil || len(o) != 1 {
		t.Fatalf("%d orphans, %v; want 1", len(o), err)
	}
	want, _ := json.Marshal("last words")
	if got := lines(t, o[0]); !slices.Equal(got, []string{string(want)}) {
		t.Errorf("read %q", got)
	}
}
