//go:build !norecorder

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	rec "github.com/live777/recorder/internal/record/recorder"
)

// unfinishedName is the file beside the journals that says which streams were recorded
// when the node ended.
const unfinishedName = "unfinished.json"

// unfinished is what is in that file.
type unfinished struct {
	Ended   time.Time        `json:"ended"`
	Streams []rec.Unfinished `json:"streams"`
}

// drain has no further recording begin, and notes those that run for the next start.
func (w *withRecorder) drain() error {
	file := filepath.Join(w.depot.notes, unfinishedName)
	data, err := json.Marshal(unfinished{time.Now().UTC(), w.Drain()})
	if err == nil {
		err = os.MkdirAll(w.depot.notes, 0o700)
	}
	if err == nil {
		err = os.WriteFile(file+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return fmt.Errorf("note which recordings are to go on: %w", err)
	}
	return nil
}

// goOn has the streams be recorded that were when the node ended, if that is less than
// reconnect ago. Then their publishers have as long again to come back.
func (w *withRecorder) goOn(reconnect time.Duration) error {
	file := filepath.Join(w.depot.notes, unfinishedName)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read which recordings are to go on: %w", err)
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("read which recordings are to go on: %w", err)
	}
	var u unfinished
	if err := json.Unmarshal(data, &u); err != nil {
		return fmt.Errorf("read which recordings are to go on: %w", err)
	}
	now := time.Now()
	if now.Sub(u.Ended).Abs() < reconnect {
		w.GoOn(u.Streams, now.Add(reconnect))
	}
	return nil
}

// seal ends the recordings, and what is done to them.
func (w *withRecorder) seal(ctx context.Context) error {
	if w.restorer != nil {
		w.restorer.stop()
	}
	if w.keeper != nil {
		w.keeper.stop()
	}
	if w.Recorder == nil || w.sealed {
		return nil
	}
	w.sealed = true
	return w.Recorder.Close(ctx)
}
