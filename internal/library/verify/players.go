package verify

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Forecast is what a player would show of a recording. It is computed from the manifest
// and the segments, by rules that were measured with such players.
type Forecast struct {
	Player  string   `json:"player"`
	Picture float64  `json:"picture"` // seconds
	Sound   float64  `json:"sound"`   // seconds
	Notes   []string `json:"notes,omitempty"`
}

const (
	// shakaBuffer is how far Shaka Player loads ahead. It never gets beyond a place
	// where a kind of media is missing for longer.
	shakaBuffer = 10 * time.Second
	// dashjsHole is the smallest hole in a SegmentTimeline at which dash.js stands.
	dashjsHole = 20 * time.Millisecond
	// dashjsApart is how much earlier than its sound the picture of a Period may end.
	dashjsApart = time.Second
	// firefoxStill is how long a picture may last before Firefox stands still at it:
	// Firefox wants to have decoded the next one, and Shaka Player does not load that
	// far.
	firefoxStill = 12 * time.Second
	// noted is the least that is worth a note.
	noted = 100 * time.Millisecond
	// maxNotes bounds the notes of a Forecast.
	maxNotes = 4
)

// Forecasts returns what there is in a recording, as the player "all", and what
// each family of players would show of it.
func Forecasts(r *Recording) []Forecast {
	periods := r.media()
	for i := range periods {
		if periods[i].end == 0 { // is still being recorded
			for _, c := range periods[i].covers {
				periods[i].end = max(periods[i].end, c.end())
			}
		}
	}
	f := forecaster{rec: r, periods: periods}
	forecasts := []Forecast{f.all(), f.shaka(), f.dashjs(), f.ffmpeg()}
	for i := range forecasts {
		forecasts[i].Picture, forecasts[i].Sound = toMillis(forecasts[i].Picture), toMillis(forecasts[i].Sound)
		if n := len(forecasts[i].Notes); n > maxNotes {
			forecasts[i].Notes = append(forecasts[i].Notes[:maxNotes], fmt.Sprintf("%d more", n-maxNotes))
		}
	}
	return forecasts
}

// toMillis rounds seconds to milliseconds.
func toMillis(s float64) float64 { return math.Round(s*1000) / 1000 }

// Less reports whether a player shows less than what a forecast of another says.
func (f Forecast) Less(than Forecast) bool {
	return f.Picture < than.Picture-noted.Seconds() || f.Sound < than.Sound-noted.Seconds()
}

// forecaster makes the forecasts of a recording.
type forecaster struct {
	rec     *Recording
	periods []periodMedia
}

// all returns what there is, and what is true for every player.
func (f *forecaster) all() Forecast {
	out := Forecast{Player: "all"}
	for _, p := range f.periods {
		out.Picture += p.of(media.Video).sum().Seconds()
		out.Sound += p.of(media.Audio).sum().Seconds()
	}
	out.Notes = append(f.seeks(), f.changes()...)
	out.Notes = append(out.Notes, f.stills()...)
	return out
}

