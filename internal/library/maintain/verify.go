package maintain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// verifyWorkers is how many recordings are checked at the same time; each
	// needs memory for a segment.
	verifyWorkers = 4

	// idle is after how long without a write a recording counts as abandoned: a
	// publisher may be waited for, and uploads may be late.
	idle = 10 * time.Minute

	// durationError is by how much recording.json and the manifest may differ,
	// in seconds: both are rounded.
	durationError = 0.002
)

// VerifyOptions configure Verify. Backend and Catalogue are needed.
type VerifyOptions struct {
	Backend   storage.Backend
	Catalogue *catalogue.DB
	Prefixes  []string // only what is in these folders; empty: everything
	// Partial says that storage may lack what nodes have yet to upload. A recording
	// that is not there then stays in the catalogue if it runs, or if not everything of
	// it has been stored (DurableThrough).
	Partial bool
	// Waiting has the sizes of what the node Node has still to upload, by keys; nil: it
	// is not known.
	Waiting map[string]int64
	Node    string
	// Read reports whether a recording is read whole; of others names and sizes are
	// compared. nil: each is.
	Read func(recordDir string) bool
	// Report is called with what was found in each folder, by one goroutine at a
	// time, in no order.
	Report func(Finding)
	// Decoder decodes what is recorded; nil: nothing is decoded.
	Decoder *verify.Decoder
	Now     func() time.Time // nil means time.Now
}

// Finding is what Verify has found out about a recording, or about a folder with
// objects that are of none.
type Finding struct {
	RecordDir string           `json:"record_dir"`
	Stream    string           `json:"stream,omitempty"`
	Status    media.Status     `json:"status,omitempty"`
	Bytes     int64            `json:"bytes"`
	Problems  []verify.Problem `json:"problems,omitempty"` // file, and what is wrong with it
	Note      string           `json:"note,omitempty"`     // what is worth knowing and no problem
	Error     string           `json:"error,omitempty"`    // why it could not be checked
	// Players says what there is in a recording ("all"), and what players would
	// show of it.
	Players []verify.Forecast `json:"players,omitempty"`
	Decoded *verify.Decoded   `json:"decoded,omitempty"` // where that was asked for
	// Orphans is the number of objects that look like a recording's and are of none.
	Orphans int `json:"orphans,omitempty"`
}

// VerifySummary sums up Findings.
type VerifySummary struct {
	Recordings int   `json:"recordings"`
	Bytes      int64 `json:"bytes"`     // of these
	Running    int   `json:"running"`   // are being recorded
	Bad        int   `json:"bad"`       // folders with problems
	Problems   int   `json:"problems"`  // in these
	Unchecked  int   `json:"unchecked"` // could not be checked
	Orphans    int   `json:"orphans"`   // objects of no recording
	Foreign    int   `json:"foreign"`   // files that have nothing to do with recordings
}

// Verify checks every recording: that it is there, complete and well formed, its
// timeline, its sizes, that it is sealed, and that the catalogue agrees; and that
// storage has no objects of no recording. What is wrong goes to Report. An error
// means that the check did not end.
func Verify(ctx context.Context, o VerifyOptions) (VerifySummary, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Prefixes) == 0 {
		o.Prefixes = []string{""}
	}
	v := &checker{VerifyOptions: o, seen: map[string]struct{}{}, deleting: map[string]bool{}, waits: map[string][]string{}}
	for key := range o.Waiting {
		v.waits[path.Dir(key)] = append(v.waits[path.Dir(key)], key)
	}
	dirs, err := o.Catalogue.Deleting(ctx)
	if err != nil {
		return v.sum, err
	}
	for _, dir := range dirs {
		v.deleting[dir] = true
	}
	for _, prefix := range o.Prefixes {
		if err := each(ctx, folders(ctx, o.Backend, prefix), verifyWorkers, v.folder); err != nil {
			return v.sum, fmt.Errorf("verify: %w", err)
		}
	}
	return v.sum, v.rows(ctx)
}

// checker is one Verify.
type checker struct {
	VerifyOptions
	deleting map[string]bool
	waits    map[string][]string // keys of Waiting, by their folders

	mu   sync.Mutex
	sum  VerifySummary
	seen map[string]struct{} // folders that have objects of a recording
}

// report adds a finding to the summary and hands it on.
func (v *checker) report(f Finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.Orphans == 0 && f.Stream != "" {
		v.sum.Recordings++
		v.sum.Bytes += f.Bytes
	}
	if f.Status == media.StatusRecording && len(f.Problems) == 0 {
		v.sum.Running++
	}
	if len(f.Problems) > 0 {
		v.sum.Bad++
		v.sum.Problems += len(f.Problems)
	}
	if f.Error != "" {
		v.sum.Unchecked++
	}
	v.sum.Orphans += f.Orphans
	if v.Report != nil {
		v.Report(f)
	}
}

