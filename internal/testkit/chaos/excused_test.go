package chaos

import (
	"math"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// What arrived may be missing for the reasons that are in this file, and no other.

const (
	// grace is how much more than a chunk a crash may cost: what waits for a packet that is
	// late, and sound that waits for its picture.
	grace = 2500 * time.Millisecond
	// retried is how long storage may work again until a recording begins.
	retried = 45 * time.Second
	// joined is how long a key frame is waited for by who listens since the middle of one,
	// on a network that mixes packets up: the first that comes need not be its first.
	joined = 2 * time.Second
	// lagged is how long a layer may have nothing that can be decoded until another one takes
	// its place.
	lagged = 2 * time.Second
	// asked is how long a request to end a recording takes.
	asked = 50 * time.Millisecond
)

// excused says whether a unit that arrived may be missing.
func (j *judge) excused(u *unit) bool {
	return j.notAsked(u) || j.beforeFirst(u) || j.waits(u) || u.isStray() ||
		slices.ContainsFunc(j.noted, func(n noted) bool { return j.lostWith(n, u) })
}

// isStray reports whether a unit is a single packet with a number from nowhere, and its
// track's last: that another one follows would tell that it is none by accident.
func (u *unit) isStray() bool {
	of := u.of
	return u.packets == 1 && u == of.units[len(of.units)-1] && slices.ContainsFunc(of.renumbered, func(at time.Duration) bool {
		return u.captured >= at && (len(of.units) == 1 || of.units[len(of.units)-2].captured < at)
	})
}

// notAsked says whether a unit came when no recording was asked for: one that was is over
// when its publisher has left for good, and does not begin again with the next one.
func (j *judge) notAsked(u *unit) bool {
	if j.sc.Manual == 0 {
		return false
	}
	return j.started == 0 || j.stopped == 0 || u.at > j.stopped-asked || u.captured < j.started+joined && u.of.sender.life.Net.mixed() > 0 ||
		slices.ContainsFunc(j.recordings, func(r *recorded) bool { return u.of.sender.began-r.until > j.sc.Reconnect }) ||
		slices.ContainsFunc(j.senders, func(s *senderTruth) bool { return j.leftForGood(s) && s.began < u.of.sender.began })
}

// leftForGood reports whether a sender has left while a recording was asked for, and the next
// one came so late that this was over, with or without media in it.
func (j *judge) leftForGood(s *senderTruth) bool {
	left := s.ended + farewell
	if s.life.Vanish {
		left = s.ended + vanishAfter
	}
	return left > j.started && !slices.ContainsFunc(j.senders, func(o *senderTruth) bool {
		return o.began > s.began && o.began <= left+j.sc.Reconnect
	})
}

// lostWith says whether a unit may be lost because the node died or its storage failed.
func (j *judge) lostWith(n noted, u *unit) bool {
	from, to := j.heldBefore(n), n.to
	switch {
	case n.kind == "storage fails":
		from -= j.sc.Segment
		if !j.recording(u) {
			to += retried
		}
	case n.kind != "crash":
		return false
	}
	return u.at < to && (u.at > from || j.isLast(u, n))
}

// heldBefore returns from when on what came may have been in the memory of a node that
// died, or whose storage failed: a chunk, and what waits for packets; where storage was
// slow all that came since, and what had not been written when that began.
func (j *judge) heldBefore(end noted) time.Duration {
	from := end.from
	for _, n := range j.noted {
		if n.kind == "storage is slow" && n.from < end.from && n.to > end.from-grace {
			from = min(from, n.from)
		}
	}
	return j.awakeBefore(from, j.sc.Chunk+grace)
}

// awakeBefore returns when it was so long before a time by the clock of the node, which does
// not go on while that stands still.
func (j *judge) awakeBefore(at, left time.Duration) time.Duration {
	for _, n := range slices.Backward(j.noted) {
		if n.kind == "standstill" && n.from < at && n.to > at-left {
			left -= max(at-n.to, 0)
			at = n.from
		}
	}
	return at - left
}

// isLast reports whether a unit was among the last that came before a crash or a failure
// of storage: a chunk is written when it is full, and a frame when the next one comes,
// however long that takes. What came lately, behind what was lost, still waited for that.
// A crash may have torn the chunk before.
func (j *judge) isLast(u *unit, n noted) bool {
	last, lost := time.Duration(0), false
	for _, v := range j.sent(u.of.lane) {
		if lost = lost || v.whole() == no; v.at >= n.from || v.decodable == no {
			continue
		}
		if lost && v.at > j.heldBefore(n) {
			break
		}
		last, lost = max(last, v.captured), false
	}
	kept := j.sc.Chunk + 3*edge // frames are whole when the next one comes, and have their length then
	if n.kind == "crash" && j.torn {
		kept += j.sc.Chunk
	}
	return u.captured > last-kept
}

// waits says whether a unit is of a layer that waits for a Period: the ledger tells of it, or
// of a hole, and others have the picture of that time.
func (j *judge) waits(u *unit) bool {
	if u.of.kind != media.Video || !j.shown(u) {
		return false
	}
	for _, r := range j.recordings {
		for _, g := range r.gaps(u.of.lane) {
			at, told := u.captured-r.at, g.Cause == "layer" || !g.Filled
			if told && at > dur(g.Start)-short/2 && at < dur(g.Start+g.Duration)+short/2 {
				return true
			}
		}
	}
	return false
}

// shown reports whether another layer has the picture of a unit's time, or had it until it
// lost something.
func (j *judge) shown(u *unit) bool {
	return slices.ContainsFunc(u.of.sender.tracks, func(tr *trackTruth) bool {
		return tr != u.of && tr.kind == media.Video && (tr.isBroken(u.captured) || slices.ContainsFunc(tr.units, func(v *unit) bool {
			return v.recorded && (v.captured-u.captured).Abs() < short/2
		}))
	})
}

// isBroken reports whether a layer that is recorded waits for a key frame at a time, for it
// has lost something just before.
func (tr *trackTruth) isBroken(at time.Duration) bool {
	lost := false
	for _, u := range slices.Backward(tr.units) {
		switch {
		case u.captured > at:
		case u.recorded:
			return lost && at-u.captured < lagged
		case u.decodable == yes:
			return false
		default:
			lost = true
		}
	}
	return false
}

// brokenOff reports whether a recording ended with a crash or a failure of storage, which
// take causes of gaps along: the ledger calls them "node" then.
func (r *recorded) brokenOff() bool {
	return r.Info.Recovered > 0 || r.Info.Status == media.StatusFailed
}

// layered reports whether a recording has several layers of video.
func (r *recorded) layered() bool {
	return slices.ContainsFunc(r.Info.Tracks, func(t media.RecordingTrack) bool { return t.Layer > 0 })
}

// recording reports whether there is a recording of a unit's time that has begun with
// something of its track, or could have.
func (j *judge) recording(u *unit) bool {
	return slices.ContainsFunc(j.recordings, func(r *recorded) bool {
		return u.captured >= r.at && u.captured < r.until && r.couldBegin(u)
	})
}

// couldBegin reports whether something of a unit's track was sent in a recording, up to the
// unit, with which that can begin.
func (r *recorded) couldBegin(u *unit) bool {
	return slices.ContainsFunc(u.of.units, func(v *unit) bool {
		return (v.key || v.of.kind == media.Audio) && v.captured > r.at-ends && v.captured <= u.captured && v.at > r.begun
	})
}

// beforeFirst says whether a unit is sound that came before the picture that begins a
// recording, as far as that is known, with which nothing was running of its sender. A
// rotation leaves nothing out.
func (j *judge) beforeFirst(u *unit) bool {
	if u.of.kind != media.Audio || len(u.of.sender.life.Video) == 0 {
		return false
	}
	from, known := time.Duration(math.MinInt64), edge/2+u.of.sender.life.Clock.unsure()
	for _, r := range j.recordings {
		if u.captured >= from && u.captured < r.at+known {
			return from < 0 || r.at-from > time.Second || from < u.of.sender.began
		}
		from = r.until
	}
	return len(j.recordings) == 0
}
