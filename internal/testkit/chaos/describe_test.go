package chaos

import (
	"fmt"
	"strings"
	"time"
)

// describe tells what was recorded, for whoever looks for a fault.
func (j *judge) describe() string {
	var b strings.Builder
	for _, r := range j.recordings {
		fmt.Fprintf(&b, "%s from %v to %v: %s (%s), recovered %d, discarded %v\n", r.Dir, r.at, r.until, r.Info.Status, r.Info.Reason, r.Info.Recovered, r.Info.PacketsOverrun)
		for i, p := range r.Periods {
			fmt.Fprintf(&b, "  period %d: %v + %v\n", i, p.Start, p.Duration)
		}
		for i := range r.Info.Tracks {
			tr := &r.Info.Tracks[i]
			l := laneOf(tr)
			fmt.Fprintf(&b, "  %s: media %.3f filled %.3f gap %.3f; received %d lost %d dropped %d corrected %d synced %v missing %q\n",
				l.id(), tr.MediaSeconds, tr.FilledSeconds, tr.GapSeconds, tr.PacketsReceived, tr.PacketsLost, tr.FramesDropped, tr.PacketsCorrected, tr.Synced, tr.Missing)
			for _, g := range tr.Gaps {
				fmt.Fprintf(&b, "    gap %.3f to %.3f: %s, filled %v\n", g.Start, g.Start+g.Duration, g.Cause, g.Filled)
			}
			j.describeLane(&b, l, r)
		}
	}
	for _, n := range j.noted {
		fmt.Fprintf(&b, "%s from %v to %v\n", n.kind, n.from, n.to)
	}
	return b.String()
}

// describeLane lists the runs of samples that were sent, and of those that fill.
func (j *judge) describeLane(b *strings.Builder, l lane, r *recorded) {
	var first, last *placed
	n := 0
	flush := func() {
		if first == nil {
			return
		}
		what := "fills"
		if first.unit != nil {
			what = fmt.Sprintf("sent %v to %v", first.unit.captured.Round(time.Millisecond), last.unit.captured.Round(time.Millisecond))
		}
		fmt.Fprintf(b, "    %v to %v: %d %s\n", first.start.Round(time.Millisecond), last.end.Round(time.Millisecond), n, what)
		first = nil
	}
	all := j.placed[l]
	for i := range all {
		p := &all[i]
		if p.rec != r {
			continue
		}
		if first != nil && ((first.unit == nil) != (p.unit == nil) || p.unit != nil && (p.unit.captured-last.unit.captured > 100*time.Millisecond) || p.start-last.end > 10*time.Millisecond) {
			flush()
		}
		if first == nil {
			first, n = p, 0
		}
		last = p
		n++
	}
	flush()
}
