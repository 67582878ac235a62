package spool

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// crashDir is the variable that makes this test binary a process that records until
// it is killed.
const crashDir = "LIVE777_SPOOL_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := recordUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// chunk is what a write of the recorder below has; a torn one is shorter.
const chunk = 64

// content returns n chunks of an object, which say whose they are.
func content(key string, n int) string {
	var b strings.Builder
	for i := range n {
		line := fmt.Sprintf("%s chunk %d ", key, i)
		b.WriteString(line + strings.Repeat(".", chunk-1-len(line)) + "\n")
	}
	return b.String()
}

// dirRemote is a remote in a directory, which survives the process that uploads to
// it, and fails now and then.
type dirRemote struct {
	*fs.Store
	dir  string
	fail float64
}

func (r *dirRemote) flaky(store func() error) error {
	if rand.Float64() < r.fail {
		return errDown
	}
	time.Sleep(rand.N(2 * time.Millisecond))
	if err := store(); err != nil {
		return err
	}
	if rand.Float64() < r.fail {
		return fmt.Errorf("the answer is lost: %w", errDown)
	}
	return nil
}

func (r *dirRemote) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return r.flaky(func() error { return r.Store.Put(ctx, key, body, size) })
}

func (r *dirRemote) Add(_ context.Context, key string, body io.Reader, size int64) error {
	return r.flaky(func() error {
		data, err := io.ReadAll(body)
		if err != nil || int64(len(data)) != size {
			return fmt.Errorf("%d bytes: %w", len(data), err)
		}
		temp := filepath.Join(r.dir, ".add-"+fmt.Sprint(rand.Uint64()))
		name := filepath.Join(r.dir, filepath.FromSlash(key))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(temp, data, 0o600)); err != nil {
			return err
		}
		err = errors.Join(os.Link(temp, name), os.Remove(temp))
		if errors.Is(err, iofs.ErrExist) {
			return fault.Wrap(fault.Conflict, err)
		}
		return err
	})
}

func openDirRemote(dir string, fail float64) (*dirRemote, error) {
	dir = filepath.Join(dir, "remote")
	store, err := fs.New(dir, fs.Options{NoSync: true})
	return &dirRemote{store, dir, fail}, err
}

