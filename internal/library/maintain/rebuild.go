package maintain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/library/retention"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// rebuildWorkers is how many recordings are read at the same time.
const rebuildWorkers = 8

// settleTries bounds how often a recording is read again that changes meanwhile.
const settleTries = 5

// RebuildOptions configure Rebuild. Backend and Catalogue are needed.
type RebuildOptions struct {
	Backend   storage.Backend
	Catalogue *catalogue.DB
	// Partial says that the storage may lack what nodes have still to upload: of
	// the recordings that are not there those stay in the catalogue that run, or of
	// which not everything has been stored (DurableThrough).
	Partial bool
	// Index says that sample indexes are made where recordings lack them, for which all
	// their segments are read.
	Index bool
	// Fill says that something is stored for segments that storage has lost, and their time
	// is booked as filled, so that players play on. It stands for them from then on.
	Fill bool
	// InCatalogue returns what the catalogue is to have of a stored recording. row is
	// what it has; nil if nothing. Without InCatalogue it gets what is stored. Several
	// goroutines call it.
	InCatalogue func(stored media.Recording, row *media.Recording) media.Recording
	// Elsewhere reports whether a recording does not concern this rebuild, because it
	// is in other storage or of another node. nil: all concern it.
	Elsewhere func(media.Recording) bool
	// Originals is the name of a file that lists recordings of original nodes of live777, so
	// that it is known which stream is in which folder: index.json of such a node, or stream
	// and mpd_path from the database of an original liveman. Empty: only index.json at the
	// top of the storage does.
	Originals string
	// Node is the name of the node to which recordings of original nodes belong that no
	// list says one of.
	Node string
	// Now replaces time.Now in tests; nil means that.
	Now func() time.Time
	// Progress is called now and then with what was done so far; may be nil.
	Progress func(RebuildSummary)
	Logger   *slog.Logger // nil means slog.Default()
}

// RebuildSummary is what Rebuild has done.
type RebuildSummary struct {
	Recordings int `json:"recordings"` // in storage, that can be read
	Added      int `json:"added"`      // to the catalogue
	Updated    int `json:"updated"`    // in the catalogue
	Removed    int `json:"removed"`    // from it, for they are not in storage
	Adopted    int `json:"adopted"`    // recordings of original nodes of live777, that have been taken up
	Deleted    int `json:"deleted"`    // deletions that were interrupted, and have been ended
	Indexed    int `json:"indexed"`    // sample indexes that were made
	Filled     int `json:"filled"`     // lost segments for which others stand now
	// Running are the record_dirs of recordings that are not sealed: their node
	// runs, or has to be started to seal them.
	Running []string `json:"running"`
	// Originals are the folders that an original node of live777 records into, or did until
	// a moment ago.
	Originals []string `json:"originals"`
	// Kept are those that are not in storage and stay in the catalogue, for they may
	// be on their way (Partial).
	Kept     []string         `json:"kept"`
	Problems []verify.Problem `json:"problems"` // what could not be read, by file
}

// Rebuild makes the catalogue say what the storage does: what is missing is
// added, what differs is brought in line, and what is not in storage any more is
// removed. It may be run at any time and any number of times: where both agree
// nothing changes. A recording.json that cannot be read is among the Problems,
// and leaves the rest alone; an error means that the rebuild did not end.
//
// Nodes that use both meanwhile are not disturbed: of a recording that is being
// written the catalogue's row is newer than recording.json, and stays.
func Rebuild(ctx context.Context, o RebuildOptions) (RebuildSummary, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &rebuild{RebuildOptions: o, seen: map[string]struct{}{}, deleting: map[string]bool{}}
	r.sum.Running, r.sum.Originals, r.sum.Kept, r.sum.Problems = []string{}, []string{}, []string{}, []verify.Problem{}
	err := r.run(ctx)
	slices.Sort(r.sum.Running)
	slices.Sort(r.sum.Originals)
	slices.SortFunc(r.sum.Problems, func(a, b verify.Problem) int { return strings.Compare(a.Where, b.Where) })
	return r.sum, err
}

