package chaos

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// layerShare is the part of a layer's frames, one in this many, that may be missing
	// without a word in the verdict, if no packet of it was lost (docs/api.md).
	layerShare = 4
	// ends is how near to a recording's ends what is missing may not be of it.
	ends = 100 * time.Millisecond
	// longPause is how long a pause is that may make a recording incomplete.
	longPause = 10 * time.Second
)

// verdicts holds the status of each recording against what is missing in it.
func (j *judge) verdicts() {
	for _, r := range j.recordings {
		lost, missing, from := 0, 0, time.Duration(0)
		for _, l := range j.lanes() {
			n, first := j.lostIn(l, r)
			missing += n
			if j.excusesLayer(l, r, n) {
				continue
			}
			if n > 0 && lost == 0 {
				from = first
			}
			lost += n
		}
		var corrected int64
		for _, tr := range r.Info.Tracks {
			corrected += tr.PacketsCorrected
		}
		if int64(lost) > corrected && r.Info.Status == media.StatusComplete {
			j.fault("verdict", "%s is complete, and %d units are missing, from %v on", r.Dir, lost, from)
		}
		if r.Info.Status != media.StatusComplete && missing == 0 && j.untroubled(r) {
			j.fault("alarm", "%s is %s (%s), and nothing is missing", r.Dir, r.Info.Status, r.Info.Reason)
		}
	}
}

// excusesLayer says whether a number of units of a layer may be missing because others have
// the picture.
func (j *judge) excusesLayer(l lane, r *recorded, missing int) bool {
	if l.kind != media.Video || !r.layered() {
		return false
	}
	recorded := 0
	var lost *trackTruth // of which something was lost
	for _, u := range j.sentWithin(l, r.at, r.until) {
		if u.whole() == no {
			lost = u.of
		}
		if !u.recorded {
			continue
		}
		if recorded++; lost == u.of { // else the node may not know of it: it was the last that its sender sent
			return false
		}
	}
	return missing*layerShare <= recorded
}

// lostIn returns how many units of a lane are missing in a recording, of all senders, as its
// ledger counts them; and when the first of them was captured.
func (j *judge) lostIn(l lane, r *recorded) (lost int, first time.Duration) {
	from, to := j.spanOf(l, r)
	for _, tr := range j.tracks() {
		if tr.lane != l {
			continue
		}
		n, at := tr.lostIn(from+ends, to-ends, j.started, j.sealed[r.Dir])
		if n > 0 && lost == 0 {
			first = at
		}
		lost += n
	}
	return lost, first
}

// spanOf returns when that was captured of a lane which belongs to a recording, whose clock is
// behind by as much as the network was late.
func (j *judge) spanOf(l lane, r *recorded) (from, to time.Duration) {
	from, to = r.at, r.until
	first := true
	for i := range j.placed[l] {
		p := &j.placed[l][i]
		if p.rec != r || p.unit == nil {
			continue
		}
		if first {
			from, first = r.at-max(0, p.late()), false
		}
		to = r.until - max(0, p.late())
	}
	return from, to
}

// untroubled reports whether there was nothing that could harm a recording: each of its
// publishers had sent all the time, and all of it came. Packets that others have overtaken
// may come after the end.
func (j *judge) untroubled(r *recorded) bool {
	if len(j.noted) > 0 || j.sc.Manual > 0 {
		return false
	}
	var lanes []string
	for _, s := range j.senders {
		if s.began > max(r.until, j.sealed[r.Dir]) || s.ended < r.at { // what it announced and did not send is missing, too
			continue
		}
		if !s.untroubled() {
			return false
		}
		of := ""
		for _, tr := range s.tracks {
			of += tr.id() + " "
		}
		lanes = append(lanes, of)
	}
	return len(slices.Compact(lanes)) == 1 // what one of them has not is missing
}

// untroubled reports whether all that a publisher has sent came as it should, and without
// long pauses.
func (s *senderTruth) untroubled() bool {
	l := s.life
	if l.Vanish || len(l.Turns) > 0 || l.Net.Jitter > 100*time.Millisecond {
		return false
	}
	for _, tr := range s.tracks {
		if slices.ContainsFunc(tr.units, func(u *unit) bool { return u.whole() == no || u.decodable == no }) {
			return false
		}
	}
	return !slices.ContainsFunc(l.Off, func(o Off) bool { return o.For >= longPause || o.At == 0 || !o.Key })
}
