package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"github.com/live777/recorder/internal/media"
)

// maxDurationError is how far the presentation's duration may be from the end
// of the longest track: its tracks do not end at the same instant.
const maxDurationError = 100 * time.Millisecond

// rounding is what sums of durations may differ by: they are read as floating
// point seconds.
const rounding = time.Microsecond

// maxSegments bounds, for each track, what a broken SegmentTimeline can make us
// do: 24 hours of segments of a second.
const maxSegments = 86_400

// readManifest checks the manifest and reads everything it names.
func (r *reader) readManifest(m *mpd.MPD) error {
	r.rec.ID = m.Id
	r.rec.Dynamic = m.GetType() == mpd.DYNAMIC_TYPE
	r.checkType(m)
	if m.AvailabilityStartTime != "" {
		start, err := time.Parse(time.RFC3339Nano, string(m.AvailabilityStartTime))
		if err != nil {
			r.problem("MPD", "availabilityStartTime %q is not a time", m.AvailabilityStartTime)
		}
		r.rec.Start = start
	}
	if m.MediaPresentationDuration != nil {
		r.rec.Duration = time.Duration(*m.MediaPresentationDuration)
	}
	if m.MinBufferTime != nil {
		r.rec.MinBuffer = time.Duration(*m.MinBufferTime)
	}
	if len(m.Periods) == 0 {
		r.problem("MPD", "has no Period")
	}
	ids := map[string]bool{}
	for i, p := range m.Periods {
		if p.Id == "" || ids[p.Id] {
			r.problem(where(i), "id %q is empty or used before", p.Id)
		}
		ids[p.Id] = true
		if err := r.readPeriod(m, i, p); err != nil {
			return err
		}
	}
	r.checkDuration(m)
	return nil
}

func where(period int) string { return fmt.Sprintf("Period %d", period) }

// checkType checks what depends on MPD@type (ISO/IEC 23009-1 5.3.1.2).
func (r *reader) checkType(m *mpd.MPD) {
	rule := func(ok bool, what string) {
		if !ok {
			r.problem("MPD", "%s MPD %s", m.GetType(), what)
		}
	}
	rule(m.MinBufferTime != nil, "must have minBufferTime")
	if r.rec.Dynamic {
		rule(m.AvailabilityStartTime != "", "must have availabilityStartTime")
		rule(m.PublishTime != "", "must have publishTime")
		rule(m.MinimumUpdatePeriod != nil, "must have minimumUpdatePeriod")
		rule(m.MediaPresentationDuration == nil, "must not have mediaPresentationDuration")
		return
	}
	rule(m.GetType() == mpd.STATIC_TYPE, "is neither static nor dynamic")
	rule(m.MinimumUpdatePeriod == nil, "must not have minimumUpdatePeriod")
	rule(m.TimeShiftBufferDepth == nil, "must not have timeShiftBufferDepth")
	rule(m.MediaPresentationDuration != nil, "must have mediaPresentationDuration")
}

// checkDuration compares the duration of a static presentation with its last
// Period and with the media.
func (r *reader) checkDuration(m *mpd.MPD) {
	if r.rec.Dynamic || m.MediaPresentationDuration == nil || len(r.rec.Periods) == 0 {
		return
	}
	last := r.rec.Periods[len(r.rec.Periods)-1]
	if d := last.Start + last.Duration - r.rec.Duration; last.Duration > 0 && d.Abs() > rounding {
		r.problem("MPD", "mediaPresentationDuration %v is not the end of the last Period, %v", r.rec.Duration, last.Start+last.Duration)
	}
	var end time.Duration
	for _, t := range r.rec.Tracks {
		end = max(end, r.state[t].end.Duration(t.Timescale))
	}
	if d := r.rec.Duration - end; d > maxDurationError || d < -maxDurationError {
		r.problem("MPD", "mediaPresentationDuration %v, but the media ends at %v", r.rec.Duration, end)
	}
}

