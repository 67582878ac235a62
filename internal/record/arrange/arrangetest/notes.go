package arrangetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
)

// notes has the commands of an arranger.
type notes struct {
	hash  hash.Hash
	n     int
	lines []string
	runs  []*run // that go on
}

// run is samples of a lane that follow on each other.
type run struct {
	lane        arrange.Lane
	what        string
	first, last media.Ticks
	n           int
}

func (n *notes) begin() { n.hash = sha256.New() }

// command notes a command, exactly.
func (n *notes) command(format string, args ...any) {
	n.n++
	_, _ = fmt.Fprintf(n.hash, format+"\n", args...) // never fails
}

// line notes a command, and lists it.
func (n *notes) line(format string, args ...any) {
	n.command(format, args...)
	n.flush()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

// flush lists the samples that were noted since the last line.
func (n *notes) flush() {
	for _, r := range n.runs {
		n.lines = append(n.lines, fmt.Sprintf("  %s: %d %s at %d to %d", r.lane, r.n, r.what, r.first, r.last))
	}
	n.runs = nil
}

// add adds to a run, or begins another.
func (n *notes) add(l arrange.Lane, what string, at media.Ticks, begins bool) {
	for _, r := range n.runs {
		if r.lane != l {
			continue
		}
		if r.what != what || begins {
			n.flush()
			break
		}
		r.last = at
		r.n++
		return
	}
	n.runs = append(n.runs, &run{l, what, at, at, 1})
}

func (n *notes) sum() string {
	return fmt.Sprintf("%d %s", n.n, hex.EncodeToString(n.hash.Sum(nil)[:12]))
}

func (n *notes) listing() string {
	n.flush()
	return strings.Join(n.lines, "\n") + "\n"
}

// output notes what the arranger decides.
type output struct{ *Desk }

var _ arrange.Output = output{}

// BeginRecording implements arrange.Output.
func (o output) BeginRecording(at time.Duration) {
	o.notes.line("recording at %v", at)
	o.begins = true
}

// BeginPeriod implements arrange.Output.
func (o output) BeginPeriod(at time.Duration, lanes []arrange.Lane) {
	o.notes.line("period at %v of %v", at, lanes)
	if o.begins && o.o.MaxRecording > 0 {
		o.rotateAt = at + o.o.MaxRecording
	}
	o.begins = false
}

// Enter implements arrange.Output.
func (o output) Enter(l arrange.Lane, f *media.Format, at media.Ticks) {
	o.notes.line("%s enters at %d: %s %dx%d", l, at, f.RFC6381, f.Width, f.Height)
}

// Sample implements arrange.Output.
func (o output) Sample(l arrange.Lane, s arrange.Sample) {
	o.notes.command("%s sample %d %d %d %v %v %v %d %08x", l, s.Time, s.Duration, s.Composition, s.Key, s.Cut, s.Filler, len(s.Data), crc32.ChecksumIEEE(s.Data))
	what := "samples"
	if s.Filler {
		what = "fillers"
	}
	o.notes.add(l, what, s.Time, s.Cut)
}

// End implements arrange.Output.
func (o output) End(l arrange.Lane, at media.Ticks) { o.notes.line("%s ends at %d", l, at) }

// Gap implements arrange.Output.
func (o output) Gap(l arrange.Lane, g arrange.Gap) {
	o.notes.line("%s gap from %v to %v: %s, filled %v", l, g.Start, g.End, g.Cause, g.Filled)
}

// LeftOut implements arrange.Output.
func (o output) LeftOut(l arrange.Lane) {
	o.notes.command("%s left out", l)
	o.notes.add(l, "left out", 0, false)
}

// BeforeKey implements arrange.Output.
func (o output) BeforeKey(l arrange.Lane, pictures int, waited time.Duration) {
	o.notes.line("%s: %d before the key frame, waited %v", l, pictures, waited)
}

// Corrected implements arrange.Output.
func (o output) Corrected(l arrange.Lane) { o.notes.line("%s: corrected", l) }

// WantKeyFrame implements arrange.Output.
func (o output) WantKeyFrame(id media.TrackID) {
	o.notes.command("key frame of %d", id)
	if o.o.RequestKeyFrame != nil {
		o.o.RequestKeyFrame(id)
	}
}
