package fs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/live777/recorder/internal/base/fault"
)

// errReplaced ends what is being written when the root is opened anew: the rest would
// be where the beginning is not.
var errReplaced = fault.New(fault.Unavailable, "its folder was replaced while this was written: what was stored before is in the former folder, if that is still there")

// look is what Look has found. Guarded by mu.
type look struct {
	mu   sync.Mutex
	disk uint64 // on which the root was when New opened it
}

// Look finds out whether the root's path still leads to the folder that was opened.
// One that was replaced, because it was renamed, made anew or (un)mounted, is opened;
// one that is gone is made, as New does. What is being written then ends with an
// error. replaced says that it was; the error says what is wrong with the root now:
// that it cannot be opened or written, is full, or is on another disk than at the start.
func (s *Store) Look() (replaced bool, err error) {
	s.looked.mu.Lock()
	defer s.looked.mu.Unlock()
	same, err := s.isSame()
	if err == nil && !same {
		replaced, err = true, s.reopen()
	}
	if err != nil {
		return replaced, rootError(s.option, "open", s.path, err)
	}
	if err := s.probe(); err != nil {
		return replaced, rootError(s.option, "write to", s.path, err)
	}
	if deviceOf(s.root()) != s.looked.disk {
		return replaced, fault.Errorf(fault.Unavailable, "%s: the folder %q is on another disk than when this was started: was it unmounted? "+
			"What is recorded now goes to the disk that is there; start anew if that is meant", s.option, s.path)
	}
	return replaced, nil
}

// isSame reports whether the path leads to what is open; false too where there is
// nothing.
func (s *Store) isSame() (bool, error) {
	there, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	here, err := s.root().Stat(".")
	return err == nil && os.SameFile(here, there), nil // else it is to be opened anew
}

// reopen opens what is at the path.
func (s *Store) reopen() error {
	if err := os.MkdirAll(s.path, folderMode(s.mode)); err != nil {
		return err
	}
	r, err := os.OpenRoot(s.path)
	if err != nil {
		return err
	}
	// What is at work in the former one comes to its end first.
	if err := s.opened.Swap(r).Close(); err != nil {
		return fmt.Errorf("close the former folder: %w", err)
	}
	s.log.Error("the storage root was replaced and is opened anew: what was being written ends there", "option", s.option, "folder", s.path)
	return nil
}