func (r *reader) readPeriod(m *mpd.MPD, i int, p *mpd.Period) error {
	period := Period{ID: p.Id}
	switch {
	case p.Start != nil:
		period.Start = time.Duration(*p.Start)
	case i > 0 || r.rec.Dynamic:
		r.problem(where(i), "has no start")
	}
	if p.Duration != nil {
		period.Duration = time.Duration(*p.Duration)
	}
	if i > 0 {
		before := r.rec.Periods[i-1]
		if period.Start <= before.Start || before.Duration > 0 && before.Start+before.Duration > period.Start+rounding {
			r.problem(where(i), "starts at %v, within the Period before it", period.Start)
		}
	}
	r.rec.Periods = append(r.rec.Periods, period)
	for _, set := range p.AdaptationSets {
		for _, rep := range set.Representations {
			if err := r.readRepresentation(m, i, set, rep); err != nil {
				return err
			}
		}
		r.checkAlignment(i, set)
	}
	return nil
}

// checkAlignment checks that the segments of an AdaptationSet's Representations
// begin at the same times, as far as each goes, so that players can switch
// (ISO/IEC 23009-1 5.3.3.2, @segmentAlignment).
func (r *reader) checkAlignment(period int, set *mpd.AdaptationSetType) {
	var first []media.Ticks
	for _, rep := range set.Representations {
		t, ok := r.rec.Layer(rep.Id)
		if !ok {
			continue
		}
		var starts []media.Ticks
		for _, s := range t.Segments {
			if s.Period == period {
				starts = append(starts, s.Time)
			}
		}
		n := min(len(starts), len(first))
		if !slices.Equal(starts[:n], first[:n]) {
			r.problem(where(period), "segments of Representation %s begin at %v, of another at %v", rep.Id, starts, first)
		}
		if len(starts) > len(first) {
			first = starts
		}
	}
}

// kind returns the media kind of an AdaptationSet.
func kind(set *mpd.AdaptationSetType, rep *mpd.RepresentationType) media.Kind {
	mime := rep.GetMimeType()
	for _, k := range []media.Kind{media.Video, media.Audio} {
		if string(set.ContentType) == k.String() || strings.HasPrefix(mime, k.String()+"/") {
			return k
		}
	}
	return 0
}

// isWebM reports whether a Representation says that it is WebM.
func isWebM(rep *mpd.RepresentationType) bool { return strings.HasSuffix(rep.GetMimeType(), "/webm") }

// track returns the track of a Representation, a new one if there is none.
func (r *reader) track(k media.Kind, id string, timescale uint32) *Track {
	if t, ok := r.rec.Layer(id); ok && t.Kind == k {
		return t
	}
	t := &Track{Kind: k, ID: id, Timescale: timescale}
	r.rec.Tracks = append(r.rec.Tracks, t)
	r.state[t] = &trackState{period: -1, filled: r.rec.Filled(t)}
	return t
}

