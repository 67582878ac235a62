package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/arrange"
)

// seal ends the recording, whose media has been closed, with a verdict. failure is nil
// if it ended as it should. The error says what cannot be stored now; the recorder
// tries that again until it is stored.
func (rec *recording) seal(failure error) error {
	failure = rec.audited(failure)
	rec.mu.Lock()
	rec.broken = rec.broken || failure != nil || len(rec.empty) > 0
	rec.mu.Unlock()
	if failure != nil {
		rec.keep(rec.note(entry{Aborted: true}, false))
	}
	return rec.sealAs(rec.conclude(failure))
}

// conclude makes the final ledger and the verdict, and writes both to the journal.
func (rec *recording) conclude(failure error) media.Recording {
	now := rec.r.o.Now().UTC().Round(time.Millisecond)
	rec.mu.Lock()
	rec.bookHoles(failure != nil || rec.info.Status == media.StatusFailed)
	rec.info.Periods = rec.pres.Count()
	info := rec.info
	info.Tracks, info.PausedSince = slices.Clone(info.Tracks), nil
	rec.total(info.Tracks)
	if rec.crashed {
		now = info.Start.Add(rec.end) // and not when that was found out
	}
	if info.End == nil {
		info.End = &now
	}
	if info.Status != media.StatusFailed {
		info.Status, info.Reason = verdict(&info, failure)
	}
	broken := rec.broken
	rec.mu.Unlock()
	// Durable: otherwise a recording that is sealed on storage would be recovered again
	// after a power failure.
	if err := rec.write(entry{Sealed: &info, Broken: broken}, true); err != nil {
		rec.r.log.Error("journal was not written", "record_dir", rec.dir, "error", err) // the seal itself follows
	}
	return info
}

// sealAs is seal with a verdict.
func (rec *recording) sealAs(info media.Recording) error {
	rec.mu.Lock()
	rec.sealed = true
	rec.sealInfo(info)
	rec.pending.media = rec.broken
	rec.mu.Unlock()
	log := rec.r.log.With("stream", info.Stream, "record_id", info.RecordID, "record_dir", rec.dir)
	err := rec.storeSeal()
	if err != nil {
		log.Error("recording is not sealed yet, will try again", "error", err)
	}
	info = rec.snapshot()
	log.Info("recording ended", "status", info.Status, "reason", info.Reason,
		"duration", info.Duration, "bytes", info.Bytes)
	rec.r.o.Ended(info)
	return err
}

// sealInfo sets the verdict and the final ledger, which are then to be stored. Called
// with mu held.
func (rec *recording) sealInfo(info media.Recording) {
	rec.pres.Dynamic, rec.pres.Duration = false, rec.end
	rec.changed()
	info.Protected = rec.info.Protected // it may have been changed meanwhile
	rec.info = info
	rec.pending.manifest, rec.pending.info = rec.pres.Ready(), true
}

// storeSeal stores what is left of the seal. When nothing is left, the recording is not
// active any more. The sealer and the session may both call it; one of them does the
// work.
func (rec *recording) storeSeal() error {
	rec.storing.Lock()
	defer rec.storing.Unlock()
	if !rec.unsealed() {
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
	rec.r.reporter.add(rec.snapshot())
	if todo == (sealing{}) {
		rec.r.mu.Lock()
		delete(rec.r.active, rec.dir)
		rec.r.uploading[rec.dir] = rec
		rec.r.mu.Unlock()
		errs = append(errs, rec.r.settle(rec))
	}
	return errors.Join(errs...)
}

// maxUntidy is how often tidy is tried while storage takes other things: for some
// minutes.
const maxUntidy = 30

// sealMedia puts the media of a recording that was broken off in order, and makes the
// verdict and ledger again. What storage does not take now is tried again.
func (rec *recording) sealMedia() {
	rec.mu.Lock()
	todo := rec.pending.media
	rec.mu.Unlock()
	if !todo {
		return
	}
	err := rec.tidy()
	if err != nil {
		rec.r.log.Error("the media of a recording is not in order yet, will try again", "record_dir", rec.dir, "error", err)
		rec.untidy++
	}
	if err != nil && rec.untidy < maxUntidy {
		return
	}
	rec.mu.Lock()
	rec.broken, rec.pending.media = false, false
	rec.mu.Unlock()
	info := rec.conclude(nil)
	rec.mu.Lock()
	rec.sealInfo(info)
	rec.mu.Unlock()
}

// Seal waits until the seal of a recording that has ended is stored and the catalogue
// knows of it. If storage has refused the seal, Seal tries it at once.
func (r *Recorder) Seal(recordDir string) error {
	if rec := r.activeIn(recordDir); rec != nil {
		if err := rec.storeSeal(); err != nil {
			return fault.Errorf(fault.Unavailable, "the recording has ended, but storage does not take its manifest yet; that is tried again: %w", err)
		}
	}
	select {
	case <-r.reporter.told(recordDir):
		return nil
	case <-time.After(storeTimeout):
		return fault.New(fault.Unavailable, "the recording has ended, but the catalogue does not take that yet; that is tried again")
	}
}

// settle drops a sealed recording when storage has acknowledged all of it and the
// catalogue knows. Until then its journal stays, so that after a crash the next start
// can do the rest. Called with storing held.
func (r *Recorder) settle(rec *recording) error {
	uploads := r.uploads()
	if uploads && r.isUploading(rec) {
		if err := rec.admitLost(r.o.Store.Lost(rec.dir)); err != nil {
			return err
		}
	}
	if rec.manifestsPend() || r.o.Store.Pending(path.Join(rec.dir, infoName)) {
		return nil
	}
	rec.mu.Lock()
	all := rec.durableThrough() >= rec.end
	rec.mu.Unlock()
	if uploads && !all {
		return nil // storage refuses some of it, which the spool tells
	}
	if uploads && r.isUploading(rec) {
		if err := rec.auditUploaded(); err != nil {
			return err
		}
	}
	rec.mu.Lock()
	info := rec.info
	info.DurableThrough = rec.proved(info.Duration)
	rec.mu.Unlock()
	if !r.lastReport(rec, info, uploads) || rec.journal == nil {
		return nil
	}
	return rec.journal.Remove()
}

// manifestsPend reports whether storage has not acknowledged all manifests.
func (rec *recording) manifestsPend() bool {
	rec.mu.Lock()
	names := slices.Clone(rec.manifests())
	rec.mu.Unlock()
	return slices.ContainsFunc(names, func(name string) bool { return rec.r.o.Store.Pending(path.Join(rec.dir, name)) })
}

func (r *Recorder) isUploading(rec *recording) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.uploading[rec.dir] == rec
}

