package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
)

// checkOrder finds video that nobody can decode: it does not follow what it needs.
func (j *judge) checkOrder(all []placed) {
	last := 0
	for _, p := range all {
		if p.unit == nil || p.unit.of.kind != media.Video {
			continue
		}
		if !p.unit.key && p.next-1 != last {
			j.fault("undecodable", "video of %s at %v depends on what is not there", p.rec.Dir, p.start)
		}
		last = p.next
	}
}

// inARow is how many packets may be left out in a row to correct the clock of sound.
const inARow = 5

// checkMissing finds units that should have been recorded and were not.
func (j *judge) checkMissing(l lane, sent []*unit) {
	var missing []*unit
	row, longest := 0, 0
	for _, u := range sent {
		switch {
		case u.recorded || u.decodable != yes || j.excused(u):
			row = 0
			continue
		case !u.early():
			row++
		}
		missing = append(missing, u)
		longest = max(longest, row)
	}
	if n := j.corrected(l); len(missing) > n || longest > inARow {
		j.fault("missing", "%d units of %s that arrived, %d of them corrected away: %s", len(missing), l.id(), n, spans(missing))
	}
}

// early says whether a unit came before the first picture of its sender, as far as it is
// known how late that is: sound is left out that belongs before the beginning of its Period.
func (u *unit) early() bool {
	first, l := u.of.sender.began, u.of.sender.life
	for _, tr := range u.of.sender.tracks {
		if i := slices.IndexFunc(tr.units, func(v *unit) bool { return v.decodable == yes }); i >= 0 && tr.kind == media.Video {
			first = max(first, tr.units[i].captured)
		}
	}
	return u.captured < first+l.Net.Jitter+l.Clock.unsure()+edge
}

// corrected returns how many packets the ledgers say were left out to correct the clock of
// sound; those of the last few a crash takes along.
func (j *judge) corrected(l lane) (n int) {
	for _, r := range j.recordings {
		if tr := r.ledger(l); tr != nil {
			n += int(tr.PacketsCorrected)
		}
		if l.kind == media.Audio && r.Info.Recovered > 0 {
			n += inARow
		}
	}
	return n
}

// spans lists when units were captured.
func spans(units []*unit) string {
	var b strings.Builder
	from, to, n, listed := units[0].captured, units[0].captured, 0, 0
	flush := func() {
		if listed++; listed <= 5 {
			fmt.Fprintf(&b, " %d from %v to %v;", n, from, to)
		}
	}
	for _, u := range units {
		if u.captured-to > 500*time.Millisecond {
			flush()
			from, n = u.captured, 0
		}
		to = u.captured
		n++
	}
	flush()
	return b.String()
}
