package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/journal"
)

const (
	manifestName = media.ManifestName
	infoName     = media.InfoName
	// claimTries bounds the search for a second that is not taken.
	claimTries = 120
)

// cleanBaseDir checks a base_dir and takes the slashes at both ends away. An
// empty one stays empty.
func cleanBaseDir(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	trimmed := strings.Trim(dir, "/")
	if err := media.CheckNewPath(trimmed); err != nil {
		return "", fault.Errorf(fault.Invalid, "base_dir: %w", err)
	}
	for element := range strings.SplitSeq(trimmed, "/") {
		// A folder of this name would be in the way of a recording's object.
		if media.IsObjectName(element) {
			return "", fault.Errorf(fault.Invalid, "base_dir %q has %q, which is a name of objects of recordings; choose another", trimmed, element)
		}
	}
	return trimmed, nil
}

// folderTries bounds the folders that are tried for a stream's recordings.
const folderTries = 9

// errIsRecording says that the folder of a stream's recordings is a recording itself:
// somebody has named it as a base_dir.
var errIsRecording = fault.New(fault.Conflict, "the folder of the stream's recordings, and others that are called alike, have recordings of a base_dir; delete one of those").Coded("base_dir_taken")

// folderOf returns the n-th folder, from 1 on, that a stream's recordings can be in: its
// own, and others beside that.
func folderOf(stream string, n int) string {
	if n == 1 {
		return stream
	}
	end := fmt.Sprintf("-%d", n)
	return strings.ToValidUTF8(stream[:min(len(stream), media.MaxElementLen-len(end))], "") + end
}

// folderTimeout bounds the look whether a stream's folder can be used.
const folderTimeout = 2 * time.Second

// checkFolder returns an error if the folder of a stream's recordings is a recording
// itself. If storage does not answer in time, there is no error, because the stream has
// to be recorded.
func (r *Recorder) checkFolder(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, folderTimeout)
	defer cancel()
	if is, err := r.isRecording(ctx, dir); err == nil && is {
		return errIsRecording
	}
	return nil
}

// maxInTheWay bounds how many objects of a folder are looked at. A folder with more is
// in use.
const maxInTheWay = 1000

// checkPlace returns an error if a folder lies within that of another recording, or has
// another's within it. Each recording has a folder to itself.
func (r *Recorder) checkPlace(ctx context.Context, dir string) error {
	for above := path.Dir(dir); above != "."; above = path.Dir(above) {
		switch is, err := r.isRecording(ctx, above); {
		case err != nil:
			return err
		case is:
			return fault.Errorf(fault.Conflict, "base_dir %q is within the folder of another recording, %q; choose another or leave it out", dir, above).Coded("base_dir_taken")
		}
	}
	n := 0
	for o, err := range r.o.Store.List(ctx, dir) {
		if err != nil {
			if r.outOfReach(err) {
				return nil
			}
			return fmt.Errorf("look into base_dir %q: %w", dir, err)
		}
		if o.Key == path.Join(dir, infoName) {
			continue // it belongs to the recording that claims
		}
		if n++; n > maxInTheWay || path.Dir(o.Key) != dir && media.IsObjectName(path.Base(o.Key)) {
			return fault.Errorf(fault.Conflict, "base_dir %q has other recordings within it; choose another or leave it out", dir).Coded("base_dir_taken")
		}
	}
	return nil
}

// reservation is a folder that is being claimed.
type reservation struct {
	dir   string
	exact bool // it is to have it for itself
	done  chan struct{}
}

// isInTheWay reports whether two folders may not be claimed at the same time: one is
// the other or lies within it, and one of them is a base_dir.
func (v *reservation) isInTheWay(o *reservation) bool {
	return (v.exact || o.exact) && (v.dir == o.dir || strings.HasPrefix(v.dir, o.dir+"/") || strings.HasPrefix(o.dir, v.dir+"/"))
}

// reserve waits until no claim that is in the way of dir is under way. Later claims
// that are wait until release. So nobody takes a folder between the look whether it is
// free and its claim.
func (r *Recorder) reserve(ctx context.Context, dir string, exact bool) (release func(), err error) {
	own := &reservation{dir, exact, make(chan struct{})}
	for {
		r.mu.Lock()
		i := slices.IndexFunc(r.reserved, own.isInTheWay)
		if i < 0 {
			r.reserved = append(r.reserved, own)
			r.mu.Unlock()
			return func() { r.release(own) }, nil
		}
		other := r.reserved[i]
		r.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, fault.Errorf(fault.Unavailable, "wait for the recording that begins in %q: %w", other.dir, ctx.Err())
		}
	}
}

