package maintain

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

var findings = []Finding{
	{RecordDir: "camera/1", Stream: "camera", Status: media.StatusComplete, Bytes: 5},
	{RecordDir: "camera/2", Stream: "camera", Status: media.StatusComplete, Problems: []verify.Problem{{Where: "camera/2/v_init.m4s", What: "is gone"}}},
	{RecordDir: "camera/3", Stream: "camera", Error: "the bucket is away"},
}

// TestOutputHidden: names that are made to mislead are shown as they are.
func TestOutputHidden(t *testing.T) {
	var stdout bytes.Buffer
	o := NewOutput(&stdout, io.Discard, false)
	const dir = "a\u202eb/1"
	o.Finding(Finding{RecordDir: dir, Error: "x\u202ey", Problems: []verify.Problem{{Where: dir, What: "lacks " + dir}}})
	o.Rebuilt(RebuildSummary{Running: []string{dir}, Kept: []string{dir}, Problems: []verify.Problem{{Where: dir, What: "x"}}})
	if text := stdout.String(); strings.Contains(text, "\u202e") || strings.Count(text, `a\u{202e}b/1`) != 6 {
		t.Errorf("%q", text)
	}
}

func TestOutputText(t *testing.T) {
	var stdout, stderr bytes.Buffer
	o := NewOutput(&stdout, &stderr, false)
	for _, f := range findings {
		o.Finding(f)
	}
	o.Verified(VerifySummary{Recordings: 3, Bytes: 1234567, Bad: 1, Problems: 1, Unchecked: 1})
	o.Verified(VerifySummary{Recordings: 2, Bytes: 999, Running: 1, Foreign: 4})
	want := `camera/2/v_init.m4s: is gone
camera/3: could not be checked: the bucket is away
3 recordings, 1.2 MB: 1 problems in 1 folders, 1 could not be checked; 0 running, 0 objects of no recording, 0 other files
2 recordings, 999 bytes: all good; 1 running, 0 objects of no recording, 4 other files
`
	if stdout.String() != want || stderr.Len() > 0 {
		t.Errorf("stdout:\n%s\nstderr:\n%s", stdout.String(), stderr.String())
	}
	stdout.Reset()
	o.Rebuilt(RebuildSummary{Recordings: 3, Added: 2, Running: []string{"camera/1"}, Kept: []string{"camera/2"}, Problems: findings[1].Problems})
	if text := stdout.String(); strings.Count(text, "\n") != 4 || !strings.Contains(text, "camera/1: is not sealed") || !strings.Contains(text, "2 added") {
		t.Errorf("stdout:\n%s", text)
	}
}

// Players that show everything are worth no line.
func TestOutputPlayers(t *testing.T) {
	all := verify.Forecast{Player: "all", Picture: 80, Sound: 82.04}
	short := verify.Forecast{Player: "ffmpeg", Picture: 20, Sound: 20, Notes: []string{"reads Period 0 of 4 alone"}}
	for _, test := range []struct {
		players []verify.Forecast
		want    string
	}{
		{nil, ""},
		{[]verify.Forecast{all, {Player: "dash.js", Picture: 80, Sound: 82}}, ""},
		{[]verify.Forecast{all, {Player: "dash.js", Picture: 80, Sound: 82}, short},
			"camera/1: of 80.0 s of picture and 82.0 s of sound, ffmpeg shows 20.0 s of picture and 20.0 s of sound (reads Period 0 of 4 alone)\n"},
		{[]verify.Forecast{{Player: "all", Notes: []string{"no seeking"}}}, "camera/1: no seeking\n"},
	} {
		var stdout bytes.Buffer
		NewOutput(&stdout, &bytes.Buffer{}, false).Finding(Finding{RecordDir: "camera/1", Stream: "camera", Players: test.players})
		if stdout.String() != test.want {
			t.Errorf("%q, want %q", stdout.String(), test.want)
		}
	}
}

// TestOutputBytes: on a terminal there is a bar that takes its own place, elsewhere a line
// each ten seconds.
func TestOutputBytes(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		var stderr bytes.Buffer
		o := NewOutput(io.Discard, &stderr, false)
		now := o.shown
		o.terminal, o.now = terminal, func() time.Time { return now }
		for done := range int64(101) {
			now = now.Add(250 * time.Millisecond)
			o.Bytes(done*1e6, 100e6)
		}
		o.Done()
		text := stderr.String()
		if !terminal && text != "39.0 MB of 100.0 MB\n79.0 MB of 100.0 MB\n" {
			t.Errorf("a file has %q", text)
		}
		bar := "\r[" + strings.Repeat("#", 15) + strings.Repeat(".", 15) + "] 50.0 MB of 100.0 MB"
		if end := "\r" + strings.Repeat(" ", len("["+strings.Repeat("#", 30)+"] 100.0 MB of 100.0 MB")) + "\r"; terminal && (!strings.Contains(text, bar) || !strings.HasSuffix(text, end) || strings.Contains(text, "\n")) {
			t.Errorf("a terminal has %q", text)
		}
	}
}

func TestOutputJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	o := NewOutput(&stdout, &stderr, true)
	for _, f := range findings {
		o.Finding(f)
	}
	o.Verified(VerifySummary{Recordings: 3})
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if len(lines) != 4 || stderr.Len() > 0 {
		t.Fatalf("stdout:\n%s", stdout.String())
	}
	var f Finding
	if err := json.Unmarshal([]byte(lines[1]), &f); err != nil || f.RecordDir != "camera/2" || f.Problems[0].What != "is gone" {
		t.Errorf("%s: %v", lines[1], err)
	}
	if !strings.HasPrefix(lines[3], `{"summary":{"recordings":3,`) {
		t.Errorf("the last line is %s", lines[3])
	}
	stdout.Reset()
	o.Rebuilt(RebuildSummary{Recordings: 3})
	if !strings.HasPrefix(stdout.String(), `{"recordings":3,`) || !json.Valid(stdout.Bytes()) {
		t.Errorf("stdout: %s", stdout.String())
	}
}

func TestProgress(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		o := NewOutput(&stdout, &stderr, false)
		now := time.Now()
		o.now, o.terminal = func() time.Time { return now }, terminal
		for i := range 1000 {
			now = now.Add(100 * time.Millisecond)
			o.Progress(i, 1000, ", 3 problems")
		}
		o.Progress(1, 0, "")
		o.Finding(findings[1])
		text := stderr.String()
		switch {
		case !terminal && (strings.Count(text, "\n") != 9 && strings.Count(text, "\n") != 10 || strings.Contains(text, "\r") || !strings.Contains(text, "of 1000 recordings, 3 problems\n")):
			t.Errorf("in a file:\n%s", text)
		case terminal && (strings.Contains(text, "\n") || !strings.Contains(text, "[###") || !strings.HasSuffix(text, " \r")):
			t.Errorf("on a terminal: %.300q", text)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestOutputFails(t *testing.T) {
	o := NewOutput(brokenWriter{}, &bytes.Buffer{}, true)
	o.Finding(findings[0])
	if o.Err() == nil {
		t.Error("no error")
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 999949: "999.9 kB", 999950: "1.0 MB", 1 << 62: "4.6 EB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