// rebuild is one Rebuild.
type rebuild struct {
	RebuildOptions

	deleting  map[string]bool // what is being deleted, and is not to come back
	originals originals

	mu   sync.Mutex
	sum  RebuildSummary
	seen map[string]struct{} // folders with a recording.json, readable or not
}

func (r *rebuild) run(ctx context.Context) error {
	if err := r.endDeletions(ctx); err != nil {
		return err
	}
	if err := r.readIndex(ctx); err != nil {
		return err
	}
	if err := each(ctx, folders(ctx, r.Backend, ""), rebuildWorkers, r.folder); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	return r.removeRest(ctx)
}

// endDeletions completes deletions that were under way, so that the recordings do not
// come back. If storage is not all there is (Partial), the node has to do it: it may
// have objects that are not uploaded yet and are to be deleted too.
func (r *rebuild) endDeletions(ctx context.Context) error {
	begun, err := r.Catalogue.Deleting(ctx)
	if err != nil || len(begun) == 0 {
		return err
	}
	for _, dir := range begun {
		r.deleting[dir] = true
	}
	if r.Partial {
		return nil
	}
	keeper, err := retention.New(retention.Options{Backend: r.Backend, Catalogue: r.Catalogue, Logger: r.Logger})
	if err != nil {
		return err
	}
	keeper.Resume(ctx)
	keeper.Apply(ctx)
	for _, dir := range begun {
		if keeper.Deleting(dir) {
			r.problem(dir, "its deletion was begun and cannot be ended; the log tells why")
			continue
		}
		delete(r.deleting, dir)
		r.sum.Deleted++
	}
	return ctx.Err()
}

// folder brings the catalogue in line with the recording in a folder, if there is
// one.
func (r *rebuild) folder(ctx context.Context, f folder) error {
	if r.deleting[f.dir] {
		return nil
	}
	if !f.has(media.InfoName) {
		adopted, err := r.adopt(ctx, &f)
		if err != nil && damaged(err) {
			r.problem(f.dir, fault.Text(err))
			return nil
		}
		if err != nil || !adopted {
			return err
		}
	}
	r.mu.Lock()
	r.seen[f.dir] = struct{}{}
	r.mu.Unlock()
	rec, moved, err := readInfo(ctx, r.Backend, f.dir)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil // deleted since it was listed
	case err != nil && damaged(err):
		r.problem(f.dir+"/"+media.InfoName, err.Error())
		return nil
	case err != nil:
		return err
	}
	if r.Elsewhere != nil && r.Elsewhere(rec) {
		return nil
	}
	if moved {
		r.Logger.Info("a recording lies elsewhere than its recording.json says; its folder counts", "stream", rec.Stream, "record_dir", f.dir)
	}
	if r.Fill {
		if rec, err = r.fill(ctx, rec, f); err != nil && !damaged(err) {
			return err
		}
		if err != nil {
			r.problem(f.dir, fault.Text(err))
		}
	}
	if err := r.settle(ctx, rec); err != nil {
		if fault.KindOf(err) != fault.Invalid {
			return err
		}
		r.problem(f.dir+"/"+media.InfoName, err.Error())
		return nil
	}
	if r.Index && rec.Status != media.StatusRecording {
		if err := r.indexes(ctx, rec, f); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Recordings++
	if rec.Status == media.StatusRecording {
		r.sum.Running = append(r.sum.Running, f.dir)
	}
	r.progress()
	return nil
}

