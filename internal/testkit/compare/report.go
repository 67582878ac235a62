package compare

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/load"
)

// Report is the result of a comparison.
type Report struct {
	Problems []verify.Problem // of the recording's structure
	Tracks   []*TrackReport
	AV       AVReport

	options Options
}

// TrackReport is the result for one track.
type TrackReport struct {
	Kind      media.Kind
	ClockRate uint32 // of all ticks here, Hz
	Sent      int    // units in the sender's log
	Recorded  int    // samples in the recording
	Matched   int    // samples that are what was sent, bit-exact
	First     int    // index of the first recorded unit in the sender's log; -1: none
	Last      int    // index of the last
	Fillers   int    // accepted by Options.AllowFillers
	Filled    int    // not sent at that time, in spans that the ledger calls filled
	Lost      int    // missing units, accepted by Options.AllowLost

	Missing     []Unit // sent and not recorded
	Extra       []Unit // recorded and not sent at that time
	Different   []Unit // recorded with other bytes than were sent at that time
	Mistimed    []Unit // recorded once, at another time
	Undecodable []Unit // recorded, though something it depends on was lost for good
	WrongKey    []Unit // the sync sample mark is wrong
	NotFilled   []Unit // recorded as sent, in spans that the ledger calls filled
	Steps       []Step // changes of recorded time against the sender's timestamps
	Other       []string

	pairs []pair
}

// Unit is a unit in a TrackReport.
type Unit struct {
	Index     int         // in the sender's log; -1 where it is not known
	Timestamp int64       // sent
	Time      media.Ticks // recorded, on the media timeline
	Size      int         // bytes: recorded, of a missing one sent
	Error     media.Ticks // Mistimed: recorded minus expected time
}

// Step is a lasting change of recorded time against the sender's timestamps.
type Step struct {
	Time  media.Ticks // of the first sample behind it
	Ticks media.Ticks // by which that and all following are later
	// Filled says that the ledger calls what is before it filled: something stands
	// there that lasts as long as need be, so that the step is none that is seen.
	Filled bool
}

// AVReport is the error of the A/V relation: how much later audio is recorded
// than the sender's clock says, with respect to video.
type AVReport struct {
	Known bool // both tracks have matched
	First time.Duration
	Worst time.Duration // the largest, with its sign
	Last  time.Duration
}

// pair is a recorded time and the sender's clock of the same unit.
type pair struct {
	time media.Ticks
	ntp  time.Time
}

// Track returns the result for the track of a kind.
func (r *Report) Track(k media.Kind) (*TrackReport, bool) {
	for _, t := range r.Tracks {
		if t.Kind == k {
			return t, true
		}
	}
	return nil, false
}

// compareClocks computes the A/V error, and looks for audio that is missing
// from the recording's start although it was sent after the first video.
func (r *Report) compareClocks(log *load.Log) {
	video, haveVideo := r.Track(media.Video)
	audio, haveAudio := r.Track(media.Audio)
	if !haveVideo || !haveAudio || video.First < 0 {
		return
	}
	r.findMissingHead(log, video, audio)
	if len(audio.pairs) == 0 {
		return
	}
	delay := func(t *TrackReport, p pair) time.Duration {
		return p.time.Duration(t.ClockRate) - p.ntp.Sub(log.Started)
	}
	v := 0
	for _, a := range audio.pairs {
		// The video unit that was current then: what the viewer sees with this sound.
		for v+1 < len(video.pairs) && !video.pairs[v+1].ntp.After(a.ntp) {
			v++
		}
		e := delay(audio, a) - delay(video, video.pairs[v])
		if !r.AV.Known {
			r.AV.Known, r.AV.First = true, e
		}
		if e.Abs() >= r.AV.Worst.Abs() {
			r.AV.Worst = e
		}
		r.AV.Last = e
	}
}

// findMissingHead adds the audio units to Missing that were captured after the
// first recorded video and before the first recorded audio.
func (r *Report) findMissingHead(log *load.Log, video, audio *TrackReport) {
	slack := r.options.MaxAV
	if slack < 0 {
		slack = maxResync // without reports the tracks are only roughly aligned
	}
	start := log.Video.Units[video.First].NTP.Add(slack)
	end := audio.First
	if end < 0 {
		return // then all of it is in Missing already
	}
	for j, u := range log.Audio.Units[:end] {
		if allowed := u.Lost > 0 && r.options.AllowLost; u.NTP.After(start) && !allowed {
			audio.Missing = append(audio.Missing, Unit{Index: j, Timestamp: u.Timestamp, Size: u.Size})
		}
	}
}

// Err returns nil where the recording is what was sent, or else an error whose
// text lists the first findings of each sort.
func (r *Report) Err() error {
	var b strings.Builder
	list(&b, "structure", r.Problems, verify.Problem.String)
	for _, t := range r.Tracks {
		t.describe(&b, r.options)
	}
	if r.options.MaxAV >= 0 && r.AV.Known && r.AV.Worst.Abs() > r.options.MaxAV {
		fmt.Fprintf(&b, "A/V offset error: first %s, worst %s, last %s, allowed %s\n",
			ms(r.AV.First), ms(r.AV.Worst), ms(r.AV.Last), ms(r.options.MaxAV))
	}
	if b.Len() == 0 {
		return nil
	}
	return errors.New(strings.TrimSuffix(b.String(), "\n"))
}

func (t *TrackReport) describe(b *strings.Builder, o Options) {
	name := t.Kind.String()
	if t.Matched == 0 && (t.Recorded == 0 || t.Filled+t.Fillers < t.Recorded) {
		fmt.Fprintf(b, "%s: none of the %d units sent is among the %d recorded\n", name, t.Sent, t.Recorded)
	}
	list(b, name+" missing", t.Missing, Unit.sent)
	list(b, name+" extra", t.Extra, Unit.recorded)
	list(b, name+" different", t.Different, Unit.both)
	list(b, name+" at a wrong time", t.Mistimed, Unit.both)
	list(b, name+" undecodable", t.Undecodable, Unit.both)
	list(b, name+" with a wrong sync mark", t.WrongKey, Unit.both)
	list(b, name+" units that were sent stand in spans that the ledger calls filled", t.NotFilled, Unit.both)
	var steps []Step
	for _, s := range t.Steps {
		if s.Ticks.Duration(t.ClockRate).Abs() > o.MaxStep && !s.Filled {
			steps = append(steps, s)
		}
	}
	list(b, name+" steps in time", steps, func(s Step) string { return fmt.Sprintf("%+d ticks at %d", s.Ticks, s.Time) })
	list(b, name, t.Other, func(s string) string { return s })
}

func (u Unit) sent() string {
	return fmt.Sprintf("#%d (timestamp %d, %d bytes)", u.Index, u.Timestamp, u.Size)
}

func (u Unit) recorded() string { return fmt.Sprintf("at %d (%d bytes)", u.Time, u.Size) }

func (u Unit) both() string {
	text := fmt.Sprintf("#%d (timestamp %d) at %d, %d bytes", u.Index, u.Timestamp, u.Time, u.Size)
	if u.Error != 0 {
		text += fmt.Sprintf(", %+d ticks off", u.Error)
	}
	return text
}

// listed is how many findings of a sort Err names.
const listed = 5

func list[T any](b *strings.Builder, title string, all []T, text func(T) string) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "%s (%d):", title, len(all))
	for i, e := range all {
		if i == listed {
			b.WriteString(" ...")
			break
		}
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(" " + text(e))
	}
	b.WriteByte('\n')
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