// folder checks one folder.
func (v *checker) folder(ctx context.Context, f folder) error {
	own, others := f.recorded()
	v.mu.Lock()
	v.sum.Foreign += others
	if len(own) > 0 {
		v.seen[f.dir] = struct{}{}
	}
	v.mu.Unlock()
	switch {
	case len(own) == 0:
	case v.deleting[f.dir]:
		v.report(Finding{RecordDir: f.dir, Note: "is being deleted"})
	case !f.has(media.InfoName):
		v.orphans(ctx, f, own)
	default:
		return v.recording(ctx, f, own)
	}
	return ctx.Err()
}

// orphans reports objects without a recording.json, unless they have just been
// deleted.
func (v *checker) orphans(ctx context.Context, f folder, own []storage.Object) {
	finding := Finding{RecordDir: f.dir, Orphans: len(own)}
	for _, o := range own {
		finding.Bytes += o.Size
	}
	if _, err := v.Backend.Stat(ctx, own[0].Key); errors.Is(err, storage.ErrNotFound) {
		return
	}
	finding.Problems = []verify.Problem{{
		Where: f.dir,
		What:  fmt.Sprintf("%d objects with %d bytes are of no recording: there is no %s", len(own), finding.Bytes, media.InfoName),
	}}
	v.report(finding)
}

// recording checks a recording. One that changes while it is checked is checked
// again.
func (v *checker) recording(ctx context.Context, f folder, own []storage.Object) error {
	for try := 1; ; try++ {
		finding, before, err := v.check(ctx, f, own)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now, _, infoErr := readInfo(ctx, v.Backend, f.dir)
		switch {
		case errors.Is(infoErr, storage.ErrNotFound):
			return nil // deleted meanwhile
		case (err != nil || len(finding.Problems) > 0) && infoErr == nil && before != nil && !Same(*before, now) && try < settleTries:
			continue
		case err != nil:
			finding.Error = err.Error()
		}
		v.report(finding)
		return nil
	}
}

// check checks a recording and returns what recording.json said of it. An error
// means that storage or catalogue failed.
func (v *checker) check(ctx context.Context, f folder, own []storage.Object) (finding Finding, info *media.Recording, err error) {
	finding = Finding{RecordDir: f.dir}
	rec, moved, err := readInfo(ctx, v.Backend, f.dir)
	if err != nil && !damaged(err) {
		return finding, nil, err
	}
	problem := func(where, format string, args ...any) {
		finding.Problems = append(finding.Problems, verify.Problem{Where: path.Join(f.dir, where), What: fmt.Sprintf(format, args...)})
	}
	known, whole := err == nil, v.Read == nil || v.Read(f.dir)
	if known {
		info, finding.Stream, finding.Status = &rec, rec.Stream, rec.Status
		if moved {
			problem(media.InfoName, "says that the recording is in another folder")
		}
		if err := v.row(ctx, rec, f, whole, problem); err != nil {
			return finding, info, err
		}
	} else {
		problem(media.InfoName, "%v", err)
	}
	if rec.Status == media.StatusRecording {
		v.running(rec, own, &finding, problem)
	}
	if known && !whole {
		v.bySize(rec, f, own, &finding, problem)
		return finding, info, nil
	}
	read, err := verify.CheckRecording(ctx, v.Backend, f.dir)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		noManifest(rec, own, problem)
		return finding, info, nil
	case err != nil && v.failing(ctx, f.dir, err):
		return finding, info, err
	case err != nil:
		problem(media.ManifestName, "%v", err)
		return finding, info, nil
	}
	finding.Bytes = read.Bytes
	for _, p := range append(read.Problems, verify.Audit(read)...) {
		problem(p.Where, "%s", p.What)
	}
	if known && rec.Status != media.StatusRecording {
		compare(rec, read, problem)
	}
	finding.Players = verify.Forecasts(read)
	if v.Decoder == nil {
		return finding, info, nil
	}
	decoded, undecodable, err := v.Decoder.Decode(ctx, v.Backend, read)
	finding.Decoded = decoded
	for _, p := range undecodable {
		problem(p.Where, "%s", p.What)
	}
	return finding, info, err
}

// failing tells failing storage from a manifest that cannot be parsed, which can be
// fetched.
func (v *checker) failing(ctx context.Context, dir string, err error) bool {
	if fault.KindOf(err) == fault.Unavailable || ctx.Err() != nil {
		return true
	}
	body, err := v.Backend.Get(ctx, path.Join(dir, media.ManifestName), 0, -1)
	if err != nil {
		return true
	}
	_ = body.Close() // nothing was written
	return false
}

// noManifest says whether a recording may be without one: before its first
// segment is closed, and where nothing came.
func noManifest(rec media.Recording, own []storage.Object, problem func(where, format string, args ...any)) {
	segments := slices.ContainsFunc(own, func(o storage.Object) bool { return strings.Contains(path.Base(o.Key), "_seg_") })
	if rec.Status == media.StatusRecording || rec.Status == media.StatusFailed && !segments {
		return
	}
	problem(media.ManifestName, "does not exist")
}

