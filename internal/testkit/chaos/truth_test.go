package chaos

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/load"
)

// truth is what happened.
type truth struct {
	senders []*senderTruth
	noted   []noted
	started time.Duration // when a recording that is asked for was begun, right after what had come
	stopped time.Duration
	torn    bool // a crash took part of the last write
	faults  []finding
}

// noted is something that happened to the node.
type noted struct {
	kind     string
	from, to time.Duration
}

// confusion is how long the network takes to sort out what is given other numbers.
const confusion = 1500 * time.Millisecond

// enough is how many findings of a class are told.
const enough = 3

// finding is something that is wrong with what was recorded.
type finding struct{ class, text string }

func (f finding) String() string { return f.class + ": " + f.text }

func (tr *truth) note(kind string, from, to time.Duration) {
	tr.noted = append(tr.noted, noted{kind, from, to})
}

// fault notes a finding; of many of a class the first few are enough.
func (tr *truth) fault(class, format string, args ...any) {
	n := 0
	for _, f := range tr.faults {
		if f.class == class {
			n++
		}
	}
	if n >= enough {
		return
	}
	tr.faults = append(tr.faults, finding{class, fmt.Sprintf(format, args...)})
}

// calm reports whether the node is well at a time, and has been for a while.
func (tr *truth) calm(at time.Duration) bool {
	for _, n := range tr.noted {
		if at >= n.from-time.Second && at <= n.to+30*time.Second {
			return false
		}
	}
	return true
}

type senderTruth struct {
	life         *Life
	began, ended time.Duration
	tracks       []*trackTruth
}

// trackTruth is what was sent of a track.
type trackTruth struct {
	lane
	sender *senderTruth
	sent   time.Duration // when the last unit was
	units  []*unit

	confused   []time.Duration // when it was given other numbers, on a network that mixes packets up
	renumbered []time.Duration // when its sequence numbers jumped
}

// unit is an access unit that was sent.
type unit struct {
	of       *trackTruth
	sum      [sha256.Size]byte
	key      bool
	captured time.Duration
	packets  int
	missing  int           // packets that have not arrived
	gone     bool          // some of it never did
	doubt    bool          // some of it may have come too late
	first    time.Duration // arrival of its first packet, and of its last
	at       time.Duration
	// What the judge finds:
	decodable verdict
	recorded  bool
}

// verdict is whether a unit is to be recorded.
type verdict int

const (
	no verdict = iota
	perhaps
	yes
)

func (tr *trackTruth) add(u *load.AccessUnit, captured time.Duration, packets int) *unit {
	tr.units = append(tr.units, &unit{of: tr, sum: u.SHA256, key: u.Key, captured: captured, packets: packets, missing: packets})
	return tr.units[len(tr.units)-1]
}

// confuse notes that the packets have other numbers from now on: what is under way may
// come too late, and so may be what follows, where the network mixes them up.
func (tr *trackTruth) confuse(at time.Duration, n *Net) {
	if n.Reorder == 0 && n.Jitter == 0 && n.Loss == 0 && n.Duplicate == 0 {
		return
	}
	tr.confused = append(tr.confused, at)
}

// isConfused reports whether a unit was sent within a time after its track was given other
// numbers, which is since the first that came with them.
func (u *unit) isConfused(within time.Duration) bool {
	return slices.ContainsFunc(u.of.confused, func(at time.Duration) bool {
		return u.captured > at && u.captured < u.of.cameAfter(at)+within
	})
}

// cameAfter returns when the first unit was captured of those after a time of which something came.
func (tr *trackTruth) cameAfter(at time.Duration) time.Duration {
	i := slices.IndexFunc(tr.units, func(u *unit) bool { return u.captured > at && u.missing < u.packets })
	if i < 0 {
		return at
	}
	return tr.units[i].captured
}

func (u *unit) lost(at time.Duration) { u.gone, u.at = true, max(u.at, at) }

func (u *unit) arrived(at time.Duration, doubt bool) {
	u.missing--
	if u.at == 0 {
		u.first = at
	}
	u.at, u.doubt = max(u.at, at), u.doubt || doubt
}

// whole is whether all of a unit arrived in time.
func (u *unit) whole() verdict {
	switch {
	case u.gone || u.missing > 0:
		return no
	case u.doubt:
		return perhaps
	}
	return yes
}

// decide says which units can be decoded by somebody who listens from one time to another.
func (tr *trackTruth) decide(from, to time.Duration) {
	chain := no
	for _, u := range tr.units {
		u.decodable, u.recorded = no, false
		for _, at := range tr.confused {
			u.doubt = u.doubt || u.captured > at-confusion && u.captured < tr.cameAfter(at)+confusion
		}
		switch {
		case u.first < from || u.at > to:
		case tr.kind == media.Audio || u.key:
			u.decodable = u.whole()
		default:
			u.decodable = min(chain, u.whole())
		}
		chain = u.decodable
	}
}

// lostIn returns how many units of a time are not recorded, of which the node could
// know, for something came after them until it sealed the recording, and before them since
// it has listened; and when the first of them was captured.
func (tr *trackTruth) lostIn(from, to, listens, sealed time.Duration) (n int, first time.Duration) {
	heard := max(0, slices.IndexFunc(tr.units, func(u *unit) bool { return u.missing < u.packets && u.at >= listens }))
	known := len(tr.units)
	for known > heard && (tr.units[known-1].whole() != yes || tr.units[known-1].at > sealed) {
		known--
	}
	for _, u := range tr.units[heard:known] {
		if u.recorded || u.captured < from || u.captured > to || u.doubt || u.decodable == perhaps {
			continue
		}
		if n++; n == 1 {
			first = u.captured
		}
	}
	return n, first
}
