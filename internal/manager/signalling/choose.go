package signalling

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// Candidate is what is known of a node that a session may go to.
type Candidate struct {
	Alias string
	// URL is where clients reach the node: http://host:port.
	URL string
	Up  bool
	// Draining says that the node takes no new publishers.
	Draining bool
	// Troubled says that something that the node depends on fails.
	Troubled bool
	Labels   []string
	// MaxSessions is how many sessions the node takes; 0: that is not known.
	MaxSessions int
	Publishers  int
	Viewers     int
	// CPUs is how many the node may use, Busy how many of them were busy; 0: not known.
	CPUs int
	Busy float64
	// Has, Publishing and Recording are of the stream that a session is for.
	Has, Publishing, Recording bool
}

// Rule says which nodes streams may be published to.
type Rule struct {
	Streams []string // path.Match patterns of stream ids
	Labels  []string // the node needs all of them
	Nodes   []string // path.Match patterns of aliases; none: any node
}

// ruleFor returns the first rule that is for the stream; nil: there is none.
func ruleFor(rules []Rule, stream string) *Rule {
	for i := range rules {
		if matchesAny(rules[i].Streams, stream) {
			return &rules[i]
		}
	}
	return nil
}

// allows reports whether the rule lets streams be published to a node. A nil rule does.
func (r *Rule) allows(c Candidate) bool {
	if r == nil {
		return true
	}
	for _, l := range r.Labels {
		if !slices.Contains(c.Labels, l) {
			return false
		}
	}
	return len(r.Nodes) == 0 || matchesAny(r.Nodes, c.Alias)
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

// forPublisher returns the nodes that a publisher may go to, the best first. A node that
// has the stream comes first, because its recording then goes on: before all the one
// with a publisher of it, which knows whether the new one may take its place. placed is
// where the stream was published a moment ago; recent is how many sessions have been
// sent to a node that its load does not have yet.
func forPublisher(all []Candidate, rule *Rule, placed string, recent map[string]int) []Candidate {
	var list []Candidate
	for _, c := range all {
		c.Publishing = c.Publishing || c.Alias == placed
		if c.Up && (c.Publishing || !c.Draining && !full(c) && rule.allows(c)) {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b Candidate) int {
		return cmp.Or(
			first(a.Publishing, b.Publishing), first(a.Recording, b.Recording), first(a.Has, b.Has),
			first(!a.Troubled, !b.Troubled), byLoad(a, b, recent))
	})
	return list
}

// forViewer returns the nodes where a stream can be watched, the best first.
func forViewer(all []Candidate, placed string, recent map[string]int) []Candidate {
	var list []Candidate
	for _, c := range all {
		if c.Up && (c.Publishing || c.Alias == placed) {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b Candidate) int {
		return cmp.Or(first(!full(a), !full(b)), byLoad(a, b, recent))
	})
	return list
}

// full reports whether the node has all the sessions that it takes. What it does not tell
// yet does not count: it refuses what is too much, and then the next one is asked.
func full(c Candidate) bool {
	return c.MaxSessions > 0 && c.Publishers+c.Viewers >= c.MaxSessions
}

// byLoad puts the node first that has less to do for each of its CPUs.
func byLoad(a, b Candidate, recent map[string]int) int {
	return cmp.Or(cmp.Compare(sessionsPerCPU(a, recent), sessionsPerCPU(b, recent)), cmp.Compare(busy(a), busy(b)), strings.Compare(a.Alias, b.Alias))
}

func sessionsPerCPU(c Candidate, recent map[string]int) float64 {
	return float64(c.Publishers+c.Viewers+recent[c.Alias]) / float64(max(c.CPUs, 1))
}

func busy(c Candidate) float64 { return c.Busy / float64(max(c.CPUs, 1)) }

// first puts what has a property before what has not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