// running looks whether a recording that is not sealed is being written.
func (v *checker) running(rec media.Recording, own []storage.Object, f *Finding, problem func(where, format string, args ...any)) {
	last := slices.MaxFunc(own, func(a, b storage.Object) int { return a.Modified.Compare(b.Modified) }).Modified
	if since := v.Now().Sub(last); since > idle {
		by := "its node"
		if rec.Node != "" {
			by = fmt.Sprintf("node %q", rec.Node)
		}
		problem(media.InfoName, "is not sealed, and nothing was written for %v: start %s, which seals it", since.Round(time.Second), by)
		return
	}
	f.Note = "is being recorded"
}

// compare compares what recording.json and the manifest say.
func compare(rec media.Recording, read *verify.Recording, problem func(where, format string, args ...any)) {
	if read.Dynamic {
		problem(media.ManifestName, "is that of a recording that runs, but the recording is %s", rec.Status)
		return
	}
	if read.Bytes != rec.Bytes {
		problem(media.InfoName, "says %d bytes, the files have %d", rec.Bytes, read.Bytes)
	}
	if d := read.Duration.Seconds(); math.Abs(d-rec.Duration) > durationError {
		problem(media.InfoName, "says that it lasts %.3f s, the manifest %.3f s", rec.Duration, d)
	}
}

// row compares a recording with its row in the catalogue.
func (v *checker) row(ctx context.Context, rec media.Recording, f folder, whole bool, problem func(where, format string, args ...any)) error {
	row, err := v.Catalogue.Get(ctx, rec.RecordDir)
	switch {
	case errors.Is(err, catalogue.ErrNotFound):
		problem("", "is not in the catalogue: live777 rebuild adds it")
	case err != nil:
		return err
	case rec.Status == media.StatusRecording, !whole && Same(row, rec):
	default:
		return v.noteLost(ctx, row, rec, f, problem)
	}
	return nil
}

// noteLost compares a sealed recording with its row, and notes in the catalogue which of its
// segments the storage has lost.
func (v *checker) noteLost(ctx context.Context, row, rec media.Recording, f folder, problem func(where, format string, args ...any)) error {
	now := rec
	if !v.Partial || Stored(rec) {
		var err error
		if now, err = booked(ctx, v.Backend, rec, f); err != nil {
			return err
		}
	}
	switch {
	case Same(row, now):
	case Same(row, rec), movie.IsBooked(row, rec) && movie.IsBooked(now, rec):
		return v.Catalogue.Put(ctx, now)
	default:
		problem("", "the catalogue says something else (%s): live777 rebuild corrects it", differences(row, rec))
	}
	return nil
}

// differences names what differs between a row and recording.json.
func differences(row, rec media.Recording) string {
	var names []string
	for name, differs := range map[string]bool{
		"stream": row.Stream != rec.Stream, "status": row.Status != rec.Status, "bytes": row.Bytes != rec.Bytes,
		"duration": row.Duration != rec.Duration, "protected": row.Protected != rec.Protected, "node": row.Node != rec.Node,
	} {
		if differs {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return cmp.Or(strings.Join(names, ", "), "details")
}

// rows finds the recordings of the catalogue that are not in storage.
func (v *checker) rows(ctx context.Context) error {
	var c media.Cursor
	for {
		changes, next, err := v.Catalogue.Follow(ctx, c, pageSize)
		if err != nil {
			return err
		}
		for _, change := range changes {
			if _, ok := v.seen[change.RecordDir]; ok || change.Deleted || !v.within(change.RecordDir) {
				continue
			}
			if err := v.missing(ctx, *change.Recording); err != nil {
				return err
			}
		}
		if len(changes) < pageSize {
			return nil
		}
		c = next
	}
}

// within reports whether a record_dir is in one of the Prefixes.
func (v *checker) within(dir string) bool {
	return slices.ContainsFunc(v.Prefixes, func(p string) bool { return p == "" || dir == p || strings.HasPrefix(dir, p+"/") })
}

// missing reports a row of which nothing was seen in storage.
func (v *checker) missing(ctx context.Context, rec media.Recording) error {
	switch _, err := v.Backend.Stat(ctx, path.Join(rec.RecordDir, media.InfoName)); {
	case err == nil:
		return nil // it has begun since
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if _, err := v.Catalogue.Get(ctx, rec.RecordDir); errors.Is(err, catalogue.ErrNotFound) {
		return nil // it has been deleted since
	}
	f := Finding{RecordDir: rec.RecordDir, Stream: rec.Stream, Status: rec.Status}
	if v.Partial {
		v.unstored(rec, &f)
	} else {
		f.Problems = []verify.Problem{{Where: rec.RecordDir, What: "is in the catalogue and not in storage: live777 rebuild removes it"}}
	}
	v.report(f)
	return nil
}
