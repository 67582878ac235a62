package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

func open(tb testing.TB, url string) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func recording(stream string, second int) media.Recording {
	start := time.Unix(1_762_842_203+int64(second), 0).UTC()
	end := start.Add(time.Second)
	dir := fmt.Sprintf("%s/%d", stream, start.Unix())
	return media.Recording{
		Stream: stream, RecordID: dir[len(stream)+1:], RecordDir: dir, MPDPath: dir + "/manifest.mpd", Start: start, End: &end,
		Duration: 1, Bytes: 1000, Status: media.StatusComplete, Periods: 1,
		Tracks: []media.RecordingTrack{{Kind: "video", Codec: "H264", RFC6381: "avc1.42C01F", Width: 1280, Height: 720, Recorded: true}, {Kind: "audio", Codec: "opus"}},
	}
}

func TestURLs(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for url, file := range map[string]string{
		"sqlite://live777.db":                           "live777.db",
		"sqlite://./with/folder.db?mode=rwc":            "with/folder.db",
		"sqlite://" + dir + "/absolute.db":              "absolute.db",
		"sqlite://odd name #100%25&x=1 ü;.db":           "odd name #100%25&x=1 ü;.db",
		"sqlite://" + dir + "/new/folder/of it/data.db": "new/folder/of it/data.db",
	} {
		db := open(t, url)
		if err := db.Put(t.Context(), recording("camera", 0)); err != nil {
			t.Error(err)
		}
		if _, err := db.Get(t.Context(), recording("camera", 0).RecordDir); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{
		"", "live777.db", "sqlite:live777.db", "sqlite://", "sqlite://x.db?cache=shared", "mysql://root:secret@host/db", "postgres://u:se cret@h:x/secret",
		"postgres://u:secret@h/d?sslmode=secret", "postgres://u:x@h/d?sslmode=verify-full&sslrootcert=/nowhere&sslpassword=secret",
	} {
		_, err := Open(t.Context(), url)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "database.url") {
			t.Errorf("Open(%q): error %v, want a fault.Invalid that names database.url", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}

// TestModes: who has an account on the machine reads no database, not even one that an
// earlier version made.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	name := filepath.Join(dir, "catalogue.db")
	check := func(when string) {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(name + suffix)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s has %v, %v", when, name+suffix, info, err)
			}
		}
	}
	db := open(t, "sqlite://"+name)
	if err := db.Put(t.Context(), recording("camera", 0)); err != nil {
		t.Fatal(err)
	}
	check("new")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its folder has %v, %v", info, err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Chmod(name+suffix, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, "sqlite://"+name)
	if err := again.Put(t.Context(), recording("camera", 1)); err != nil {
		t.Fatal(err)
	}
	check("of an earlier version")
}

func TestReopen(t *testing.T) {
	url := "sqlite://" + filepath.Join(t.TempDir(), "catalogue.db")
	db := open(t, url)
	if err := errors.Join(db.Put(t.Context(), recording("camera", 0)), db.Close()); err != nil {
		t.Fatal(err)
	}
	db = open(t, url)
	if _, err := db.Get(t.Context(), recording("camera", 0).RecordDir); err != nil {
		t.Error(err)
	}
	var mode string
	if err := db.read.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal_mode is %q, %v", mode, err)
	}
	if _, err := db.read.ExecContext(t.Context(), "DELETE FROM recordings"); err == nil {
		t.Error("the connections for reading can write")
	}
}

func TestDamagedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "catalogue.db")
	db := open(t, "sqlite://"+file)
	var all []media.Recording
	for i := range 200 {
		all = append(all, recording("camera", i))
	}
	if err := errors.Join(db.PutAll(t.Context(), all), db.Close()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"text":     func([]byte) []byte { return bytes.Repeat([]byte("this is no database\n"), 1000) },
		"no magic": func(d []byte) []byte { return append([]byte("XXXX"), d[4:]...) },
		"pages":    func(d []byte) []byte { return append(d[:8192:8192], bytes.Repeat([]byte{0xa5}, len(d)-8192)...) },
		"cut":      func(d []byte) []byte { return d[:len(d)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "damaged.db")
			if err := os.WriteFile(file, damage(slices.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), "sqlite://"+file)
			if err == nil || !strings.Contains(err.Error(), "database.url") || !strings.Contains(err.Error(), "damaged") ||
				!strings.Contains(err.Error(), file) {
				t.Errorf("error %v; want one that names the option, the file and the damage", err)
			}
		})
	}
	t.Run("folder", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := Open(t.Context(), "sqlite://"+dir); err == nil || !strings.Contains(err.Error(), "cannot be opened") {
			t.Errorf("error %v", err)
		}
	})
}
