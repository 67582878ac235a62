// Package journal keeps append-only files of JSON lines, one for each thing that
// is under way, on a local disk. A journal is locked by the process that writes it
// and removed when the thing has come to its end: those that nobody has locked are
// of processes that have died.
package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/live777/recorder/internal/base/filelock"
)

const (
	extension = ".journal"
	// What runs is nobody else's business on this machine.
	dirMode, fileMode = 0o700, 0o600
	// maxLine bounds a line that is read, in bytes.
	maxLine = 16 << 20
)

// Dir is a folder of journals. Safe for concurrent use.
type Dir struct {
	path   string
	noSync bool

	mu   sync.Mutex
	open map[*Journal]struct{}
}

// Open returns the folder path, which is made with the first journal. With noSync
// the operating system decides when what is written reaches the disk: a power
// failure may then cost what the death of the process does not.
func Open(path string, noSync bool) *Dir {
	return &Dir{path: path, noSync: noSync, open: map[*Journal]struct{}{}}
}

// Create begins the journal of what name stands for, which may be any text. Where
// there is one already the error is io/fs.ErrExist.
func (d *Dir) Create(name string) (*Journal, error) {
	sum := sha256.Sum256([]byte(name))
	f, err := d.create(filepath.Join(d.path, hex.EncodeToString(sum[:16])+extension), nil)
	if err != nil {
		return nil, err
	}
	return d.own(f), nil
}

// create makes the file of a journal with a content; nil is none.
func (d *Dir) create(path string, content io.Reader) (*os.File, error) {
	if err := os.MkdirAll(d.path, dirMode); err != nil {
		return nil, fmt.Errorf("make the folder of journals: %w", err)
	}
	// Of another version others may have had it.
	if err := os.Chmod(d.path, dirMode); err != nil {
		return nil, fmt.Errorf("keep the folder of journals from others: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, fileMode)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	err = filelock.Lock(f)
	if err == nil && content != nil {
		if _, err = io.Copy(f, content); err == nil && !d.noSync {
			err = f.Sync()
		}
	}
	if err == nil {
		err = d.sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create journal: %w", err), f.Close(), os.Remove(path))
	}
	return f, nil
}

// own returns the journal of a file that is this process's.
func (d *Dir) own(f *os.File) *Journal {
	j := &Journal{dir: d, path: f.Name(), f: f}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[j] = struct{}{}
	return j
}

// Look finds out whether the journals that are open are still where the next run looks
// for them. One that is not, because its folder was removed or replaced, is made anew
// with all that it had. The error says what keeps it from that.
func (d *Dir) Look() error {
	d.mu.Lock()
	journals := slices.Collect(maps.Keys(d.open))
	d.mu.Unlock()
	var errs []error
	for _, j := range journals {
		errs = append(errs, j.renew())
	}
	return errors.Join(errs...)
}

// Orphans returns the journals whose processes have died, which are now this
// one's.
func (d *Dir) Orphans() ([]*Journal, error) {
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for journals: %w", err)
	}
	var orphans []*Journal
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), extension) {
			continue
		}
		f, err := os.OpenFile(filepath.Join(d.path, e.Name()), os.O_RDWR|os.O_APPEND, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its process has just ended what it was of
		}
		if err != nil {
			return orphans, fmt.Errorf("open journal: %w", err)
		}
		err = filelock.Lock(f)
		if err == nil && !named(f) {
			err = filelock.ErrLocked // its owner has just removed it
		}
		if err != nil {
			_ = f.Close() // nothing was written
			if errors.Is(err, filelock.ErrLocked) {
				continue
			}
			return orphans, fmt.Errorf("lock journal: %w", err)
		}
		orphans = append(orphans, d.own(f))
	}
	return orphans, nil
}

// named reports whether a file is still the one of its name.
func named(f *os.File) bool {
	there, err := os.Stat(f.Name())
	if err != nil {
		return false
	}
	here, err := f.Stat()
	return err == nil && os.SameFile(here, there)
}

// sync makes the names in the folder durable.
func (d *Dir) sync() error {
	if d.noSync {
		return nil
	}
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Journal is one file. Safe for concurrent use.
type Journal struct {
	dir  *Dir
	path string

	mu   sync.Mutex
	f    *os.File
	size int64 // of the lines that are whole
	err  error // sticky: a torn line could not be taken away
	over bool  // closed, or removed
}

// Path returns the file's path, for messages.
func (j *Journal) Path() string { return j.path }

// renew makes the file anew that has lost its name. What is open can still be read. One
// that is there under the name is a copy, with which somebody has replaced the folder:
// it is left alone.
func (j *Journal) renew() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over || named(j.f) {
		return nil
	}
	info, err := j.f.Stat()
	if err != nil {
		return fmt.Errorf("look at journal: %w", err)
	}
	f, err := j.dir.create(j.path, io.NewSectionReader(j.f, 0, info.Size()))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	former := j.f
	j.f = f
	return former.Close()
}

// end closes the file when it has done what comes before that. From then on renew lets
// it be.
func (j *Journal) end(before func() error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = true
	j.dir.mu.Lock()
	delete(j.dir.open, j)
	j.dir.mu.Unlock()
	return errors.Join(before(), j.f.Close())
}

// Append adds v as a line, which is safe from the death of the process when
// Append returns and, where durable, from a power failure.
func (j *Journal) Append(v any, durable bool) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	n, err := j.f.Write(append(line, '\n'))
	if err != nil && n > 0 {
		// What would be appended now would go on with a torn line.
		if cutErr := j.f.Truncate(j.size); cutErr != nil {
			j.err = fmt.Errorf("append to journal: %w; cut the torn line off: %w", err, cutErr)
			return j.err
		}
	}
	if err == nil {
		j.size += int64(n)
	}
	if err == nil && durable && !j.dir.noSync {
		err = j.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	return nil
}

// Read calls visit with each line. The first that is no JSON, which a power
// failure left, is cut off together with what follows. It ends with the first error of visit.
func (j *Journal) Read(visit func(line []byte) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	var whole int64
	lines := bufio.NewScanner(j.f)
	lines.Buffer(nil, maxLine)
	lines.Split(splitLines)
	for lines.Scan() {
		line := lines.Bytes()
		if !json.Valid(line) {
			break
		}
		if err := visit(line); err != nil {
			return err
		}
		whole += int64(len(line)) + 1
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("read journal: %w", err)
	}
	if err := j.f.Truncate(whole); err != nil {
		return fmt.Errorf("cut the torn end of a journal off: %w", err)
	}
	j.size = whole
	return nil
}

// splitLines is bufio.ScanLines but for a last line without its end, which is
// torn, and for carriage returns, which are none of its business.
func splitLines(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}

// Close lets the journal be another process's.
func (j *Journal) Close() error {
	if err := j.end(func() error { return nil }); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// Remove ends the journal.
func (j *Journal) Remove() error {
	err := j.end(func() error {
		if err := os.Remove(j.path); !errors.Is(err, fs.ErrNotExist) { // else with the folder
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove journal: %w", err)
	}
	return nil
}
