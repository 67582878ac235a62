package recorder

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recording"
)

// host is the Recorder as its recordings know it.
type host struct{ *Recorder }

var _ recording.Host = host{}

// Settings implements recording.Host.
func (h host) Settings() recording.Settings { return h.settings() }

// settings returns what all recordings share.
func (r *Recorder) settings() recording.Settings {
	return recording.Settings{
		Store: r.o.Store, SegmentDuration: r.o.SegmentDuration, ChunkDuration: r.o.ChunkDuration, Sync: r.o.Sync, Now: r.o.Now, Log: r.log, Closed: r.o.Closed,
	}
}

// Changed implements recording.Host.
func (h host) Changed(info media.Recording) { h.reporter.add(info) }

// Ended implements recording.Host.
func (h host) Ended(info media.Recording) { h.o.Ended(info) }

// Failed implements recording.Host.
func (h host) Failed() { h.failed.Add(1) }

// Sealed implements recording.Host: the recording is not active any more.
func (h host) Sealed(rec *recording.Recording) error {
	h.mu.Lock()
	delete(h.active, rec.Dir())
	h.uploading[rec.Dir()] = &upload{Recording: rec}
	h.mu.Unlock()
	return h.settle(rec)
}

// upload is a recording that is sealed, and that storage has not acknowledged.
type upload struct {
	*recording.Recording
	reported bool // that all of it is stored: the catalogue was to be told
}

// register makes a recording one of the active ones.
func (r *Recorder) register(rec *recording.Recording) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[rec.Dir()] = rec
}

// Seal waits until the seal of a recording that has ended is stored and the catalogue
// knows of it. If storage has refused the seal, Seal tries it at once.
func (r *Recorder) Seal(recordDir string) error {
	if rec := r.activeIn(recordDir); rec != nil {
		if err := rec.StoreSeal(); err != nil {
			return fault.Errorf(fault.Unavailable, "the recording has ended, but storage does not take its manifest yet; that is tried again: %w", err).Coded("seal_waits")
		}
	}
	select {
	case <-r.reporter.told(recordDir):
		return nil
	case <-time.After(storeTimeout):
		return fault.New(fault.Unavailable, "the recording has ended, but the catalogue does not take that yet; that is tried again").Coded("seal_waits")
	}
}

// settle drops a sealed recording when storage has acknowledged all of it and the
// catalogue knows. Until then its journal stays, so that after a crash the next start
// can do the rest. Called within rec.Exclusive.
func (r *Recorder) settle(rec *recording.Recording) error {
	info, done, err := rec.Settle(func() bool { return r.isUploading(rec) })
	if err != nil || !done || !r.lastReport(rec, info) {
		return err
	}
	return rec.RemoveJournal()
}

func (r *Recorder) isUploading(rec *recording.Recording) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.uploading[rec.Dir()]
	return u != nil && u.Recording == rec
}

// lastReport takes a recording off those that are uploading, if the catalogue knows
// that all of it is stored. Otherwise it tells the catalogue: a spool stores things
// after the seal. It is false if there is nothing to take off.
func (r *Recorder) lastReport(rec *recording.Recording, info media.Recording) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.uploading[rec.Dir()]
	if u == nil || u.Recording != rec {
		return false // forgotten, or settled
	}
	if r.uploads() && !u.reported { // now, or Forget could come before
		u.reported = true
		r.reporter.add(info)
	}
	if r.reporter.waits(rec.Dir()) {
		return false // when it has been told, it asks again
	}
	delete(r.uploading, rec.Dir())
	return true
}

// reported settles a recording after the catalogue has been told of it.
func (r *Recorder) reported(recordDir string) {
	r.mu.Lock()
	u := r.uploading[recordDir]
	r.mu.Unlock()
	if u == nil {
		return
	}
	u.Exclusive(func() {
		if err := r.settle(u.Recording); err != nil {
			r.log.Error("journal of a sealed recording was not removed", "record_dir", recordDir, "error", err)
		}
	})
}

// sealer tries again to store the seals that storage refused.
func (r *Recorder) sealer() {
	tick := time.NewTicker(retryAfter)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
			if err := r.sealRest(r.ctx); err != nil {
				r.log.Error("recordings are not sealed yet, will try again", "error", err)
			}
		}
	}
}

// sealRest stores what is left of the seals of ended recordings.
func (r *Recorder) sealRest(ctx context.Context) error {
	r.mu.Lock()
	recs := slices.Collect(maps.Values(r.active))
	uploading := slices.Collect(maps.Values(r.uploading))
	r.mu.Unlock()
	var errs []error
	for _, u := range uploading {
		u.Exclusive(func() { errs = append(errs, r.settle(u.Recording)) })
	}
	for _, rec := range recs {
		if ctx.Err() == nil && rec.Unsealed() {
			errs = append(errs, rec.StoreSeal())
		}
	}
	return errors.Join(errs...)
}

// uploads reports whether storage keeps recordings on this machine until remote storage
// has them.
func (r *Recorder) uploads() bool { return r.o.Store.Traits().Uploads }

// outOfReach reports whether err means that remote storage cannot be asked now, and
// that this machine keeps meanwhile what it is given. Then only what is here counts.
func (r *Recorder) outOfReach(err error) bool {
	o := r.settings()
	return o.OutOfReach(err)
}
