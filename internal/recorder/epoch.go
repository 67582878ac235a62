package recorder

import (
	"errors"
	"hash/fnv"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/timeline"
)

const (
	// maxGaps bounds a track's list of gaps.
	maxGaps = 1000
	// pauseNoted is the shortest pause of a sender that the ledger names.
	pauseNoted = time.Second

	causeLoss      = "loss"
	causePause     = "pause"
	causeReconnect = "reconnect"
	causeLayer     = "layer"
	causeOverrun   = "overrun"

	// staggerShare and staggerMax bound by how much a stream's first recording
	// is shorter than the limit, so that streams that began together do not
	// rotate together.
	staggerShare = 20
	staggerMax   = time.Minute
)

// epoch is a Period of a recording while it is being written. A track enters
// it with its first frame at or after the boundary, so that around a boundary
// tracks are in two epochs.
type epoch struct {
	rec     *recording
	period  int           // index in rec
	at      time.Duration // session time of its first frame
	start   time.Duration // Period@start
	end     time.Duration // latest end of a track that has left, on rec's media timeline
	members int           // tracks that are in it
	failed  error         // of a track that has left
	opened  time.Time
	remap   bool // tracks do not go on where they were: the mapping changed
}

// cut says how a boundary is to be made.
type cut struct {
	rotate bool // it begins a new recording
	hole   bool // the media before it ends earlier
	remap  bool // media time after it follows the mapping, not the running time
}

// enterFirst gives a track that is nowhere its place: with the first frame of
// the session or of a publication, after a discontinuity, or when video comes
// late to a recording that has begun with audio alone.
func (s *session) enterFirst(tr *track, f *media.Frame) error {
	var at time.Duration
	switch {
	case s.cur != nil:
		at = max(s.pub.time.Media(tr.ID, f.Timestamp), s.cur.at)
	case s.zero.IsZero():
		s.zero = f.Arrival
		s.pub.time.Anchor(tr.ID, f.Timestamp, 0)
	default:
		at = max(f.Arrival.Sub(s.zero), s.end+time.Millisecond) // Periods begin at whole milliseconds, and after what is there
		s.pub.time.Anchor(tr.ID, f.Timestamp, at)
	}
	s.noteReturn(tr, at)
	lanes := s.pub.lanes()
	if s.cur != nil {
		lanes = s.lanesWith(tr)
	} else if tr.Kind == media.Audio {
		lanes = []lane{tr.lane} // the video has not come
	}
	if err := s.openEpoch(at, lanes, false); err != nil {
		return err
	}
	return s.enter(tr, f, at)
}

// boundary begins a new epoch with the frame f of a track that leads.
func (s *session) boundary(tr *track, f *media.Frame, c cut) error {
	at, end := tr.sessionTime(f.Timestamp), tr.time(f.Timestamp)
	if c.hole {
		end = 0
	}
	if c.remap {
		at, s.remap = s.remapped(tr, f), false
	}
	tr.wroteAt = s.now // it is not silent: audio that comes back here waits for this Period
	if err := s.releaseBefore(at); err != nil {
		return err
	}
	if c.hole && !c.remap {
		end = min(s.othersEnd(tr), tr.time(f.Timestamp))
	}
	if c.rotate {
		if err := s.begin(s.r.ctx, s.wall(at)); err != nil {
			s.putOffRotation(tr, f, err)
			if c = (cut{hole: c.hole, remap: c.remap}); c == (cut{}) && f.Format.Equal(tr.format) {
				return nil
			}
		}
	}
	if err := s.openEpoch(at, s.lanesWith(tr), c.remap); err != nil {
		return err
	}
	if err := s.exitGone(end); err != nil {
		return err
	}
	if err := s.exit(tr, end); err != nil {
		return err
	}
	return s.enter(tr, f, at)
}

// othersEnd returns where the other tracks of a track's epoch end, in its
// ticks, or 0 where that is not later than its own end. What sounds on through a
// hole in the video needs the last picture: a Period in which the video ends
// long before the audio makes dash.js stand still there.
func (s *session) othersEnd(tr *track) media.Ticks {
	end := s.endOf(tr)
	for _, other := range s.pub.tracks {
		if other.ep == tr.ep {
			end = max(end, s.endOf(other))
		}
	}
	if end == s.endOf(tr) {
		return 0
	}
	return tr.ticks(end - tr.ep.rec.offset)
}

