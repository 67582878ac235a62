//go:build !norecorder

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	rec "github.com/live777/recorder/internal/record/recorder"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/storage/journal"
	"github.com/live777/recorder/internal/storage/remote"
	"github.com/live777/recorder/internal/storage/spool"
)

const (
	// journalFolder is where the journals of running recordings are, below what is
	// on the local disk; its dot keeps it out of reach of every object's key.
	journalFolder = ".live777-journals"

	// remoteName is the file of the spool's folder that says which remote storage
	// has been found to work, and what waits is for.
	remoteName = "remote"

	// checkTimeout bounds how long the start waits for remote storage.
	checkTimeout = 30 * time.Second
)

// depot is where a node keeps its recordings.
type depot struct {
	rec.Store
	kind     string // recorder.storage.type
	place    string // for people
	journals *journal.Dir
	notes    string                // the folder that they are in
	spool    *spool.Spool          // nil where storage is a local folder
	watch    func(*health.Watch)   // adds what is to be looked at
	free     func() (int64, error) // free bytes; nil where storage is not a local folder
	close    func(ctx context.Context) error
}

// openDepot opens the storage that a node is configured to have. Nothing is
// uploaded before start.
func openDepot(ctx context.Context, o config.Recorder, log *slog.Logger) (d *depot, err error) {
	noSync := syncOf(o) == segmenter.SyncOff
	local := o.Spool.Dir
	if o.Storage.Type == config.StorageFS {
		local = o.Storage.Root
		d, err = openFolder(o, noSync, log)
	} else {
		d, err = openSpool(ctx, o, noSync, log)
	}
	if err != nil {
		return nil, err
	}
	d.kind = o.Storage.Type
	d.notes = filepath.Join(local, journalFolder)
	d.journals = journal.Open(d.notes, noSync)
	return d, nil
}

// syncOf translates recorder.fsync.
func syncOf(o config.Recorder) segmenter.Sync {
	return map[string]segmenter.Sync{
		"off": segmenter.SyncOff, "segment": segmenter.SyncSegment, "chunk": segmenter.SyncChunk,
	}[o.Fsync]
}

func openFolder(o config.Recorder, noSync bool, log *slog.Logger) (*depot, error) {
	store, err := fs.New(o.Storage.Root, fs.Options{Mode: o.Storage.FileMode.Mode(), NoSync: noSync, Logger: log})
	if err != nil {
		return nil, err
	}
	d := &depot{Store: store, place: o.Storage.Root, free: store.Free, close: func(context.Context) error { return store.Close() }}
	look := folderLook{
		look: func(context.Context) (bool, error) { return store.Look() },
		then: d.lookNotes,
		told: "the folder of recorder.storage.root was replaced at %s: recordings that ran have ended, and what was recorded before is in the former folder, if that is still there",
	}
	d.watch = func(h *health.Watch) { h.Add(placeStorage, look.find) }
	return d, nil
}

func openSpool(ctx context.Context, o config.Recorder, noSync bool, log *slog.Logger) (*depot, error) {
	backend, err := remote.Open(ctx, o.Storage, log)
	if err != nil {
		return nil, err
	}
	sp, err := spool.New(ctx, spool.Options{
		Dir: o.Spool.Dir, Remote: remote.Traced(backend), MaxBytes: o.Spool.MaxBytes.Bytes(), Uploads: o.Spool.Uploads,
		NoSync: noSync, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if err := checkRemote(ctx, o, backend, sp, log); err != nil {
		return nil, errors.Join(err, sp.Close(ctx))
	}
	d := &depot{Store: sp, place: fmt.Sprintf("%s, by way of %s", describe(o.Storage), o.Spool.Dir), spool: sp, close: sp.Close}
	look := folderLook{
		look: sp.Look,
		then: func() error { return errors.Join(d.lookNotes(), keepName(o)) },
		told: "the folder of recorder.spool.dir was removed or replaced at %s and has been opened anew: recordings that ran have ended, and what was not uploaded yet is in the former folder, if that is still there",
	}
	d.watch = func(h *health.Watch) {
		h.Add(placeStorage, func(context.Context) error { return lookRemote(sp.Status()) })
		h.Add("spool", func(ctx context.Context) error {
			err := look.find(ctx) // which finds out what is lost
			return errors.Join(err, lookSpool(sp.Status()))
		})
	}
	return d, nil
}

// lookNotes has what runs noted where the next start looks for it.
func (d *depot) lookNotes() error {
	if err := d.journals.Look(); err != nil {
		return fmt.Errorf("what is being recorded cannot be noted, and would not be mended after a crash: %w", storage.ClassifyLocal(err))
	}
	return nil
}

// keepName writes again which remote storage has been found to work, where somebody has
// removed that: without it a node does not start while that is away.
func keepName(o config.Recorder) error {
	name := filepath.Join(o.Spool.Dir, remoteName)
	_, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		err = writeName(name, o.Storage)
	}
	return storage.ClassifyLocal(err)
}

func writeName(name string, o config.Storage) error {
	return os.WriteFile(name, []byte(describe(o)+"\n"), 0o600)
}

// start begins to upload.
func (d *depot) start() {
	if d.spool != nil {
		d.spool.Start()
	}
}

// checkRemote finds out whether the remote storage can be used. One that does not
// answer is no obstacle if it has been seen to work with this configuration: a
// node that is started during an outage records, and uploads later.
func checkRemote(ctx context.Context, o config.Recorder, backend remote.Storage, sp *spool.Spool, log *slog.Logger) error {
	name := filepath.Join(o.Spool.Dir, remoteName)
	now := describe(o.Storage)
	known, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("recorder.spool.dir: %w", err)
	}
	before := strings.TrimSpace(string(known))
	if st := sp.Status(); before != "" && before != now && st.WaitingObjects+st.OpenObjects > 0 {
		return fault.Errorf(fault.Invalid, "recorder.spool.dir %q has %d objects that wait for %s, and recorder.storage is %s now: "+
			"run once with the former settings until they are uploaded, or name another spool", o.Spool.Dir, st.WaitingObjects+st.OpenObjects, before, now)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err = backend.Check(ctx)
	switch {
	case err == nil:
		if before == now {
			return nil
		}
		return writeName(name, o.Storage)
	case before == now && fault.KindOf(err) != fault.Invalid:
		log.Error("storage cannot be used now: what is recorded waits in the spool", "error", err)
		return nil
	}
	return err
}

// describe names a remote storage, without its credentials.
func describe(o config.Storage) string {
	return fmt.Sprintf("%s bucket %q, root %q, region %q, endpoint %q", o.Type, o.Bucket, strings.Trim(o.Root, "/"), o.Region, o.Endpoint)
}

// freeDisks returns the free bytes of the disk that recordings are written to, by what
// it is for: none where that cannot be told.
func (d *depot) freeDisks() map[string]int64 {
	name, free := placeStorage, d.free
	if d.spool != nil {
		name, free = "spool", d.spool.Free
	}
	if bytes, err := free(); err == nil {
		return map[string]int64{name: bytes}
	}
	return nil
}
