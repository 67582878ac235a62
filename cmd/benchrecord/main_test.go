package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/testkit/swarm"
)

func TestCommandLine(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string // part of the error; empty: none
	}{
		"defaults":      {nil, ""},
		"all":           {[]string{"-streams", "1,20", "-rounds", "1", "-for", "2s", "-peer", "other=http://127.0.0.1:9/{n}/whip=other -c {dir}"}, ""},
		"no number":     {[]string{"-streams", "1,x"}, `"x" is no number of streams`},
		"no streams":    {[]string{"-streams", "0"}, "no number of streams"},
		"half a peer":   {[]string{"-peer", "other=http://127.0.0.1:9/{n}"}, "want name=URL=command"},
		"one stream":    {[]string{"-peer", "other=http://127.0.0.1:9/=other"}, "want name=URL=command"},
		"argument":      {[]string{"now"}, `unexpected argument "now"`},
		"nothing to do": {[]string{"-rounds", "0"}, "at least one round"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(test.args, &bytes.Buffer{})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestTable: medians of the rounds, ratios to the node of the same number of streams, and
// the worst of what went wrong.
func TestTable(t *testing.T) {
	ours := median([]sample{{cpu: 4}, {cpu: 9, fault: errors.New("one is degraded")}, {cpu: 5, stats: swarm.Stats{NACKs: 3}}})
	if ours.cpu != 5 || !ours.lost() || ours.stats.NACKs != 3 {
		t.Errorf("%+v", ours)
	}
	text := table([]row{{"ours", 10, ours}, {"other", 10, sample{cpu: 10}}, {"ours", 20, sample{cpu: 1}}})
	for _, want := range []string{"| 10 | ours | 5.0 |", "one is degraded", "| 10 | other | 10.0 | 0.50 | 100 |", "| 20 | ours | 1.0 |", "complete"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
