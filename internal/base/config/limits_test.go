package config

import (
	"bytes"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	text := `[limits]
sessions = 10
[[limits.rules]]
streams = "web-*"
publishers = 3
[[limits.rules]]
account = "anna"
total_kbps = 5_000
[limits.each]
recordings = 2
`
	c := mustLoad(t, text, "LIVE777_LIMITS_EACH_VIEWERS=7")
	want := Limits{
		Sessions: 10, Unconnected: 200, Each: Quota{Recordings: 2, Viewers: 7},
		Rules: []LimitRule{{Streams: "web-*", Publishers: 3}, {Account: "anna", TotalKbps: 5000}},
	}
	if len(c.Limits.Rules) != 2 || c.Limits.Rules[0] != want.Rules[0] || c.Limits.Rules[1] != want.Rules[1] || c.Limits.Each != want.Each || c.Limits.Sessions != 10 {
		t.Errorf("%+v, want %+v", c.Limits, want)
	}
	var b bytes.Buffer
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	if again := mustLoad(t, b.String()); len(again.Limits.Rules) != 2 || again.Limits.Each != want.Each {
		t.Errorf("printed, it is %+v", again.Limits)
	}
}

func TestLimitProblems(t *testing.T) {
	for text, want := range map[string]string{
		"[limits]\nsessions = 0":                                      "limits.sessions: 0 is not allowed",
		"[limits]\nviewers = -1":                                      "limits.viewers: -1 is not allowed",
		"[[limits.rules]]\npublishers = 1":                            "limits.rules[0]: says not whom it is for",
		"[[limits.rules]]\nstreams = 'a['\nviewers = 1":               "limits.rules[0].streams",
		"[[limits.rules]]\nstreams = 'a'":                             "limits.rules[0]: has no limit",
		"[[limits.rules]]\nstreams = 'a'\nviewers = -1":               "limits.rules[0]: has a limit below 0",
		"[[limits.rules]]\naccount = 'a'\nsubject = 'b'\nviewers = 1": "limits.rules[0]: has an account and a subject",
		"[[limits.rules]]\nacount = 'a'\nviewers = 1":                 `did you mean "account"`,
		"[limits.each]\nstream_kbps = 2_000_000_000":                  "limits.each.stream_kbps",
	} {
		if _, err := load("x.toml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