// remapped returns the session time at which a Period that follows the mapping
// begins with f. A track may have got ahead of the mapping by what a sender's
// report said; media time cannot go back for it, so the mapping moves on.
func (s *session) remapped(tr *track, f *media.Frame) time.Duration {
	at, end := s.pub.time.Media(tr.ID, f.Timestamp), s.endOf(tr)
	for _, other := range s.pub.tracks {
		if other.ep != nil {
			end = max(end, s.endOf(other))
		}
	}
	if at >= end-driftMin {
		return max(at, s.endOf(tr))
	}
	s.pub.time.Anchor(tr.ID, f.Timestamp, end)
	return end
}

// endOf returns the session time at which the last sample of a track ends.
func (s *session) endOf(tr *track) time.Duration {
	return tr.ep.rec.offset + tr.duration(tr.end())
}

// lanesWith returns the lanes of the tracks that a boundary which tr leads
// concerns: those that are in one, and audio that is sending.
func (s *session) lanesWith(tr *track) []lane {
	lanes := []lane{tr.lane}
	for _, other := range s.pub.tracks {
		if other == tr || s.isOff(other) {
			continue
		}
		comes := other.Kind == media.Audio && other.seen && s.now.Sub(other.lastArrival) < pauseNoted
		if other.ep != nil || other.gone || len(other.held) > 0 || comes {
			lanes = append(lanes, other.lane)
		}
	}
	return lanes
}

// openEpoch begins a Period of the current recording at a session time, for
// the given lanes.
func (s *session) openEpoch(at time.Duration, lanes []lane, remap bool) error {
	if err := s.endStragglers(); err != nil {
		return err
	}
	rec := s.rec
	if rec.isEmpty() {
		rec.offset = at
		if err := rec.started(s.wall(at)); err != nil {
			return err
		}
	}
	if s.cur != nil && s.cur.members > 0 {
		s.prev = s.cur
	}
	s.recast = false
	s.cur = &epoch{rec: rec, at: at, opened: s.now, remap: remap}
	var err error
	s.cur.period, s.cur.start, err = rec.beginPeriod(at-rec.offset, lanes)
	return err
}

// enter puts a track, with its frame f at a session time, into the current
// epoch.
func (s *session) enter(tr *track, f *media.Frame, at time.Duration) error {
	ep := s.cur
	out := ep.rec.track(tr.lane)
	t := max(tr.ticks(at-ep.rec.offset), tr.ticks(ep.start), out.Written())
	if err := ep.rec.beginTrack(ep.period, tr.lane, f.Format, t); err != nil {
		return err
	}
	tr.ep, tr.out, tr.format, tr.entered = ep, out, f.Format, true
	tr.ts0, tr.t0, tr.wrote, tr.at = f.Timestamp, t, false, t
	tr.dur = f.Duration
	if tr.Kind == media.Video {
		tr.dur = media.Ticks(tr.ClockRate / 30)
	}
	ep.members++
	tr.joined()
	return nil
}

// exit takes a track out of its epoch, where its last sample ends at the given
// media time, or after its own duration if that is 0.
func (s *session) exit(tr *track, at media.Ticks) error {
	ep := tr.ep
	if len(tr.due) > 0 && tr.due[0].ep == ep {
		at = tr.due[0].to // it has nothing for the segments of the lead after that
	}
	end, err := tr.out.End(at)
	ep.end = max(ep.end, tr.duration(end))
	ep.failed = errors.Join(ep.failed, err)
	s.ends[tr.lane] = ep.rec.offset + tr.duration(end)
	ep.members--
	tr.ep, tr.out = nil, nil
	if ep.members > 0 {
		if ep.rec != s.rec {
			return nil // told when the last has left
		}
		return err
	}
	ep.rec.endPeriod(ep.period, ep.end)
	s.end = max(s.end, ep.rec.offset+ep.end)
	if s.prev == ep {
		s.prev = nil
	}
	if ep.rec == s.rec {
		return err
	}
	// The recording has been rotated and ends here, with a verdict of its own,
	// which it logs.
	ep.rec.abort()
	_ = ep.rec.seal(ep.failed)
	return nil
}