func (r *reader) readRepresentation(m *mpd.MPD, period int, set *mpd.AdaptationSetType, rep *mpd.RepresentationType) error {
	at := where(period) + ", Representation " + rep.Id
	template := rep.GetSegmentTemplate()
	k := kind(set, rep)
	switch {
	case k == 0:
		r.problem(at, "is neither video nor audio")
		return nil
	case template == nil || template.SegmentTimeline == nil || template.Timescale == nil || *template.Timescale == 0:
		r.problem(at, "has no SegmentTemplate with SegmentTimeline and timescale")
		return nil
	case len(template.SegmentTimeline.S) == 0:
		return nil // named, but without media so far
	case !strings.HasSuffix(rep.GetMimeType(), "/mp4") && !isWebM(rep):
		r.problem(at, "%q cannot be read, only MP4 and WebM can", rep.GetMimeType())
		return nil
	}
	timescale := *template.Timescale
	t := r.track(k, rep.Id, timescale)
	if timescale != t.Timescale {
		r.problem(at, "timescale %d differs from the %d before it", timescale, t.Timescale)
		return nil
	}
	t.Representations = append(t.Representations, Representation{Period: period, Bandwidth: int(rep.Bandwidth)})
	var offset uint64
	if template.PresentationTimeOffset != nil {
		offset = *template.PresentationTimeOffset
	}
	if want := media.TicksOf(r.rec.Periods[period].Start, timescale); media.Ticks(offset) != want {
		r.problem(at, "presentationTimeOffset %d, want the Period's start, %d", offset, want)
	}
	initName, err := rep.GetInit()
	if err != nil {
		return fmt.Errorf("init segment of %s: %w", at, err)
	}
	in, err := r.readInit(initName, t, rep)
	if err != nil {
		return err
	}
	for i := range t.Inits {
		if t.Inits[i].Name == initName {
			t.Inits[i].Periods = append(t.Inits[i].Periods, period)
		}
	}
	mediaName, err := rep.GetMedia()
	if err != nil {
		return fmt.Errorf("media template of %s: %w", at, err)
	}
	return r.readTimeline(m, t, in, period, at, mediaName, template)
}

// readTimeline reads the segments of a SegmentTimeline (ISO/IEC 23009-1 5.3.9.6).
func (r *reader) readTimeline(m *mpd.MPD, t *Track, in *initSegment, period int, at, name string, st *mpd.SegmentTemplateType) error {
	number := 1
	if st.StartNumber != nil {
		number = int(*st.StartNumber)
	}
	if want := r.state[t].number + 1; number != want {
		r.problem(at, "startNumber %d, want %d", number, want)
	}
	var next media.Ticks
	for i, s := range st.SegmentTimeline.S {
		if s.T != nil {
			if i > 0 && media.Ticks(*s.T) != next {
				r.problem(at, "hole of %d ticks in the SegmentTimeline before segment %d", media.Ticks(*s.T)-next, number)
			}
			next = media.Ticks(*s.T)
		} else if i == 0 {
			r.problem(at, "the first S has no t")
		}
		if s.D == 0 || s.R < 0 || s.R >= maxSegments-len(t.Segments) || s.N != nil {
			r.problem(at, "S with d=%d, r=%d cannot be read", s.D, s.R)
			return nil
		}
		for range s.R + 1 {
			segment := Segment{
				Name: segmentName(name, number), Number: number, Period: period, Time: next, Duration: media.Ticks(s.D),
			}
			r.checkAgainst(m, t, segment)
			if err := r.readSegment(t, in, segment); err != nil {
				return err
			}
			next += segment.Duration
			number++
		}
	}
	return nil
}

// checkAgainst checks a segment against the manifest around it.
func (r *reader) checkAgainst(m *mpd.MPD, t *Track, s Segment) {
	length := s.Duration.Duration(t.Timescale)
	if m.MaxSegmentDuration != nil && length > time.Duration(*m.MaxSegmentDuration) {
		r.problem(s.Name, "lasts %v, longer than maxSegmentDuration", length)
	}
	p := r.rec.Periods[s.Period]
	start := s.Time.Duration(t.Timescale)
	if start+length <= p.Start {
		r.problem(s.Name, "lies before its Period, which starts at %v", p.Start)
	}
	if p.Duration > 0 && start >= p.Start+p.Duration {
		r.problem(s.Name, "lies behind its Period, which ends at %v", p.Start+p.Duration)
	}
}

var numberTemplate = regexp.MustCompile(`\$Number(?:%0(\d)d)?\$`)

// segmentName puts a number into a media template (ISO/IEC 23009-1 5.3.9.4.4).
func segmentName(template string, number int) string {
	return numberTemplate.ReplaceAllStringFunc(template, func(match string) string {
		width, _ := strconv.Atoi(numberTemplate.FindStringSubmatch(match)[1]) // absent: 0
		return fmt.Sprintf("%0*d", width, number)
	})
}
