package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// Protect protects a recording from being deleted, or takes that away, and
// returns it. It is written to recording.json, so that it is true of the storage
// alone. Errors: fault.NotFound, a fault.Conflict for a recording that another
// process is writing, and what storage says.
func (k *Keeper) Protect(ctx context.Context, recordDir string, protected bool) (media.Recording, error) {
	if err := media.CheckPath(recordDir); err != nil {
		return media.Recording{}, err
	}
	unlock, err := k.lock(ctx, recordDir)
	if err != nil {
		return media.Recording{}, err
	}
	defer unlock()
	if rec, ok, err := k.o.Live.Protect(recordDir, protected); ok || err != nil {
		return rec, err
	}
	rec, err := k.o.Catalogue.Get(ctx, recordDir)
	if err != nil {
		return media.Recording{}, notFound(recordDir, err)
	}
	if rec.Status == media.StatusRecording {
		return media.Recording{}, notHere(rec)
	}
	stored, err := k.info(ctx, recordDir)
	switch {
	case err == nil:
		rec = stored
	case !errors.Is(err, storage.ErrNotFound) && fault.KindOf(err) != fault.Invalid:
		return media.Recording{}, err
	} // else the file is gone or damaged, and what the catalogue has replaces it
	rec.Protected = protected
	data, err := media.EncodeRecording(rec)
	if err != nil {
		return media.Recording{}, fmt.Errorf("protect recording %q: %w", recordDir, err)
	}
	if err := k.o.Backend.Put(ctx, path.Join(recordDir, media.InfoName), bytes.NewReader(data), int64(len(data))); err != nil {
		return media.Recording{}, fmt.Errorf("protect recording %q: %w", recordDir, err)
	}
	if err := k.o.Catalogue.Put(ctx, rec); err != nil {
		return media.Recording{}, fmt.Errorf("protect recording %q: %w", recordDir, err)
	}
	k.log.Info("protection of a recording changed", "stream", rec.Stream, "record_id", rec.RecordID, "record_dir", recordDir, "protected", protected)
	return rec, nil
}

// info reads the recording.json of a recording. The error is storage's, or a
// fault.Invalid where the file is damaged.
func (k *Keeper) info(ctx context.Context, recordDir string) (media.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	key := path.Join(recordDir, media.InfoName)
	body, err := k.o.Backend.Get(ctx, key, 0, media.MaxInfoSize)
	if err != nil {
		return media.Recording{}, err
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return media.Recording{}, fmt.Errorf("read object %q: %w", key, err)
	}
	rec, _, err := media.DecodeRecording(data, recordDir)
	return rec, err
}

// notHere says that a recording is being written, and not by this process.
func notHere(rec media.Recording) error {
	by := "another node"
	if rec.Node != "" {
		by = fmt.Sprintf("node %q", rec.Node)
	}
	return fault.Errorf(fault.Conflict, "recording %q is being written by %s, or was not sealed there yet: ask that node", rec.RecordDir, by).Coded("recording_elsewhere", "recording", rec.RecordDir)
}

func notFound(recordDir string, err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.Errorf(fault.NotFound, "there is no recording %q", recordDir).Coded("recording_unknown", "recording", recordDir)
	}
	return fmt.Errorf("look up recording %q: %w", recordDir, err)
}
