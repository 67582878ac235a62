package recording

import (
	"errors"
	"time"
)

// The manifests and recording.json of a running recording are what its storage shows of it
// if this machine is lost; players get them from memory. They are stored after the first
// segment, and then whenever the recording has become twice as long, within these bounds.
const (
	persistMin = 30 * time.Second // of media, at least
	persistMax = 3 * time.Minute  // of media, at most
	// 1/persistShare of the media is what all of them together may have in bytes, beyond
	// the first persistFree: a long recording's manifests grow, and so are stored less often.
	persistShare = 1000
	persistFree  = 256 << 10
)

// persisted says what was stored of a running recording's manifests and recording.json.
type persisted struct {
	version  int           // of the presentation; 0: nothing was stored
	end      time.Duration // latest end of its segments
	bytes    int64         // of all that was stored
	newest   int64         // of these, what was stored last
	retry    time.Time     // not before, after a failure
	underWay bool          // they are being stored now, or wait for it
}

// due reports whether there is enough new to store again.
func (p *persisted) due(version int, end time.Duration, mediaBytes int64) bool {
	if p.version == 0 {
		return true
	}
	return version != p.version && end-p.end >= min(max(p.end, persistMin), persistMax) &&
		p.bytes+p.newest <= persistFree+mediaBytes/persistShare
}

// Persist has the manifests and recording.json of the running recording stored, if that is
// due. It does not wait for that. A failure is only logged and tried again later.
func (rec *Recording) Persist() {
	rec.mu.Lock()
	p := &rec.persisted
	due := !rec.sealed && !p.underWay && p.due(rec.version, rec.end, rec.info.Bytes) && rec.pres.Ready() && !rec.host.Settings().Now().Before(p.retry)
	if due {
		p.underWay = true
	}
	rec.mu.Unlock()
	if due && !rec.jobs.add(rec, rec.persist) {
		rec.notePersisted(func(*persisted) {}) // it is due again with the next look
	}
}

// persist stores the manifests and recording.json as they are now.
func (rec *Recording) persist() {
	rec.mu.Lock()
	version, end := rec.version, rec.end
	rec.mu.Unlock()
	info := rec.Snapshot()
	size, err := rec.putManifests()
	text := encodeInfo(info)
	if err := errors.Join(err, rec.put(infoName, text)); err != nil {
		rec.log().Error("manifest was not stored, will try again", "stream", info.Stream, "record_id", info.RecordID, "error", err)
		retry := rec.host.Settings().Now().Add(RetryAfter)
		rec.notePersisted(func(p *persisted) { p.retry = retry })
		return
	}
	size += int64(len(text))
	rec.notePersisted(func(p *persisted) {
		*p = persisted{version: version, end: end, bytes: p.bytes + size, newest: size}
	})
}

// notePersisted notes what came of storing the manifests.
func (rec *Recording) notePersisted(note func(p *persisted)) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.persisted.underWay = false
	note(&rec.persisted)
}
