package manager

import (
	"context"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/media"
)

const (
	// foundTTL is how long an answer of the catalogue about a folder is kept, because a
	// player fetches many objects of one folder. Changes by this manager end it at
	// once. Changes by another manager that shares the database do not.
	foundTTL = 3 * time.Second
	// maxFound bounds the cache.
	maxFound = 4096
)

// foundCache remembers which recording a folder is of.
type foundCache struct {
	now func() time.Time

	mu    sync.Mutex
	byDir map[string]found
	epoch uint64 // of the last forget: what was looked up before is not kept
}

type found struct {
	recording media.Recording
	until     time.Time
	verified  bool // shared storage has it as the recording of its stream
}

func newFoundCache(now func() time.Time) *foundCache {
	return &foundCache{now: now, byDir: map[string]found{}}
}

func (c *foundCache) get(dir string) (r media.Recording, epoch uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.byDir[dir]
	return f.recording, c.epoch, ok && c.now().Before(f.until)
}

func (c *foundCache) put(dir string, r media.Recording, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch != c.epoch {
		return
	}
	if len(c.byDir) >= maxFound {
		clear(c.byDir) // asking again costs little
	}
	c.byDir[dir] = found{recording: r, until: c.now().Add(foundTTL)}
}

// isVerified reports whether a recording, which was found, was verified.
func (c *foundCache) isVerified(r media.Recording) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.byDir[r.RecordDir]
	return f.verified && f.recording.Stream == r.Stream && c.now().Before(f.until)
}

// verified notes that a recording was verified, if it is still known since epoch.
func (c *foundCache) verified(r media.Recording, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.byDir[r.RecordDir]; ok && epoch == c.epoch && f.recording.Stream == r.Stream {
		f.verified = true
		c.byDir[r.RecordDir] = f
	}
}

// forget drops what is known of the recording that the catalogue has as dir, by
// that name and by the one that its node has for it.
func (c *foundCache) forget(dir string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byDir, dir)
	if mounted, ok := strings.CutPrefix(dir, folder.Mark); ok {
		_, own, _ := strings.Cut(mounted, "/")
		delete(c.byDir, own)
	}
	c.epoch++
}

// clear drops everything.
func (c *foundCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byDir)
	c.epoch++
}

// find returns the recording in a folder. dir may be a folder of the shared storage,
// which comes first, a folder as its node has it, or "@alias/folder". If several nodes
// have the folder, the error is a fault.Conflict that asks for the last form.
func (f *fleet) find(ctx context.Context, dir string) (media.Recording, error) {
	r, epoch, ok := f.found.get(dir)
	if ok {
		return r, nil
	}
	names := []string{dir}
	if !folder.IsMounted(dir) {
		for _, n := range f.all() {
			if n.Keeps() {
				names = append(names, n.Key(dir))
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	all, err := f.o.Catalogue.FindAll(ctx, names)
	if err != nil {
		return media.Recording{}, unavailable(err)
	}
	all = slices.DeleteFunc(all, f.isGone)
	if i := slices.IndexFunc(all, func(r media.Recording) bool { return r.RecordDir == dir }); i >= 0 {
		all = all[i : i+1] // by its own name: whatever nodes have, this is meant
	}
	switch len(all) {
	case 0:
		return media.Recording{}, catalogue.ErrNotFound
	case 1:
		f.found.put(dir, all[0], epoch)
		return all[0], nil
	}
	var choices []string
	for _, r := range all {
		choices = append(choices, r.RecordDir)
	}
	return media.Recording{}, fault.Errorf(fault.Conflict, "several nodes have a folder %q; name one: %s", dir, strings.Join(choices, ", ")).Coded("folder_on_several")
}

// findObject is find for the key of an object. It also returns the object's path on the
// node or in the shared storage.
func (f *fleet) findObject(ctx context.Context, key string) (r media.Recording, own string, err error) {
	if err := media.CheckPath(key); err != nil {
		return r, "", err
	}
	if !media.IsServedName(path.Base(key)) {
		return r, "", noObject(key)
	}
	if r, err = f.find(ctx, path.Dir(key)); err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = noObject(key)
		}
		return r, "", err
	}
	return r, path.Join(folder.Unmount(r).RecordDir, path.Base(key)), nil
}

func noObject(key string) error {
	return fault.Errorf(fault.NotFound, "there is no recorded object %q", key).Coded("object_unknown")
}

// verify checks a recording against its recording.json before the manager uses its own
// rights in shared storage. A node that has registered itself might say that a
// recording belongs to another stream than it does.
func (f *fleet) verify(ctx context.Context, r media.Recording) error {
	n := f.node(r.Node)
	if n != nil && n.source == configured || f.found.isVerified(r) {
		return nil
	}
	_, epoch, _ := f.found.get(r.RecordDir)
	stored, found, err := f.shared.Read(ctx, r.RecordDir)
	if err != nil {
		return fault.Errorf(fault.Unavailable, "shared storage does not answer: %w", err).Coded("storage_away")
	}
	if found && stored.Stream == r.Stream || !found && (n == nil || n.IsOriginal()) { // which do not describe what they record
		f.found.verified(r, epoch)
		return nil
	}
	f.log.Warn("a node has told of a recording that shared storage does not have as it says", "node", r.Node, "stream", r.Stream, "record_dir", r.RecordDir)
	return fault.Errorf(fault.NotFound, "there is no recording %q", r.RecordDir).Coded("recording_unknown", "recording", r.RecordDir)
}