// seeks notes the segments that no player can seek to.
func (f *forecaster) seeks() []string {
	n, first := 0, ""
	for _, t := range f.rec.Tracks {
		for _, s := range t.Segments {
			if t.Kind == media.Video && s.Samples > 0 && !s.Key {
				if n++; n == 1 {
					first = s.Name
				}
			}
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d segments begin without a key frame and cannot be sought to, the first is %s", n, first)}
}

// stills notes pictures that last too long.
func (f *forecaster) stills() (notes []string) {
	for _, t := range f.rec.Tracks {
		for _, s := range t.Segments {
			if d := s.Longest.Duration(t.Timescale); t.Kind == media.Video && d >= firefoxStill {
				notes = append(notes, fmt.Sprintf("%s has a picture that lasts %s: Firefox stands still there", s.Name, sec(d)))
			}
		}
	}
	return notes
}

// changes notes where the codec changes, or the container.
func (f *forecaster) changes() (notes []string) {
	for _, t := range f.rec.Tracks {
		codec := ""
		for _, p := range f.periods {
			for _, in := range t.Inits {
				family := codecFamily(in.Codecs)
				if !inPeriod(in, p.index) || family == codec {
					continue
				}
				if codec != "" {
					notes = append(notes, fmt.Sprintf("%s changes from %s to %s at %s: a player without the second stops there", t.ID, codec, family, sec(p.start)))
				}
				codec = family
			}
		}
	}
	return notes
}

// codecFamily returns a codec without its profile and level.
func codecFamily(codecs string) string {
	family, _, _ := strings.Cut(codecs, ".")
	return family
}

// inPeriod reports whether an init segment is used in a Period.
func inPeriod(in Init, period int) bool { return slices.Contains(in.Periods, period) }

// of returns where a Period has a kind of media that belongs to it.
func (p *periodMedia) of(k media.Kind) Spans {
	c := p.covers[k]
	if c == nil {
		return nil
	}
	return c.spans.cut(p.start-p.slack, p.end+p.slack)
}

// Has reports whether the Periods have a kind of media.
func (f *forecaster) has(k media.Kind) bool { return f.rec.has(k) }

// shaka predicts Shaka Player. It makes one timeline of all Periods, and leaves out a
// kind of media that one Period lacks. It jumps over holes, but loads only so far ahead
// of what it cannot show.
func (f *forecaster) shaka() Forecast {
	out := Forecast{Player: "Shaka Player"}
	shown := map[media.Kind]Spans{}
	for _, k := range kinds {
		if !f.has(k) {
			continue
		}
		var all Spans
		lacking := -1
		for _, p := range f.periods {
			if p.covers[k] == nil && lacking < 0 {
				lacking = p.index
			}
			all = append(all, p.of(k)...)
		}
		if lacking >= 0 {
			out.Notes = append(out.Notes, fmt.Sprintf("no %s at all, for Period %d has none", k, lacking))
			continue
		}
		shown[k] = all.mergeWithin(leastSlack)
	}
	playable, notes := together(shown, shakaBuffer)
	out.Notes = append(out.Notes, notes...)
	out.count(shown, playable)
	return out
}

// together returns where all kinds of media are there, up to where one is missing
// for longer than a player loads ahead, with a note for what is not shown.
func together(shown map[media.Kind]Spans, ahead time.Duration) (playable Spans, notes []string) {
	var at time.Duration
	for i, s := range intersection(shown) {
		missed := time.Duration(0)
		for _, k := range kinds {
			missed = max(missed, shown[k].Within(at, s.Start))
		}
		switch {
		case missed > ahead && i == 0:
			return nil, append(notes, fmt.Sprintf("stands at the beginning: one kind of media begins at %s", sec(s.Start)))
		case missed > ahead:
			return playable, append(notes, fmt.Sprintf("stands at %s", sec(at)))
		case missed > noted:
			notes = append(notes, fmt.Sprintf("skips from %s to %s", sec(at), sec(s.Start)))
		}
		playable = append(playable, s)
		at = s.End
	}
	return playable, notes
}

// intersection returns where all kinds of media are there.
func intersection(shown map[media.Kind]Spans) Spans {
	var both Spans
	first := true
	for _, k := range kinds {
		s, ok := shown[k]
		switch {
		case !ok:
		case first:
			both, first = s, false
		default:
			both = both.and(s)
		}
	}
	return both
}

// count adds what is shown of each kind.
func (f *Forecast) count(shown map[media.Kind]Spans, playable Spans) {
	if _, ok := shown[media.Video]; ok {
		f.Picture += playable.sum().Seconds()
	}
	if _, ok := shown[media.Audio]; ok {
		f.Sound += playable.sum().Seconds()
	}
}

// dashjs predicts dash.js. It plays Period after Period, and stands still for ever in
// one that has no picture, whose picture ends long before its sound, or whose
// SegmentTimeline has a hole.
func (f *forecaster) dashjs() Forecast {
	out := Forecast{Player: "dash.js"}
	for _, p := range f.periods {
		shown := map[media.Kind]Spans{}
		for _, k := range kinds {
			if p.covers[k] != nil {
				shown[k] = p.of(k).reach(p.start, p.end, p.slack)
			}
		}
		stand, why := f.dashjsStands(&p)
		if why != "" {
			for k := range shown {
				shown[k] = shown[k].cut(0, stand)
			}
			out.Notes = append(out.Notes, fmt.Sprintf("stands at %s: %s", sec(stand), why))
		}
		out.count(shown, intersection(shown))
		if why != "" {
			break
		}
	}
	return out
}

// dashjsStands returns where dash.js stands in a Period, and why; "" for nowhere.
func (f *forecaster) dashjsStands(p *periodMedia) (at time.Duration, why string) {
	video, audio := p.covers[media.Video], p.covers[media.Audio]
	if video == nil && f.has(media.Video) {
		return p.start, fmt.Sprintf("Period %d has no picture", p.index)
	}
	at = p.end + time.Hour
	for _, c := range []*cover{video, audio} {
		if c == nil || len(c.spans) < 2 {
			continue
		}
		if hole := c.spans[1].Start - c.spans[0].End; hole >= dashjsHole && c.spans[0].End < at {
			at, why = c.spans[0].End, fmt.Sprintf("the SegmentTimeline of %s has a hole of %s", c.track.ID, sec(hole))
		}
	}
	if video != nil && audio != nil && video.end() < audio.end()-dashjsApart && video.end() < at {
		at, why = video.end(), fmt.Sprintf("the picture of Period %d ends %s before its sound", p.index, sec(audio.end()-video.end()))
	}
	return at, why
}

// ffmpeg predicts ffmpeg. It reads only the longest Period; one without a duration
// counts as none.
func (f *forecaster) ffmpeg() Forecast {
	out := Forecast{Player: "ffmpeg"}
	longest, duration := -1, time.Duration(-1)
	for i := range f.periods {
		if d := f.rec.Periods[i].Duration; d >= duration {
			longest, duration = i, d
		}
	}
	if longest < 0 {
		return out
	}
	p := &f.periods[longest]
	out.Picture, out.Sound = p.of(media.Video).sum().Seconds(), p.of(media.Audio).sum().Seconds()
	if n := len(f.periods); n > 1 {
		out.Notes = append(out.Notes, fmt.Sprintf("reads Period %d of %d alone, %s", longest, n, p.from()))
	}
	return out
}
