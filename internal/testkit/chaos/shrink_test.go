package chaos

import (
	"slices"
	"testing"
	"time"
)

// shrink takes out of a scenario what its finding does not need: as long as one of the
// same class is left, less has happened.
func shrink(t *testing.T, sc *Scenario, class string) *Scenario {
	for again := true; again; {
		again = false
		for _, less := range sc.simpler() {
			j, _ := attempt(t, less)
			if slices.ContainsFunc(j.faults, func(f finding) bool { return f.class == class }) {
				sc, again = less, true
				break
			}
		}
	}
	return sc
}

// clone returns a copy that can be changed.
func (sc *Scenario) clone() *Scenario {
	less := *sc
	less.Faults = slices.Clone(sc.Faults)
	less.Lives = slices.Clone(sc.Lives)
	for i := range less.Lives {
		l := &less.Lives[i]
		l.Video, l.Off, l.Turns, l.Net.Outages = slices.Clone(l.Video), slices.Clone(l.Off), slices.Clone(l.Turns), slices.Clone(l.Net.Outages)
	}
	return &less
}

// simpler returns scenarios in which less happens.
func (sc *Scenario) simpler() (all []*Scenario) {
	add := func(change func(*Scenario)) {
		less := sc.clone()
		change(less)
		all = append(all, less)
	}
	for i := range sc.Lives {
		if len(sc.Lives) > 1 {
			add(func(s *Scenario) { s.Lives = slices.Delete(s.Lives, i, i+1) })
		}
	}
	for i := range sc.Faults {
		add(func(s *Scenario) { s.Faults = slices.Delete(s.Faults, i, i+1) })
	}
	if sc.MaxRecording > 0 {
		add(func(s *Scenario) { s.MaxRecording = 0 })
	}
	if sc.Manual > 0 {
		add(func(s *Scenario) { s.Manual = 0 })
	}
	for i := range sc.Lives {
		for _, change := range sc.Lives[i].simpler() {
			add(func(s *Scenario) { change(&s.Lives[i]) })
		}
	}
	return all
}

// simpler returns what can be taken out of a life.
func (l *Life) simpler() (all []func(*Life)) {
	add := func(is bool, change func(*Life)) {
		if is {
			all = append(all, change)
		}
	}
	for i := range l.Off {
		add(true, func(l *Life) { l.Off = slices.Delete(l.Off, i, i+1) })
	}
	for i := range l.Turns {
		add(true, func(l *Life) { l.Turns = slices.Delete(l.Turns, i, i+1) })
	}
	n := l.Net
	add(n.Loss > 0, func(l *Life) { l.Net.Loss, l.Net.Burst, l.Net.Again = 0, 0, 0 })
	add(n.Reorder > 0, func(l *Life) { l.Net.Reorder = 0 })
	add(n.Duplicate > 0, func(l *Life) { l.Net.Duplicate = 0 })
	add(n.Jitter > 0, func(l *Life) { l.Net.Jitter = 0 })
	add(len(n.Outages) > 0, func(l *Life) { l.Net.Outages = nil })
	add(l.Clock.PPM != 0, func(l *Life) { l.Clock.PPM = 0 })
	exact := Clock{Reports: "exact", Delay: 12 * time.Millisecond}
	add(l.Clock.Reports != "exact", func(l *Life) { l.Clock = exact })
	add(l.Vanish, func(l *Life) { l.Vanish = false })
	add(len(l.Video) > 1, func(l *Life) { l.Video = l.Video[:len(l.Video)-1] })
	add(l.For > 12*time.Second, func(l *Life) { l.For = l.For * 3 / 4 })
	return all
}