// lastReport takes a recording off those that are uploading, if the catalogue knows
// that all of it is stored. Otherwise it tells the catalogue: a spool stores things
// after the seal. It is false if there is nothing to take off.
func (r *Recorder) lastReport(rec *recording, info media.Recording, uploads bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.uploading[rec.dir] != rec {
		return false // forgotten, or settled
	}
	if uploads && !rec.durableReported { // now, or Forget could come before
		rec.durableReported = true
		r.reporter.add(info)
	}
	if r.reporter.waits(rec.dir) {
		return false // when it has been told, it asks again
	}
	delete(r.uploading, rec.dir)
	return true
}

// reported settles a recording after the catalogue has been told of it.
func (r *Recorder) reported(recordDir string) {
	r.mu.Lock()
	rec := r.uploading[recordDir]
	r.mu.Unlock()
	if rec == nil {
		return
	}
	rec.storing.Lock()
	defer rec.storing.Unlock()
	if err := r.settle(rec); err != nil {
		r.log.Error("journal of a sealed recording was not removed", "record_dir", recordDir, "error", err)
	}
}

// unsealed reports whether the recording has ended and parts of its seal are
// not stored.
func (rec *recording) unsealed() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.sealed && rec.pending != sealing{}
}

// isStored reports whether recording.json tells of the end.
func (rec *recording) isStored() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.sealed && !rec.pending.info
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
	for _, rec := range uploading {
		rec.storing.Lock()
		errs = append(errs, r.settle(rec))
		rec.storing.Unlock()
	}
	for _, rec := range recs {
		if ctx.Err() == nil && rec.unsealed() {
			errs = append(errs, rec.storeSeal())
		}
	}
	return errors.Join(errs...)
}

// reasonRecovered is why a recording that a crash interrupted is not complete.
const reasonRecovered = "the node stopped without ending the recording, which was recovered: what came just before, and until it ran again, is missing"

// verdict returns the status of a recording that has ended, and why it is not complete.
func verdict(info *media.Recording, failure error) (media.Status, string) {
	if failure != nil {
		return media.StatusFailed, fault.Text(failure)
	}
	if info.Duration == 0 {
		return media.StatusFailed, "no media was received"
	}
	for _, t := range info.Tracks {
		if why := missing(&t); why != "" {
			return media.StatusDegraded, t.Kind + ": " + why
		}
	}
	if info.Recovered > 0 {
		return media.StatusDegraded, reasonRecovered
	}
	if why := discarded(info); why != "" {
		return media.StatusDegraded, why
	}
	if n := info.PacketsOverrun; n > 0 {
		return media.StatusDegraded, fmt.Sprintf("%d packets were dropped because storage was too slow", n)
	}
	return media.StatusComplete, ""
}

// discardedShare bounds the packets that may belong to no track without a verdict of
// degraded: one in this many of all packets.
const discardedShare = 100

// discarded returns how many packets belonged to no track, and why most of them did, if
// they were many.
func discarded(info *media.Recording) string {
	var received int64
	for _, t := range info.Tracks {
		received += t.PacketsReceived
	}
	packets := sumOf(info.Discarded)
	if packets*discardedShare <= received+packets {
		return ""
	}
	most := slices.MaxFunc(info.Discarded, func(a, b media.Discard) int { return cmp.Compare(a.Packets, b.Packets) })
	return fmt.Sprintf("%d packets could not be recorded: %s", packets, most.Cause)
}