func (r *Recorder) release(own *reservation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved = slices.DeleteFunc(r.reserved, func(o *reservation) bool { return o == own })
	close(own.done)
}

// isRecording reports whether a recording is in the folder dir, or is being deleted
// from it.
func (r *Recorder) isRecording(ctx context.Context, dir string) (bool, error) {
	if r.o.Deleting(dir) {
		return true, nil
	}
	for _, name := range []string{infoName, manifestName} {
		switch _, err := r.o.Store.Stat(ctx, path.Join(dir, name)); {
		case err == nil:
			return true, nil
		case !errors.Is(err, storage.ErrNotFound) && !r.outOfReach(err):
			return false, fmt.Errorf("look for a recording in %q: %w", dir, err)
		}
	}
	return false, nil
}

// prefixOf returns the directory in which the recording that follows the one in
// dir gets its timestamp: dir's parent if dir is a timestamp, else dir itself.
func prefixOf(dir string) string {
	if media.RecordID(dir) != "" {
		return path.Dir(dir)
	}
	return dir
}

// claim takes a record_dir for a new recording by writing its recording.json there,
// which only one recording can do. It also shows at once whether storage can be
// written. It begins the recording's journal.
//
// With exact, the record_dir is dir itself and has to be unused. Otherwise it is the
// first free second below dir. baseDir is what the caller asked for. If that is empty
// and dir is a recording, the error is errIsRecording.
func (r *Recorder) claim(ctx context.Context, info media.Recording, dir string, exact bool, baseDir string) (media.Recording, *journal.Journal, error) {
	release, err := r.reserve(ctx, dir, exact)
	if err != nil {
		return info, nil, err
	}
	defer release() // after storage has it
	switch {
	case exact:
		err = r.checkPlace(ctx, dir)
	case baseDir == "":
		err = r.checkFolder(ctx, dir)
	}
	if err != nil {
		return info, nil, err
	}
	for i := range claimTries {
		info.RecordDir = dir
		if !exact {
			info.RecordDir = path.Join(dir, fmt.Sprintf("%010d", info.Start.Unix()+int64(i)))
		}
		info.RecordID = media.RecordID(info.RecordDir)
		info.MPDPath = path.Join(info.RecordDir, manifestName)
		j, err := r.claimDir(ctx, info, exact, baseDir)
		switch {
		case err == nil:
			return info, j, nil
		case !errors.Is(err, fs.ErrExist):
			return info, nil, fmt.Errorf("create recording %s: %w", info.RecordDir, err)
		case exact:
			return info, nil, fault.Errorf(fault.Conflict, "base_dir %q holds a recording already; choose another or leave it out", dir).Coded("base_dir_taken")
		}
	}
	return info, nil, fault.Errorf(fault.Conflict, "no free record_dir below %s for the next %d seconds", dir, claimTries)
}

// claimDir begins the journal of a recording and creates recording.json in its
// directory; fs.ErrExist if there is a recording, or objects of one that is being
// deleted.
func (r *Recorder) claimDir(ctx context.Context, info media.Recording, exact bool, baseDir string) (*journal.Journal, error) {
	if r.o.Deleting(info.RecordDir) {
		return nil, fs.ErrExist
	}
	switch _, err := r.o.Store.Stat(ctx, info.MPDPath); {
	case err == nil:
		return nil, fs.ErrExist
	case !errors.Is(err, storage.ErrNotFound) && !r.outOfReach(err):
		return nil, err
	}
	o := r.settings()
	j, err := o.NewJournal(r.o.Journals, info, baseDir)
	if err != nil {
		return nil, err
	}
	err = o.CreateInfo(ctx, info)
	switch {
	case err != nil:
	case exact:
		err = r.giveWay(ctx, info, r.checkPlace(ctx, info.RecordDir))
	case baseDir == "":
		err = r.giveWay(ctx, info, r.checkFolder(ctx, path.Dir(info.RecordDir)))
	}
	if err == nil {
		err = o.NoteClaimed(j)
	}
	if err != nil && j != nil {
		err = errors.Join(err, j.Remove())
	}
	return j, err
}

// giveWay takes a claim back if another one is found after it was stored: another node
// that uses the same storage may have claimed a folder above or below at the same time.
// Storage shows what it has taken, so at least the node whose claim was stored later
// sees the other's and gives way. Both may, because nobody can tell who was first.
func (r *Recorder) giveWay(ctx context.Context, info media.Recording, err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, r.o.Store.Delete(context.WithoutCancel(ctx), path.Join(info.RecordDir, infoName)))
}
