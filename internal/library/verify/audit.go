package verify

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// maxGaps is how many gaps the ledger of a track lists at most.
const maxGaps = 1000

// Audit says what is wrong with a recording as a whole: Periods that lack media,
// and a ledger or a verdict that is not what the manifest and the files show. What
// is wrong with single files is in Recording.Problems.
func Audit(r *Recording) []Problem {
	var problems []Problem
	problem := func(where, format string, args ...any) {
		problems = append(problems, Problem{Where: where, What: fmt.Sprintf(format, args...)})
	}
	if len(r.Periods) == 0 {
		return nil // is a problem already
	}
	r.auditPeriods(problem)
	r.auditBandwidth(problem)
	if r.Info != nil && r.Info.Status != media.StatusRecording && !r.Dynamic {
		a := &auditor{rec: r, info: r.Info, problem: func(format string, args ...any) { problem(media.InfoName, format, args...) }}
		a.audit()
	}
	return problems
}

// auditor compares a recording with its ledger.
type auditor struct {
	rec     *Recording
	info    *media.Recording
	problem func(format string, args ...any)
}

func (a *auditor) audit() {
	if n := len(a.rec.Periods); a.info.Periods != n {
		a.problem("says %d Periods, the manifest has %d", a.info.Periods, n)
	}
	if d := a.info.Start.Sub(a.rec.Start).Abs(); !a.rec.Start.IsZero() && d > ledgerError {
		a.problem("says that it started at %s, the manifest %s", a.info.Start.Format(timeFormat), a.rec.Start.Format(timeFormat))
	}
	if a.info.End != nil && a.info.PausedSince != nil {
		a.problem("has ended, and is paused since %s", a.info.PausedSince.Format(timeFormat))
	}
	if a.info.End != nil && a.info.End.Before(a.info.Start.Add(a.rec.Duration-clockError)) {
		a.problem("says that it ended at %s, but started at %s it lasts %s", a.info.End.Format(timeFormat), a.info.Start.Format(timeFormat), sec(a.rec.Duration))
	}
	seen := map[*Track]bool{}
	for i := range a.info.Tracks {
		l := &a.info.Tracks[i]
		t := a.track(l)
		seen[t] = true
		if t == nil {
			a.absent(l)
			continue
		}
		a.counts(l, t)
		a.gaps(l, t)
	}
	for _, t := range a.rec.Tracks {
		if !seen[t] && len(t.Segments) > 0 {
			a.problem("does not know the track %s, which the manifest has", t.ID)
		}
	}
	a.verdict()
}

// timeFormat is that of times in messages.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// clockError is by how much a recording may be sealed before its end: media time
// follows the wall clock of another machine.
const clockError = 5 * time.Second

// track returns the track that an entry of the ledger is about, nil if the
// manifest has none with media.
func (a *auditor) track(l *media.RecordingTrack) *Track {
	for _, t := range a.rec.Tracks {
		if got, ok := a.rec.ledger(t); ok && got == l && len(t.Segments) > 0 {
			return t
		}
	}
	return nil
}

// absent checks the entry of a track that the manifest does not have.
func (a *auditor) absent(l *media.RecordingTrack) {
	if a.info.Status != media.StatusFailed && (l.Segments > 0 || l.Frames > 0) {
		a.problem("%s: says %d segments and %d frames, the manifest has none", name(l), l.Segments, l.Frames)
	}
}

// name names a track of the ledger in messages.
func name(l *media.RecordingTrack) string {
	if l.Layer > 0 {
		return fmt.Sprintf("%s-%d", l.Kind, l.Layer+1)
	}
	return l.Kind
}

