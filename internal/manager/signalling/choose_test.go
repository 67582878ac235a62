package signalling

import (
	"slices"
	"testing"
)

func aliases(list []Candidate) []string {
	var names []string
	for _, c := range list {
		names = append(names, c.Alias)
	}
	return names
}

func TestForPublisher(t *testing.T) {
	up := func(alias string, change func(*Candidate)) Candidate {
		c := Candidate{Alias: alias, Up: true, CPUs: 2}
		if change != nil {
			change(&c)
		}
		return c
	}
	eu := &Rule{Streams: []string{"*"}, Labels: []string{"eu"}}
	for _, tt := range []struct {
		name   string
		all    []Candidate
		rule   *Rule
		placed string
		recent map[string]int
		want   []string
	}{
		{"nobody", nil, nil, "", nil, nil},
		{"down", []Candidate{{Alias: "a"}, up("b", nil)}, nil, "", nil, []string{"b"}},
		{"fewest sessions for each CPU", []Candidate{
			up("a", func(c *Candidate) { c.Publishers = 2 }), up("b", func(c *Candidate) { c.Publishers, c.CPUs = 6, 8 }),
			up("c", func(c *Candidate) { c.Viewers = 3 }),
		}, nil, "", nil, []string{"b", "a", "c"}},
		{"what was just placed counts", []Candidate{up("a", nil), up("b", nil)}, nil, "", map[string]int{"a": 1}, []string{"b", "a"}},
		{"the less busy of equals", []Candidate{up("a", func(c *Candidate) { c.Busy = 1 }), up("b", nil)}, nil, "", nil, []string{"b", "a"}},
		{"who has the stream", []Candidate{
			up("a", nil), up("b", func(c *Candidate) { c.Has, c.Publishers = true, 9 }),
			up("c", func(c *Candidate) { c.Has, c.Recording, c.Publishers = true, true, 9 }),
			up("d", func(c *Candidate) { c.Has, c.Publishing, c.Publishers = true, true, 9 }),
		}, nil, "", nil, []string{"d", "c", "b", "a"}},
		{"where it went a moment ago", []Candidate{up("a", nil), up("b", func(c *Candidate) { c.Publishers = 5 })}, nil, "b", nil, []string{"b", "a"}},
		{"troubled last", []Candidate{up("a", func(c *Candidate) { c.Troubled = true }), up("b", func(c *Candidate) { c.Publishers = 5 })}, nil, "", nil, []string{"b", "a"}},
		{"draining and full", []Candidate{
			up("a", func(c *Candidate) { c.Draining = true }), up("b", func(c *Candidate) { c.MaxSessions, c.Viewers = 2, 2 }), up("c", nil),
		}, nil, "", nil, []string{"c"}},
		{"a rule", []Candidate{up("a", nil), up("b", func(c *Candidate) { c.Labels = []string{"gpu", "eu"} })}, eu, "", nil, []string{"b"}},
		{"a rule does not move a publisher", []Candidate{up("a", func(c *Candidate) { c.Publishing = true })}, eu, "", nil, []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := aliases(forPublisher(tt.all, tt.rule, tt.placed, tt.recent)); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestForViewer(t *testing.T) {
	all := []Candidate{
		{Alias: "a", Up: true, Has: true},
		{Alias: "b", Up: true, Publishing: true, Viewers: 3, MaxSessions: 4},
		{Alias: "c", Up: true, Publishing: true, Viewers: 9},
		{Alias: "d", Publishing: true},
		{Alias: "e", Up: true},
	}
	if got := aliases(forViewer(all, "", nil)); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("got %v", got)
	}
	if got := aliases(forViewer(all, "e", map[string]int{"b": 9})); !slices.Equal(got, []string{"e", "c", "b"}) {
		t.Errorf("with one that was just placed: got %v", got)
	}
}

func TestRules(t *testing.T) {
	rules := []Rule{{Streams: []string{"studio-*"}, Nodes: []string{"a?"}}, {Streams: []string{"*"}, Labels: []string{"eu"}}}
	for stream, want := range map[string]*Rule{"studio-1": &rules[0], "cam": &rules[1]} {
		if got := ruleFor(rules, stream); got != want {
			t.Errorf("%s: got %v", stream, got)
		}
	}
	if !rules[0].allows(Candidate{Alias: "a1"}) || rules[0].allows(Candidate{Alias: "b1"}) {
		t.Error("patterns of aliases do not count")
	}
	if ruleFor(nil, "cam") != nil {
		t.Error("there is no rule")
	}
}