// openCrashed opens the spool that a killed process left, and mends what is torn.
func openCrashed(ctx context.Context, dir string, fail float64) (*Spool, error) {
	remote, err := openDirRemote(dir, fail)
	if err != nil {
		return nil, err
	}
	s, err := New(ctx, Options{
		Dir: filepath.Join(dir, "spool"), Remote: remote, Uploads: 4, NoSync: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	s.tune.backoffMin, s.tune.backoffMax, s.tune.probeMax = time.Millisecond, 10*time.Millisecond, 10*time.Millisecond
	for o, err := range s.disk.objects.List(ctx, "") {
		switch {
		case err != nil:
		case strings.HasSuffix(o.Key, ".m4s") && o.Size%chunk != 0:
			err = s.Repair(ctx, o.Key, o.Size-o.Size%chunk)
		case path.Base(o.Key) == media.InfoName:
			var text string
			if text, err = read(ctx, s, o.Key); err == nil && !json.Valid([]byte(text)) {
				err = s.Delete(ctx, o.Key)
			}
		}
		if err != nil && !errors.Is(err, errDown) {
			return nil, err
		}
	}
	return s, nil
}

// recordUntilKilled makes recordings for ever and prints what is safe: a line with
// the key and the number of chunks, or "mpd", the record_dir and the number of segments.
func recordUntilKilled(dir string) error {
	ctx := context.Background()
	s, err := openCrashed(ctx, dir, 0.15)
	if err != nil {
		return err
	}
	s.Start()
	for i := 0; ; i++ {
		if err := recordOne(ctx, s, fmt.Sprintf("cam%d/%d-%d", i%3, os.Getpid(), i)); err != nil {
			return err
		}
	}
}

func recordOne(ctx context.Context, s *Spool, dir string) error {
	store := func(name, text string) error {
		return s.Put(ctx, path.Join(dir, name), strings.NewReader(text), int64(len(text)))
	}
	f, err := s.Create(ctx, path.Join(dir, media.InfoName))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f, `"started"`); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	segments := 1 + rand.IntN(6)
	for n := range segments {
		key := fmt.Sprintf("%s/seg%d.m4s", dir, n)
		f, err := s.Create(ctx, key)
		if err != nil {
			return err
		}
		chunks := 1 + rand.IntN(20)
		text := content(key, chunks)
		for len(text) > 0 {
			part := text[:min(len(text), 1+rand.IntN(2*chunk))] // kill tears chunks
			text = text[len(part):]
			if _, err := io.WriteString(f, part); err != nil {
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
		fmt.Println(key, chunks)
		if rand.IntN(3) == 0 || n == segments-1 {
			if err := store(media.ManifestName, fmt.Sprint(n+1)); err != nil {
				return err
			}
			if err := store(media.InfoName, fmt.Sprintf(`"%d segments"`, n+1)); err != nil {
				return err
			}
			fmt.Println("mpd", dir, n+1)
		}
	}
	return nil
}

// TestKill: whatever instant a process is killed at, what was safe in the spool is
// remote in the end, once, whole and as it was; and at no time a remote manifest
// names what is not there.
func TestKill(t *testing.T) {
	const kills = 20
	dir := t.TempDir()
	chunks, manifests := map[string]int{}, map[string]int{}
	// On a busy machine a process may have had no time to do anything: more are killed then.
	for n := 0; n < kills || n < 10*kills && (len(chunks) < kills || len(manifests) < kills); n++ {
		out := runAndKill(t, dir, 30*time.Millisecond+rand.N(200*time.Millisecond))
		lines := bufio.NewScanner(bytes.NewReader(out))
		for lines.Scan() {
			var key string
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "mpd %s %d", &key, &n); err == nil {
				manifests[key] = n
			} else if _, err := fmt.Sscanf(lines.Text(), "%s %d", &key, &n); err == nil {
				chunks[key] = n
			}
		}
		checkRemote(t, dir)
	}
	if len(chunks) < kills || len(manifests) < kills {
		t.Fatalf("%d segments, %d manifests in %d runs: too few to tell anything", len(chunks), len(manifests), kills)
	}
	s, err := openCrashed(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	settled(t, s)
	if st := s.Status(); st.Conflicts != 0 {
		t.Errorf("Status = %+v", st)
	}
	closeSpool(t, s)
	remote := checkRemote(t, dir)
	for key, n := range chunks {
		if got, err := read(t.Context(), remote, key); err != nil || got != content(key, n) {
			t.Errorf("%s: %v; %d bytes, want %d", key, err, len(got), n*chunk)
		}
	}
	for record, n := range manifests {
		// A newer one may have been stored before the kill and not printed.
		got, err := read(t.Context(), remote, path.Join(record, media.ManifestName))
		if last, atoiErr := strconv.Atoi(got); err != nil || atoiErr != nil || last < n {
			t.Errorf("manifest of %s = %q, %v; want %d", record, got, err, n)
		}
	}
	t.Logf("%d kills, %d segments, %d recordings", kills, len(chunks), len(manifests))
}

// runAndKill returns what the process printed until it was killed.
func runAndKill(t *testing.T, dir string, after time.Duration) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if stderr.Len() > 0 {
		t.Fatalf("the process failed by itself: %s", stderr.Bytes())
	}
	return stdout.Bytes()
}

// checkRemote holds what is remote against what must hold at any time.
func checkRemote(t *testing.T, dir string) storage.Backend {
	t.Helper()
	remote, err := openDirRemote(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range remote.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		text, err := read(t.Context(), remote, o.Key)
		if err != nil {
			t.Fatal(err)
		}
		if path.Base(o.Key) == media.ManifestName {
			var n int
			if _, err := fmt.Sscan(text, &n); err != nil || n < 1 {
				t.Errorf("%s is torn: %q", o.Key, text)
			}
			for i := range n {
				if _, err := remote.Stat(t.Context(), fmt.Sprintf("%s/seg%d.m4s", path.Dir(o.Key), i)); err != nil {
					t.Errorf("%s names segment %d: %v", o.Key, i, err)
				}
			}
		}
		if path.Ext(o.Key) == ".m4s" && (len(text)%chunk != 0 || text != content(o.Key, len(text)/chunk)) {
			t.Errorf("%s is torn: %d bytes", o.Key, len(text))
		}
	}
	return remote
}