// counts compares what the ledger counts with what is there.
func (a *auditor) counts(l *media.RecordingTrack, t *Track) {
	var bytes int64
	samples, own := 0, 0
	for _, s := range t.Segments {
		bytes += s.Bytes
		samples += s.Samples
		own += s.Samples - s.Fillers
	}
	if !l.Recorded {
		a.problem("%s: says that nothing is recorded, the manifest has %d segments", name(l), len(t.Segments))
	}
	if l.Segments != len(t.Segments) {
		a.problem("%s: says %d segments, the manifest has %d", name(l), l.Segments, len(t.Segments))
	}
	if l.Bytes != bytes {
		a.problem("%s: says %d bytes, its segments have %d", name(l), l.Bytes, bytes)
	}
	if l.Frames > int64(samples) && a.info.Status != media.StatusFailed || l.Frames < int64(own) {
		a.problem("%s: says %d frames, its segments have %d, of which %d may stand for others", name(l), l.Frames, samples, samples-own)
	}
	if in, ok := t.lastInit(); ok {
		if l.RFC6381 != in.Codecs || l.Width != in.Width || l.Height != in.Height {
			a.problem("%s: says %s of %dx%d, %s has %s of %dx%d", name(l), l.RFC6381, l.Width, l.Height, in.Name, in.Codecs, in.Width, in.Height)
		}
	}
}

// lastInit returns the init segment of the last segment.
func (t *Track) lastInit() (Init, bool) {
	for _, in := range t.Inits {
		if slices.Contains(in.Periods, t.Segments[len(t.Segments)-1].Period) {
			return in, true
		}
	}
	return Init{}, false
}

// gaps compares the gaps of a track's ledger, and their sums, with the manifest.
func (a *auditor) gaps(l *media.RecordingTrack, t *Track) {
	holes, slack := a.holes(t)
	open := spansOf(l.Gaps, func(g media.Gap) bool { return !g.Filled })
	cut := len(l.Gaps) >= maxGaps // the sums know more
	for _, h := range holes {
		if h.End-h.Start > 2*slack && open.Within(h.Start, h.End) < h.End-h.Start-2*slack && !cut {
			a.problem("%s: the manifest has a hole from %s to %s, which is no gap", name(l), sec(h.Start), sec(h.End))
		}
	}
	if !hasSums(a.info) {
		return // an older version listed what it bridged, too
	}
	if len(l.Gaps) > maxGaps {
		a.problem("%s: lists %d gaps, there may be %d", name(l), len(l.Gaps), maxGaps)
	}
	a.overlaps(l)
	for _, g := range open {
		if d := g.End - g.Start; d > 2*slack && holes.Within(g.Start, g.End) < d-2*slack {
			a.problem("%s: says that there is a gap from %s to %s, where the manifest has media", name(l), sec(g.Start), sec(g.End))
		}
	}
	a.sums(l, t, holes, slack)
	a.unnoted(l, t)
}

// overlaps checks that no two gaps are about the same time, that they are in the order of
// time, and all within the recording.
func (a *auditor) overlaps(l *media.RecordingTrack) {
	var sum, merged time.Duration
	all := spansOf(l.Gaps, func(media.Gap) bool { return true })
	if !slices.IsSortedFunc(l.Gaps, func(a, b media.Gap) int { return cmp.Compare(a.Start, b.Start) }) {
		a.problem("%s: gaps are not in the order of time", name(l))
	}
	for _, g := range l.Gaps {
		sum += seconds(g.Duration)
		if g.Duration <= 0 || g.Cause == "" {
			a.problem("%s: has a gap at %.3f s that lasts %.3f s, with the cause %q", name(l), g.Start, g.Duration, g.Cause)
		}
		if g.Filled && g.Cause == "paused" {
			a.problem("%s: says that something was filled in at %.3f s, where it was paused", name(l), g.Start)
		}
	}
	for _, s := range all {
		merged += s.End - s.Start
	}
	if tolerance := ledgerError * time.Duration(1+len(l.Gaps)); sum > merged+tolerance {
		a.problem("%s: gaps overlap: together they are %s of %s", name(l), sec(sum), sec(merged))
	}
	if n := len(all); n > 0 && all[n-1].End > a.rec.Duration+leastSlack {
		a.problem("%s: has a gap until %s, the recording lasts %s", name(l), sec(all[n-1].End), sec(a.rec.Duration))
	}
}

