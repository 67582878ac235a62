package recording

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/journal"
)

// NewJournal begins the journal of a recording that is about to be claimed. It is nil if
// there are no journals. baseDir is what was asked for.
func (o *Settings) NewJournal(journals *journal.Dir, info media.Recording, baseDir string) (*journal.Journal, error) {
	if journals == nil {
		return nil, nil
	}
	j, err := journals.Create(info.RecordDir)
	if err != nil {
		return nil, storage.ClassifyLocal(err)
	}
	if err := j.Append(entry{Claim: &claimEntry{journalVersion, info, baseDir}}, o.durable()); err != nil {
		return nil, errors.Join(storage.ClassifyLocal(err), j.Remove())
	}
	return j, nil
}

// NoteClaimed notes in its journal, if there is one, that a recording has its folder.
func (o *Settings) NoteClaimed(j *journal.Journal) error {
	if j == nil {
		return nil
	}
	return j.Append(entry{Claimed: true}, o.durable())
}

// durable reports whether what is written is to outlast a power failure.
func (o *Settings) durable() bool { return o.Sync != segmenter.SyncOff }

// CreateInfo creates recording.json; fs.ErrExist if there is one.
func (o *Settings) CreateInfo(ctx context.Context, info media.Recording) error {
	key := path.Join(info.RecordDir, infoName)
	f, err := o.Store.Create(ctx, key)
	if err != nil {
		return err
	}
	_, err = f.Write(encodeInfo(info))
	if err == nil {
		err = f.Sync() // with the folders, which it has made
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = o.Store.Claimed(ctx, key)
	}
	if err != nil {
		// Nothing was recorded. The directory has to be free for the next try.
		return errors.Join(err, o.Store.Delete(context.WithoutCancel(ctx), key))
	}
	return nil
}

// settleClaim decides whether a record_dir belongs to a recording whose node died while
// it claimed that. It does if the whole recording.json is there. If only a part is
// there, settleClaim deletes it and the folder is free. A recording.json of another
// recording is left alone.
func (o *Settings) settleClaim(ctx context.Context, info media.Recording) (owned bool, err error) {
	key := path.Join(info.RecordDir, infoName)
	body, err := o.Store.Get(ctx, key, 0, -1)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return false, err
	}
	want := encodeInfo(info)
	if !bytes.HasPrefix(want, data) {
		return false, nil
	}
	if len(data) == len(want) {
		return true, nil
	}
	return false, o.Store.Delete(ctx, key)
}

// encodeInfo returns the content of recording.json.
func encodeInfo(info media.Recording) []byte {
	b, err := media.EncodeRecording(info)
	if err != nil { // a struct of strings, numbers and times that we set
		panic(err)
	}
	return b
}
