package spool

import (
	"errors"
	"fmt"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// levels are the percentages of MaxBytes that are logged when they are reached.
var levels = [...]int64{50, 80, 95}

// roomToStart is the percentage of MaxBytes from which no recording begins, because it
// would end at once.
const roomToStart = 95

// full returns an error if n more bytes of segments do not fit below limit. Called with
// mu held.
func (s *Spool) full(n, limit int64) error {
	if s.o.MaxBytes <= 0 || s.used < limit && s.used+n <= limit {
		return nil
	}
	return fault.Errorf(fault.StorageFull,
		"the spool is full: %d of the %d bytes of recorder.spool.max_bytes wait for remote storage: %w", s.used, s.o.MaxBytes, storage.ErrFull)
}

// explainFull adds to an error that the disk is full which disk that is.
func (s *Spool) explainFull(err error) error {
	if !errors.Is(err, storage.ErrFull) {
		return err
	}
	return fmt.Errorf("the disk of the spool (recorder.spool.dir = %q): %w", s.o.Dir, err)
}

// watchLevel logs when the spool fills. Called with mu held.
func (s *Spool) watchLevel() {
	if s.o.MaxBytes <= 0 {
		return
	}
	percent := s.used * 100 / s.o.MaxBytes
	for s.level > 0 && percent < levels[s.level-1]-5 { // not at every segment that goes and comes
		s.level--
	}
	reached := s.level
	for reached < len(levels) && percent >= levels[reached] {
		reached++
	}
	if reached == s.level {
		return
	}
	s.level = reached
	used := s.used
	log := s.log.Warn
	if reached == len(levels) {
		log = s.log.Error
	}
	s.note(func() {
		log("the spool fills: recordings end when recorder.spool.max_bytes is reached",
			"percent", percent, "bytes", used, "max_bytes", s.o.MaxBytes)
	})
}