// sums checks the seconds of a track: they must add up to the recording's
// duration, agree with the list of gaps, and with the manifest.
func (a *auditor) sums(l *media.RecordingTrack, t *Track, holes Spans, slack time.Duration) {
	exact := float64(1+len(a.rec.Periods)) * ledgerError.Seconds()
	total := l.MediaSeconds + l.FilledSeconds + l.GapSeconds
	if math.Abs(total-a.rec.Duration.Seconds()) > exact {
		a.problem("%s: %.3f s of media, %.3f s filled and %.3f s of gaps are %.3f s, the recording lasts %s",
			name(l), l.MediaSeconds, l.FilledSeconds, l.GapSeconds, total, sec(a.rec.Duration))
	}
	if l.MediaSeconds < -exact || l.FilledSeconds < -exact || l.GapSeconds < -exact {
		a.problem("%s: has a sum of less than nothing", name(l))
	}
	var filled, open float64
	for _, g := range l.Gaps {
		if g.Filled {
			filled += g.Duration
		} else {
			open += g.Duration
		}
	}
	exact += float64(len(l.Gaps)) * 1e-6 // rounded to microseconds, at worst
	cut := len(l.Gaps) >= maxGaps
	ends := slack.Seconds() * float64(len(a.rec.Periods)) // a track may end a frame before its Period
	for _, s := range []struct {
		what      string
		sum, list float64
		more      float64 // what the sum may have more
	}{{"filled", l.FilledSeconds, filled, exact}, {"gaps", l.GapSeconds, open, exact + ends}} {
		if s.list > s.sum+exact || s.list < s.sum-s.more && !cut {
			a.problem("%s: %s are %.3f s in its list, and %.3f s in its sum", name(l), s.what, s.list, s.sum)
		}
	}
	missing := a.rec.Duration - t.spans().sum()
	if d := missing.Seconds() - l.GapSeconds; math.Abs(d) > slack.Seconds()*float64(len(holes)+1) {
		a.problem("%s: says %.3f s of gaps, the manifest has media for all but %s", name(l), l.GapSeconds, sec(missing))
	}
}

// unnoted looks for pictures that last so long that the ledger must know why.
func (a *auditor) unnoted(l *media.RecordingTrack, t *Track) {
	known := spansOf(l.Gaps, func(media.Gap) bool { return true })
	if len(l.Gaps) >= maxGaps {
		return
	}
	var reported Span
	for _, s := range t.Segments {
		for _, still := range s.Stills {
			if still.Start != reported.Start && known.Within(still.Start, still.End) < still.End-still.Start-stillLength {
				reported = still
				a.problem("%s: the picture at %s lasts until %s, and the ledger says nothing of it", name(l), sec(still.Start), sec(still.End))
			}
		}
	}
}

// stillLength is how long a picture may last without a word in the ledger.
const stillLength = 2 * time.Second

// holes returns where a track has no media between the recording's beginning and
// its end, and by how much its media may end before its Period does.
func (a *auditor) holes(t *Track) (holes Spans, slack time.Duration) {
	var at time.Duration
	for _, s := range t.spans() {
		if s.Start > at {
			holes = append(holes, Span{at, s.Start})
		}
		at = s.End
	}
	if at < a.rec.Duration {
		holes = append(holes, Span{at, a.rec.Duration})
	}
	slack = leastSlack
	for _, p := range a.rec.media() {
		slack = max(slack, p.slack)
	}
	return holes, slack
}

// spans returns where a track has media.
func (t *Track) spans() (all Spans) {
	for _, s := range t.Segments {
		all = append(all, Span{s.Time.Duration(t.Timescale), (s.Time + s.Duration).Duration(t.Timescale)})
	}
	return all.merge()
}

// hasSums reports whether a ledger has sums: those of older versions have none.
func hasSums(info *media.Recording) bool {
	for _, t := range info.Tracks {
		if t.MediaSeconds != 0 || t.FilledSeconds != 0 || t.GapSeconds != 0 {
			return true
		}
	}
	return false
}

