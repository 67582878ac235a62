package recording

import (
	"errors"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Seal ends the recording, whose media has been closed, with a verdict. failure is nil
// if it ended as it should. The error says what cannot be stored now; the recorder
// tries that again until it is stored.
func (rec *Recording) Seal(failure error) error {
	rec.jobs.wait()
	return rec.seal(failure, rec.host.Settings().Now())
}

// seal is Seal, of a recording that ended at a time, when no job is left but perhaps itself.
func (rec *Recording) seal(failure error, at time.Time) error {
	failure = rec.audited(failure)
	rec.mu.Lock()
	rec.broken = rec.broken || failure != nil || len(rec.empty) > 0
	rec.mu.Unlock()
	if failure != nil {
		rec.keep(rec.note(entry{Aborted: true}, false))
	}
	return rec.sealAs(rec.conclude(failure, at), at)
}

// conclude makes the final ledger and the verdict, and writes both to the journal.
func (rec *Recording) conclude(failure error, at time.Time) media.Recording {
	at = at.UTC().Round(time.Millisecond)
	rec.mu.Lock()
	rec.bookHoles(failure != nil || rec.info.Status == media.StatusFailed)
	rec.info.Periods = rec.pres.Count()
	info := rec.info
	info.Tracks, info.PausedSince = slices.Clone(info.Tracks), nil
	rec.total(info.Tracks)
	if rec.crashed {
		at = info.Start.Add(rec.end) // and not when that was found out
	}
	if info.End == nil {
		info.End = &at
	}
	if info.Status != media.StatusFailed {
		info.Status, info.Reason = verdict(&info, failure)
	}
	broken := rec.broken
	rec.mu.Unlock()
	// Durable: otherwise a recording that is sealed on storage would be recovered again
	// after a power failure.
	if err := rec.write(entry{Sealed: &info, Broken: broken}, true); err != nil {
		rec.log().Error("journal was not written", "record_dir", rec.dir, "error", err) // the seal itself follows
	}
	return info
}

// sealAs is seal with a verdict.
func (rec *Recording) sealAs(info media.Recording, at time.Time) error {
	rec.mu.Lock()
	rec.sealed = true
	rec.sealInfo(info, at)
	rec.pending.media = rec.broken
	rec.mu.Unlock()
	log := rec.log().With("stream", info.Stream, "record_id", info.RecordID, "record_dir", rec.dir)
	err := rec.StoreSeal()
	if err != nil {
		log.Error("recording is not sealed yet, will try again", "error", err)
	}
	info = rec.Snapshot()
	log.Info("recording ended", "status", info.Status, "reason", info.Reason,
		"duration", info.Duration, "bytes", info.Bytes)
	rec.host.Ended(info)
	return err
}

// sealInfo sets the verdict and the final ledger, of a time, which are then to be stored.
// Called with mu held.
func (rec *Recording) sealInfo(info media.Recording, at time.Time) {
	rec.pres.Dynamic, rec.pres.Duration = false, rec.end
	rec.changed()
	rec.modified = at
	info.Protected = rec.info.Protected // it may have been changed meanwhile
	rec.info = info
	rec.pending.manifest, rec.pending.info = rec.pres.Ready(), true
}

// StoreSeal stores what is left of the seal. When nothing is left, the recording is not
// active any more. The sealer and the session may both call it; one of them does the
// work.
func (rec *Recording) StoreSeal() error {
	rec.storing.Lock()
	defer rec.storing.Unlock()
	if !rec.Unsealed() {
		return nil
	}
	rec.sealMedia()
	rec.putIndexes()
	rec.mu.Lock()
	info, todo := rec.info, rec.pending
	// recording.json is stored after everything else, so it may say that everything is
	// stored.
	info.DurableThrough = rec.proved(info.Duration)
	rec.mu.Unlock()
	var errs []error
	if todo.manifest {
		_, err := rec.putManifests()
		errs = append(errs, err)
		todo.manifest = err != nil
	}
	if todo.info {
		errs = append(errs, rec.put(infoName, encodeInfo(info)))
		todo.info = errs[len(errs)-1] != nil
	}
	rec.mu.Lock()
	rec.pending = todo
	rec.mu.Unlock()
	// Now: once it can be deleted, a late report would list it again.
	rec.host.Changed(rec.Snapshot())
	if todo == (sealing{}) {
		errs = append(errs, rec.host.Sealed(rec))
	}
	return errors.Join(errs...)
}

// maxUntidy is how often tidy is tried while storage takes other things: for some
// minutes.
const maxUntidy = 30

// sealMedia puts the media of a recording that was broken off in order, and makes the
// verdict and ledger again. What storage does not take now is tried again.
func (rec *Recording) sealMedia() {
	rec.mu.Lock()
	todo := rec.pending.media
	rec.mu.Unlock()
	if !todo {
		return
	}
	err := rec.tidy()
	if err != nil {
		rec.log().Error("the media of a recording is not in order yet, will try again", "record_dir", rec.dir, "error", err)
		rec.untidy++
	}
	if err != nil && rec.untidy < maxUntidy {
		return
	}
	rec.mu.Lock()
	rec.broken, rec.pending.media = false, false
	rec.mu.Unlock()
	now := rec.host.Settings().Now()
	info := rec.conclude(nil, now)
	rec.mu.Lock()
	rec.sealInfo(info, now)
	rec.mu.Unlock()
}

// manifestsPend reports whether storage has not acknowledged all manifests.
func (rec *Recording) manifestsPend() bool {
	rec.mu.Lock()
	names := slices.Clone(rec.manifests())
	rec.mu.Unlock()
	return slices.ContainsFunc(names, func(name string) bool { return rec.store().Pending(path.Join(rec.dir, name)) })
}

// Unsealed reports whether the recording has ended and parts of its seal are
// not stored.
func (rec *Recording) Unsealed() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.sealed && rec.pending != sealing{}
}

// IsStored reports whether recording.json tells of the end.
func (rec *Recording) IsStored() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.sealed && !rec.pending.info
}

// Settle looks whether storage has acknowledged all of a recording whose seal it has
// taken, and makes the verdict anew if something is lost. isKnown reports whether the
// recording is still there, and not deleted. If all is done, the last report is to be made
// of info. It is called within Exclusive, or by Host.Sealed.
func (rec *Recording) Settle(isKnown func() bool) (info media.Recording, done bool, err error) {
	uploads := rec.uploads()
	if uploads && isKnown() {
		if err := rec.admitLost(rec.store().Lost(rec.dir)); err != nil {
			return info, false, err
		}
	}
	if rec.manifestsPend() || rec.store().Pending(path.Join(rec.dir, infoName)) {
		return info, false, nil
	}
	rec.mu.Lock()
	all := rec.durableThrough() >= rec.end
	rec.mu.Unlock()
	if uploads && !all {
		return info, false, nil // storage refuses some of it, which the spool tells
	}
	if uploads && isKnown() {
		if err := rec.auditUploaded(); err != nil {
			return info, false, err
		}
	}
	rec.mu.Lock()
	info = rec.info
	info.DurableThrough = rec.proved(info.Duration)
	rec.mu.Unlock()
	return info, true, nil
}
