package maintain

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

const (
	barWidth = 30 // characters

	// How often progress is shown: on a terminal, where it replaces itself, and
	// in a file, where each time is a line.
	barEvery  = 200 * time.Millisecond
	lineEvery = 10 * time.Second
)

// Output writes what a command finds out, for a person or as JSON. Not safe for
// concurrent use.
type Output struct {
	json           bool
	stdout, stderr io.Writer
	terminal       bool // stderr is one
	now            func() time.Time
	shown          time.Time // when progress was, last
	width          int       // of what is shown of it now
	err            error     // of the first write to stdout that failed
}

// NewOutput returns an Output. With asJSON stdout has a line of JSON for each
// thing and a last one with the summary, else text. Progress goes to stderr.
func NewOutput(stdout, stderr io.Writer, asJSON bool) *Output {
	o := &Output{json: asJSON, stdout: stdout, stderr: stderr, now: time.Now}
	if f, ok := stderr.(*os.File); ok {
		info, err := f.Stat()
		o.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	o.shown = o.now()
	return o
}

// Err returns why not everything could be written.
func (o *Output) Err() error { return o.err }

// Progress shows that done of total are done (0: it is not known of how many),
// and what else there is to say.
func (o *Output) Progress(done, total int, text string) {
	line := fmt.Sprintf("%d recordings%s", done, text)
	if total > 0 {
		line = fmt.Sprintf("%d of %d recordings%s", done, max(total, done), text)
	}
	o.progress(int64(done), int64(total), line)
}

// Bytes shows that done bytes of total are written.
func (o *Output) Bytes(done, total int64) {
	o.progress(done, total, fmt.Sprintf("%s of %s", bytesText(done), bytesText(total)))
}

// Done takes what Progress and Bytes show away.
func (o *Output) Done() { o.clear() }

// progress shows a line now and then.
func (o *Output) progress(done, total int64, line string) {
	every := lineEvery
	if o.terminal {
		every = barEvery
	}
	if o.now().Sub(o.shown) < every {
		return
	}
	o.shown = o.now()
	if !o.terminal {
		_, _ = fmt.Fprintln(o.stderr, line) // progress only
		return
	}
	if total > 0 {
		n := int(barWidth * min(done, total) / total)
		line = "[" + strings.Repeat("#", n) + strings.Repeat(".", barWidth-n) + "] " + line
	}
	_, _ = fmt.Fprintf(o.stderr, "\r%-*s", o.width, line)
	o.width = len(line)
}

// clear takes the progress bar away.
func (o *Output) clear() {
	if o.width > 0 {
		_, _ = fmt.Fprintf(o.stderr, "\r%*s\r", o.width, "")
		o.width = 0
	}
}

func (o *Output) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(o.stdout, format, args...); err != nil && o.err == nil {
		o.err = err
	}
}

func (o *Output) line(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		o.err = err
		return
	}
	o.printf("%s\n", data)
}

// Finding writes what was found out about a recording. As text, only problems are
// worth a line, and players that do not show everything.
func (o *Output) Finding(f Finding) {
	if o.json {
		o.clear()
		o.line(f)
		return
	}
	players := shortOf(f.Players)
	if len(f.Problems) == 0 && f.Error == "" && players == "" {
		return
	}
	o.clear()
	for _, p := range f.Problems {
		o.printf("%s: %s\n", media.Show(p.Where), media.Show(p.What))
	}
	if f.Error != "" {
		o.printf("%s: could not be checked: %s\n", media.Show(f.RecordDir), media.Show(f.Error))
	}
	if players != "" {
		o.printf("%s: %s\n", media.Show(f.RecordDir), players)
	}
}

// shortOf names the players that show less than there is, and why; "" for none. The
// first forecast is of what there is.
func shortOf(players []verify.Forecast) string {
	if len(players) == 0 {
		return ""
	}
	var short []string
	for _, p := range players[1:] {
		if p.Less(players[0]) {
			short = append(short, fmt.Sprintf("%s shows %.1f s of picture and %.1f s of sound (%s)", p.Player, p.Picture, p.Sound, strings.Join(p.Notes, "; ")))
		}
	}
	if len(short) == 0 {
		return strings.Join(players[0].Notes, "; ")
	}
	return strings.Join(append([]string{fmt.Sprintf("of %.1f s of picture and %.1f s of sound", players[0].Picture, players[0].Sound)},
		append(short, players[0].Notes...)...), ", ")
}

// Verified writes the summary of Verify.
func (o *Output) Verified(s VerifySummary) {
	o.clear()
	if o.json {
		o.line(struct {
			Summary VerifySummary `json:"summary"`
		}{s})
		return
	}
	o.printf("%d recordings, %s: ", s.Recordings, bytesText(s.Bytes))
	if s.Bad == 0 && s.Unchecked == 0 {
		o.printf("all good")
	} else {
		o.printf("%d problems in %d folders, %d could not be checked", s.Problems, s.Bad, s.Unchecked)
	}
	o.printf("; %d running, %d objects of no recording, %d other files\n", s.Running, s.Orphans, s.Foreign)
}

// Rebuilt writes the summary of Rebuild.
func (o *Output) Rebuilt(s RebuildSummary) {
	o.clear()
	if o.json {
		o.line(s)
		return
	}
	for _, p := range s.Problems {
		o.printf("%s: %s\n", media.Show(p.Where), media.Show(p.What))
	}
	for _, dir := range s.Running {
		o.printf("%s: is not sealed; its node is recording it, or seals it when it is started\n", media.Show(dir))
	}
	for _, dir := range s.Originals {
		o.printf("%s: an original live777 records it, or did until a moment ago; run rebuild again when it has ended\n", media.Show(dir))
	}
	for _, dir := range s.Kept {
		o.printf("%s: is not in storage yet, and stays in the catalogue\n", media.Show(dir))
	}
	if s.Adopted > 0 {
		o.printf("%d recordings of an original live777 taken up\n", s.Adopted)
	}
	if s.Filled > 0 {
		o.printf("%d lost segments filled with silence, or with the picture before\n", s.Filled)
	}
	if s.Indexed > 0 {
		o.printf("%d sample indexes made\n", s.Indexed)
	}
	o.printf("%d recordings in storage: %d added to the catalogue, %d corrected there, %d removed from it, %d deletions ended, %d problems\n",
		s.Recordings, s.Added, s.Updated, s.Removed, s.Deleted, len(s.Problems))
}

// bytesText writes a number of bytes for a person.
func bytesText(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	v := float64(n)
	unit := ""
	for _, unit = range units {
		if v /= 1000; v < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}