// openCauses are those of gaps in which something is missing that was sent, or may
// have been. The others are the sender's own.
var openCauses = map[string]bool{"loss": true, "overrun": true, "node": true, "limit": true, "storage": true}

// verdict checks that the verdict is what the ledger says.
func (a *auditor) verdict() {
	if a.info.Status != media.StatusComplete {
		if a.info.Reason == "" {
			a.problem("is %s, and does not say why", a.info.Status)
		}
		return
	}
	contradicts := func(format string, args ...any) {
		a.problem("says complete, but "+format, args...)
	}
	if a.info.Reason != "" {
		contradicts("also why it is not: %s", a.info.Reason)
	}
	if a.info.PacketsOverrun > 0 {
		contradicts("%d packets were dropped", a.info.PacketsOverrun)
	}
	if a.info.Recovered > 0 {
		contradicts("the node died while it recorded")
	}
	a.discarded(contradicts)
	for i := range a.info.Tracks {
		a.trackVerdict(&a.info.Tracks[i], contradicts)
	}
}

// discardedShare is how many of the packets that came may have been no part of a
// track, one in so many, before something is missing: a few may come before the
// keys, or be repeated for nothing.
const discardedShare = 100

// discarded looks for packets of which nothing was recorded.
func (a *auditor) discarded(contradicts func(format string, args ...any)) {
	var received, discarded int64
	for _, t := range a.info.Tracks {
		received += t.PacketsReceived
	}
	cause := ""
	for _, d := range a.info.Discarded {
		discarded += d.Packets
		cause = cmp.Or(cause, d.Cause)
	}
	if discarded*discardedShare > received+discarded {
		contradicts("%d packets beside the %d of its tracks were thrown away: %s", discarded, received, cause)
	}
}

// layerShare is the part of a simulcast layer's frames, one in this many, that may have
// come while it waited for a Period that it can be in, after it was turned on.
const layerShare = 4

// trackVerdict looks for what contradicts that a track is complete.
func (a *auditor) trackVerdict(l *media.RecordingTrack, contradicts func(format string, args ...any)) {
	switch {
	case l.Missing != "":
		contradicts("%s is not: %s", name(l), l.Missing)
	case (!l.Recorded || a.track(l) == nil) && (l.RID == "" || l.PacketsReceived > 0):
		contradicts("nothing of %s is recorded", name(l))
	}
	waited := l.RID != "" && l.PacketsLost == 0 && l.FramesDropped*layerShare <= l.Frames
	if (l.PacketsLost > 0 || l.FramesDropped > 0) && !waited {
		contradicts("%d packets and %d frames of %s are lost", l.PacketsLost, l.FramesDropped, name(l))
	}
	for _, g := range l.Gaps {
		if openCauses[g.Cause] {
			contradicts("%s has a gap of %.3f s at %.3f s with the cause %s", name(l), g.Duration, g.Start, g.Cause)
			return
		}
	}
}

// auditBandwidth holds @bandwidth against the segments, as players use it: what
// arrives at that rate is there in time, minBufferTime ahead (ISO/IEC 23009-1
// 5.3.5.2), and it is not far above what is ever needed.
func (r *Recording) auditBandwidth(problem func(where, format string, args ...any)) {
	if r.Dynamic {
		return
	}
	for _, t := range r.Tracks {
		for _, rep := range t.Representations {
			var peak, least float64
			for _, s := range t.Segments {
				if s.Period != rep.Period || s.Duration <= 0 {
					continue
				}
				d := s.Duration.Duration(t.Timescale).Seconds()
				peak = max(peak, float64(8*s.Bytes)/d)
				least = max(least, float64(8*s.Bytes)/(d+r.MinBuffer.Seconds()))
			}
			if b := float64(rep.Bandwidth); peak > 0 && (b < least*0.9 || b > peak*2) {
				problem(where(rep.Period), "Representation %s has bandwidth %d, its segments need %.0f to %.0f bit/s", t.ID, rep.Bandwidth, least, peak)
			}
		}
	}
}
