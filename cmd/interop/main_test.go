package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const repository = "../.."

// The README's quick starts have what is put in their place.
func TestQuickStarts(t *testing.T) {
	t.Parallel()
	for text, sources := range map[string][]string{
		"-f whip":                  {"testsrc2=size=1280x720:rate=30", "sine=frequency=440:sample_rate=48000"},
		"whipclientsink name=whip": {"videotestsrc is-live=true", "audiotestsrc is-live=true"},
		"whipsink name=whip":       {"videotestsrc is-live=true", "audiotestsrc is-live=true"},
	} {
		command, err := quickStart(repository, text)
		if err != nil {
			t.Error(err)
			continue
		}
		pairs := []string{readmeEndpoint, "URL"}
		for _, source := range sources {
			pairs = append(pairs, source, "SOURCE")
		}
		if command, err = substitute(command, pairs...); err != nil || strings.Contains(command, "\n") {
			t.Errorf("%q: %v", command, err)
		}
	}
	if _, err := quickStart(repository, "no such command"); err == nil {
		t.Error("a command was found that is not there")
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := render([]row{
		{
			name: "a", version: "1", published: 20 * time.Second, picture: 19 * time.Second, sound: 19 * time.Second, periods: 1,
			verdict: "complete", offset: -7 * time.Millisecond, hasOffset: true, made: -25 * time.Millisecond, hasMade: true, played: true, shownPicture: 18.9, shownSound: 18.8,
			filledSound: 1.25, watched: 21 * time.Second, seenPicture: 17, seenSound: 16.5,
		},
		{name: "b", absent: "no b"},
	}, 20)
	for _, want := range []string{"| a | 1 | 20.0 s | 19.0 s, 19.0 s | 0.0 s, 1.2 s | 18.9 s, 18.8 s | 17.0 s, 16.5 s of 21.0 s | -7 ms | -25 ms |  | 1 | complete |\n", "- b: no b\n"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	file := filepath.Join(t.TempDir(), "doc.md")
	text := func(tables ...string) (text string) {
		for i, through := range []string{"", "relay"} {
			begin, end := marks(through)
			text += "before\n" + begin + tables[i] + end + "\nafter\n"
		}
		return text
	}
	if err := os.WriteFile(file, []byte(text("old\n", "old\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ through, want string }{{"", text(table, "old\n")}, {"relay", text(table, table)}} {
		if err := replace(file, tt.through, table); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != tt.want {
			t.Errorf("%v %s", err, got)
		}
	}
	if err := replace(filepath.Join(repository, "LICENSE"), "", table); err == nil {
		t.Error("a table was put where no marks are")
	}
}

// Who interrupts it gets the rows there are, and the file keeps its whole table.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	try := func(_ context.Context, c *client) row {
		switch c.name {
		case "second":
			interrupt()
		case "third":
			t.Error("a client was tried after the interrupt")
		}
		return row{name: c.name, version: "1"}
	}
	begin, end := marks("")
	whole := begin + "whole\n" + end
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	err := tabulate(ctx, &options{seconds: 20, out: file}, []client{{name: "first"}, {name: "second"}, {name: "third"}}, try, &stdout, io.Discard)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "at second, after 1 of 3 clients") {
		t.Errorf("it ended with %v", err)
	}
	if table := stdout.String(); !strings.Contains(table, "| first | 1 |") || strings.Contains(table, "second") {
		t.Errorf("printed %q", table)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != whole {
		t.Errorf("the file has %q, %v", got, err)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"-help"}, 0, "-unstable folder"},
		{[]string{"x"}, 2, "unexpected argument"},
		{[]string{"-through", "off"}, 2, "-through is relay or redirect"},
		{[]string{"-clients", "nobody"}, 1, `no client "nobody"; there are: "OBS Studio", `},
		{[]string{"-repository", t.TempDir()}, 1, "make build"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), tt.args, &stdout, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%q: %d %s", tt.args, code, stderr.String())
		}
	}
}

// There are commas in names, too.
func TestChoose(t *testing.T) {
	chosen, err := choose("Firefox, VP9,aiortc,OBS Studio, 3 layers,OBS Studio")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range chosen {
		names = append(names, c.name)
	}
	if want := []string{"Firefox, VP9", "aiortc", "OBS Studio, 3 layers", "OBS Studio"}; !slices.Equal(names, want) {
		t.Errorf("chose %q, want %q", names, want)
	}
}

// A recording is held against how a page made it, else against the client's own.
func TestApart(t *testing.T) {
	ms := time.Millisecond
	for _, tt := range []struct {
		row  row
		want time.Duration
		ok   bool
	}{
		{row{offset: -30 * ms, hasOffset: true, made: -25 * ms, hasMade: true, reference: -280 * ms, hasOwn: true}, -5 * ms, true},
		{row{offset: 7 * ms, hasOffset: true, reference: -7 * ms, hasOwn: true}, 14 * ms, true},
		{row{made: -25 * ms, hasMade: true}, 0, false},
	} {
		if got, ok := tt.row.apart(); got != tt.want || ok != tt.ok {
			t.Errorf("%+v: %v %v", tt.row, got, ok)
		}
	}
}

// A player may leave out what was not sent, and a little of the rest.
func TestUnseen(t *testing.T) {
	r := row{picture: 20 * time.Second, sound: 20 * time.Second, filledSound: 2.5, shownPicture: 20.1, shownSound: 17.4}
	if short := r.unseen(); short > maxUnseen {
		t.Errorf("%.1f s are missing", short)
	}
	if r.filledSound = 0; r.unseen() <= maxUnseen {
		t.Errorf("%.1f s are missing", r.unseen())
	}
}
