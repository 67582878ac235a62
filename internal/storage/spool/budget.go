package spool

import (
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// levels are the percentages of MaxBytes that are logged when they are reached.
var levels = [...]int64{50, 80, 95}

// roomToStart is the percentage of MaxBytes from which no recording begins, because it
// would end at once.
const roomToStart = 95

// budget is what segments may take of the disk. Guarded by Spool.mu.
type budget struct {
	max   int64 // Options.MaxBytes
	used  int64 // bytes of segments, open and waiting
	level int   // of levels, that has been logged
}

// full returns an error if n more bytes of segments do not fit below limit.
func (b *budget) full(n, limit int64) error {
	if b.max <= 0 || b.used < limit && b.used+n <= limit {
		return nil
	}
	return fault.Errorf(fault.StorageFull,
		"the spool is full: %d of the %d bytes of recorder.spool.max_bytes wait for remote storage: %w", b.used, b.max, storage.ErrFull).Coded("spool_full")
}

// roomToStart is the limit of full for what begins a recording.
func (b *budget) roomToStart() int64 { return b.max * roomToStart / 100 }

// rise notes the present level, and returns the percentage of max that is used if
// a level has been reached that was not before.
func (b *budget) rise() (percent int64, reached bool) {
	if b.max <= 0 {
		return 0, false
	}
	percent = b.used * 100 / b.max
	for b.level > 0 && percent < levels[b.level-1]-5 { // not at every segment that goes and comes
		b.level--
	}
	before := b.level
	for b.level < len(levels) && percent >= levels[b.level] {
		b.level++
	}
	return percent, b.level > before
}

// resize notes an object's size, and logs when the spool fills. Called with mu held.
func (s *Spool) resize(e *entry, size int64) {
	before := e.size
	e.size = size
	if e.class != storage.Media {
		return
	}
	s.budget.used += size - before
	percent, reached := s.budget.rise()
	if !reached {
		return
	}
	used, log := s.budget.used, s.log.Warn
	if s.budget.level == len(levels) {
		log = s.log.Error
	}
	s.note(func() {
		log("the spool fills: recordings end when recorder.spool.max_bytes is reached",
			"percent", percent, "bytes", used, "max_bytes", s.budget.max)
	})
}