// settle stores a recording in the catalogue and reads storage again until both agree.
// A node may seal, protect or delete it at the same time, and what it wrote must not
// stay overwritten by what was read before.
func (r *rebuild) settle(ctx context.Context, rec media.Recording) error {
	for try := range settleTries {
		changed, err := r.store(ctx, rec, try == 0)
		if err != nil || !changed {
			return err
		}
		now, _, err := readInfo(ctx, r.Backend, rec.RecordDir)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return r.Catalogue.Delete(ctx, rec.RecordDir)
		case err != nil:
			return err
		case Same(now, rec):
			return nil
		}
		rec = now
	}
	return fault.Errorf(fault.Invalid, "it changes all the time")
}

// store stores a recording where the catalogue says something else.
func (r *rebuild) store(ctx context.Context, rec media.Recording, count bool) (changed bool, err error) {
	row, err := r.Catalogue.Get(ctx, rec.RecordDir)
	known := err == nil
	if err != nil && !errors.Is(err, catalogue.ErrNotFound) {
		return false, err
	}
	if r.InCatalogue != nil && known {
		rec = r.InCatalogue(rec, &row)
	} else if r.InCatalogue != nil {
		rec = r.InCatalogue(rec, nil)
	}
	if known && (rec.Status == media.StatusRecording || Same(row, rec)) {
		return false, nil
	}
	if known && movie.IsBooked(row, rec) {
		objects, err := objectsIn(ctx, r.Backend, rec.RecordDir)
		if err != nil {
			return false, err
		}
		if rec, err = booked(ctx, r.Backend, rec, folder{rec.RecordDir, objects}); err != nil || Same(row, rec) {
			return false, err
		}
	}
	if err := r.Catalogue.Put(ctx, rec); err != nil {
		return false, err
	}
	if !count {
		return true, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known {
		r.sum.Updated++
	} else {
		r.sum.Added++
	}
	return true, nil
}

// removeRest removes the recordings that are not in storage.
func (r *rebuild) removeRest(ctx context.Context) error {
	var c media.Cursor
	for {
		changes, next, err := r.Catalogue.Follow(ctx, c, pageSize)
		if err != nil {
			return err
		}
		for _, change := range changes {
			if _, ok := r.seen[change.RecordDir]; ok || change.Deleted || r.Elsewhere != nil && r.Elsewhere(*change.Recording) {
				continue
			}
			if err := r.removeRow(ctx, *change.Recording); err != nil {
				return err
			}
		}
		if len(changes) < pageSize {
			return nil
		}
		c = next
	}
}

// removeRow removes a recording of which no recording.json was seen, if there is
// still none, and it is not waiting for its upload.
func (r *rebuild) removeRow(ctx context.Context, rec media.Recording) error {
	dir := rec.RecordDir
	switch _, err := r.Backend.Stat(ctx, dir+"/"+media.InfoName); {
	case err == nil:
		return nil // it has begun since, and its node has told the catalogue
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if r.Partial && !Stored(rec) {
		r.sum.Kept = append(r.sum.Kept, dir)
		return nil
	}
	own, err := objectsIn(ctx, r.Backend, dir)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		r.problem(dir, fmt.Sprintf("has no %s, but %d other objects of a recording; it stays in the catalogue", media.InfoName, len(own)))
		return nil
	}
	if err := r.Catalogue.Delete(ctx, dir); err != nil {
		return err
	}
	r.Logger.Info("a recording that is not in storage is taken out of the catalogue", "stream", rec.Stream, "record_id", rec.RecordID, "record_dir", dir)
	r.sum.Removed++
	return nil
}

// objectsIn returns the objects of the recording in a folder.
func objectsIn(ctx context.Context, backend storage.Backend, dir string) ([]storage.Object, error) {
	for f, err := range folders(ctx, backend, dir) {
		if err != nil {
			return nil, err
		}
		if f.dir == dir {
			own, _ := f.recorded()
			return own, nil
		}
	}
	return nil, nil
}

func (r *rebuild) problem(where, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Problems = append(r.sum.Problems, verify.Problem{Where: where, What: what})
}

// progress reports what was done. Called with mu held.
func (r *rebuild) progress() {
	if r.Progress != nil {
		r.Progress(r.sum)
	}
}