// putOffRotation goes on with the recording that was to be rotated, for err
// says that no other can begin now.
func (s *session) putOffRotation(tr *track, f *media.Frame, err error) {
	s.log.Error("recording is not rotated now, will try again", "record_dir", s.rec.dir, "error", err)
	s.rec.limit = tr.duration(tr.time(f.Timestamp)) + retryAfter
	s.rec.keyAsked = false
}

// recastDue reports whether a Period is wanted because tracks came or went.
func (s *session) recastDue() bool { return s.recast && s.now.Sub(s.cur.opened) >= minRecast }

// endStragglers takes the tracks that are still there out of the previous epoch.
func (s *session) endStragglers() error {
	if s.prev == nil {
		return nil
	}
	var errs []error
	for _, tr := range s.pub.tracks {
		if tr.ep != nil && tr.ep == s.prev {
			errs = append(errs, s.exit(tr, 0))
		}
	}
	return errors.Join(errs...)
}

// endEpochs takes all tracks out of where they are: what comes next begins a
// new Period.
func (s *session) endEpochs() error {
	var errs []error
	for _, tr := range s.pub.tracks {
		if tr.ep != nil {
			errs = append(errs, s.exit(tr, 0))
		}
	}
	s.cur, s.prev = nil, nil
	return errors.Join(errs...)
}

// discontinue forgets where the tracks are and how their clocks run: nothing
// of what follows relates to what came before.
func (s *session) discontinue() {
	s.cur, s.prev, s.remap, s.recast = nil, nil, false, false
	if s.pub == nil {
		return
	}
	s.pub.lead = nil
	tracks := make([]media.Track, 0, len(s.pub.tracks))
	for _, tr := range s.pub.tracks {
		tr.ep, tr.out, tr.held, tr.seen = nil, nil, nil, false
		tr.due, tr.gone = nil, false
		tracks = append(tracks, tr.Track)
		if tr.Kind == media.Video && !tr.keyWanted {
			s.wantKey(tr)
		}
	}
	s.pub.time = timeline.New(tracks)
}

// wall returns the wall clock of a session time.
func (s *session) wall(at time.Duration) time.Time { return s.zero.Add(at) }

// limit returns the length at which the next recording is to be rotated.
func (s *session) limit() time.Duration {
	limit := s.r.o.MaxRecording
	if s.dirs > 0 {
		return limit
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.stream)) // never fails
	span := min(limit/staggerShare, staggerMax)
	return limit - span*time.Duration(h.Sum32()%1000)/1000
}

// rotationDue reports whether the recording that a track writes to has reached
// its limit with f.
func (s *session) rotationDue(tr *track, f *media.Frame) bool {
	rec := tr.ep.rec
	return rec.limit > 0 && tr.ep == s.cur && tr.duration(tr.time(f.Timestamp)) >= rec.limit-min(cutSlack, rec.limit/2)
}

// rotationNear reports, once for a recording, that a key frame is needed for
// its rotation.
func (s *session) rotationNear(tr *track, f *media.Frame) bool {
	rec := tr.ep.rec
	if rec.keyAsked || !s.rotationDue(tr, f) {
		return false
	}
	rec.keyAsked = true
	return true
}

// noteHole puts a hole right after a track's last sample into the ledger if it
// is one of loss or a long pause.
func (s *session) noteHole(tr *track, hole time.Duration) {
	cause := causePause
	switch {
	case hole <= 0:
		return
	case tr.lost != "":
		cause = tr.lost
	case hole < pauseNoted:
		return
	}
	tr.ep.rec.gap(tr.lane, tr.duration(tr.end()), hole, cause)
}

// noteReturn puts the time without media of a track that was nowhere, and
// enters at a session time, into the ledger: what was lost, the time without a
// publisher, or the pause of one that went on.
func (s *session) noteReturn(tr *track, at time.Duration) {
	end, ok := s.ends[tr.lane]
	if !ok || end <= s.rec.offset || s.rec.isEmpty() {
		return // the recording has nothing of the track yet
	}
	cause, least := causePause, pauseNoted
	switch {
	case tr.lost != "":
		cause, least = tr.lost, 1
	case !tr.entered:
		cause, least = causeReconnect, 1
	}
	if at-end >= least {
		s.rec.gap(tr.lane, end-s.rec.offset, at-end, cause)
	}
}