// missing says what was sent of a track and is not in the recording.
func missing(t *media.RecordingTrack) string {
	if t.RID != "" && t.PacketsReceived == 0 {
		return "" // a layer that the sender never turned on
	}
	if !t.Recorded {
		if c, ok := codec.Lookup(t.Codec); ok && !c.Recordable() {
			return c.Why
		}
		if n := keptOut(t); n > 0 {
			return fmt.Sprintf(reasonApart, n)
		}
		return reasonUndecodable
	}
	if t.Missing != "" {
		return t.Missing
	}
	byNode := slices.ContainsFunc(t.Gaps, func(g media.Gap) bool { return g.Cause == causeNode }) // which is told of the whole
	if t.Frames == 0 && t.FilledSeconds > 0 && !byNode {
		return reasonUndecodable
	}
	if t.RID != "" && t.PacketsLost == 0 && !hasLost(t) {
		if t.FramesDropped*layerShare <= t.Frames {
			return quiet(t) // it came or went, and waited for a Period
		}
		if n := keptOut(t); n > 0 {
			return fmt.Sprintf(reasonApart, n)
		}
	}
	if why := leftOut(t); why != "" {
		return why
	}
	if i := slices.IndexFunc(t.Gaps, isLoss); i >= 0 {
		return fmt.Sprintf("a gap of %.3f s at %.3f s", t.Gaps[i].Duration, t.Gaps[i].Start)
	}
	return quiet(t)
}

// keptOut returns how many frames of a layer were left out for the sake of other
// layers, if that is why it has few or none.
func keptOut(t *media.RecordingTrack) int64 {
	if n := t.FramesDropped - t.FramesBeforeKey; t.RID != "" && t.PacketsLost == 0 && n > t.FramesBeforeKey {
		return n
	}
	return 0
}

// reasonApart is why a layer's frames were left out.
const reasonApart = "%d frames left out, while this layer had no key frame at a picture at which the other layers have one"

// isLoss reports whether a gap means that something that was sent is missing.
func isLoss(g media.Gap) bool {
	return g.Cause == arrange.CauseLoss || g.Cause == arrange.CauseOverrun || isLimit(g)
}

// isLimit reports whether a gap is there because too many Periods would have begun.
func isLimit(g media.Gap) bool { return g.Cause == arrange.CauseLimit }

// reasonLimit is why frames came and were left out.
const reasonLimit = "the sender began anew, or changed its format, more often than once a second, which a recording does not follow"

// hasLost reports whether something of a track was sent and is not there.
func hasLost(t *media.RecordingTrack) bool { return slices.ContainsFunc(t.Gaps, isLoss) }

// leftOut says what of a track did not come, or came and was left out.
func leftOut(t *media.RecordingTrack) string {
	before := beforeKey(t)
	if t.PacketsLost == 0 && t.FramesDropped == t.FramesBeforeKey {
		return before
	}
	why := fmt.Sprintf("%d packets were lost, %d frames left out", t.PacketsLost, t.FramesDropped)
	if slices.ContainsFunc(t.Gaps, isLimit) {
		why += "; " + reasonLimit
	}
	if before != "" {
		why += "; " + before
	}
	return why
}

// askedFor is how long a first key frame may take before the sender counts as ignoring
// requests, which are repeated every second.
const askedFor = 1.0

// beforeKey says what came before the first key frame, without which nobody can decode
// it. It is missing like all else that was sent while there was a recording.
func beforeKey(t *media.RecordingTrack) string {
	switch {
	case t.FramesBeforeKey == 0:
		return ""
	case t.KeyFrameWait < askedFor || t.PacketsLost > 0:
		return fmt.Sprintf("%d frames came before the first key frame, and could not be recorded", t.FramesBeforeKey)
	}
	return fmt.Sprintf("the sender ignored requests for a key frame for %.1f s: %d frames before the first one could not be recorded",
		t.KeyFrameWait, t.FramesBeforeKey)
}

// layerShare is the part of a layer's frames, one in this many, that may have come
// while the layer waited for a Period that it can be in.
const layerShare = 4

const (
	// quietLong is the shortest time without media that may be more than a still
	// picture or a pause in talking, and quietShare the part of a recording, one in
	// this many, from which on such times make it incomplete.
	quietLong  = 10.0
	quietShare = 10
)

// quiet says for how long a sender sent nothing, where that is much of the recording.
func quiet(t *media.RecordingTrack) string {
	sum := 0.0
	for _, g := range t.Gaps {
		if g.Duration >= quietLong && (g.Cause == arrange.CausePause || g.Cause == arrange.CauseAbsent) {
			sum += g.Duration
		}
	}
	all := t.MediaSeconds + t.FilledSeconds + t.GapSeconds
	if sum*quietShare < all || sum == 0 {
		return ""
	}
	return fmt.Sprintf("nothing came for %.1f s of %.1f s, in pauses of %.0f s and longer", sum, all, quietLong)
}
