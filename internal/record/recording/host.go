// Package recording writes recordings: it stores segments, keeps the journal, the ledger
// and the manifests, seals what has ended, and puts in order what a crash has left.
package recording

import (
	"log/slog"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
)

const (
	manifestName = media.ManifestName
	infoName     = media.InfoName
	// storeTimeout bounds one operation on storage.
	storeTimeout = 30 * time.Second
	// RetryAfter is how long is waited before something is tried again that storage has
	// refused.
	RetryAfter = 10 * time.Second
)

// Settings are those that all recordings of a node share.
type Settings struct {
	Store           storage.Store
	SegmentDuration time.Duration
	ChunkDuration   time.Duration
	Sync            segmenter.Sync
	Now             func() time.Time
	Log             *slog.Logger
	// Closed is told of each segment that is closed, and must not block; nil: nobody is.
	Closed func(ClosedSegment)
}

// Host is who has recordings written. Its methods must not block, but for Sealed.
type Host interface {
	Settings() Settings
	// Changed tells of the state of a recording, for the catalogue.
	Changed(info media.Recording)
	// Sealed tells that storage has taken all of a recording's seal. It is called while
	// nobody else stores parts of it.
	Sealed(rec *Recording) error
	// Ended tells of the verdict of a recording.
	Ended(info media.Recording)
	// Failed tells that a recording has failed after its verdict.
	Failed()
}

// uploads reports whether storage keeps recordings on this machine until remote storage
// has them.
func (o *Settings) uploads() bool { return o.Store.Traits().Uploads }

// OutOfReach reports whether err means that remote storage cannot be asked now, and
// that this machine keeps meanwhile what it is given. Then only what is here counts.
func (o *Settings) OutOfReach(err error) bool {
	return o.uploads() && fault.KindOf(err) == fault.Unavailable
}
