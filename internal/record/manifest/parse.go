package manifest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// maxParsed bounds what a broken manifest can make us do, for each Representation of a
	// Period: a day of segments of a second.
	maxParsed = 86_400
	// maxTimescale is the most ticks a second that a manifest may have.
	maxTimescale = 10_000_000
	// maxTime is the longest that a manifest may be about.
	maxTime = 10 * 365 * 24 * time.Hour
)

// Parse reads an MPD that AppendMPD has made, now or in an older version. What an MPD does
// not say is missing: how many bytes and pictures segments have, and which of them the
// storage has lost. Representations without segments are left out. The error is a
// fault.Invalid.
func Parse(text []byte) (*Presentation, error) {
	m, err := ReadMPD(text)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "read the manifest: %w", err)
	}
	p := &Presentation{
		ID: m.Id, Dynamic: m.Type != nil && *m.Type == mpd.DYNAMIC_TYPE,
		SegmentDuration: durationOf(m.MinBufferTime), MaxSegmentDuration: durationOf(m.MaxSegmentDuration),
		Duration: durationOf(m.MediaPresentationDuration),
	}
	if p.AvailabilityStart, err = time.Parse(time.RFC3339Nano, string(m.AvailabilityStartTime)); err != nil {
		return nil, fault.Errorf(fault.Invalid, "read the manifest: availabilityStartTime: %w", err)
	}
	if p.Published, err = time.Parse(time.RFC3339Nano, string(m.PublishTime)); err != nil {
		p.Published = p.AvailabilityStart
	}
	for _, q := range m.Periods {
		period := Period{ID: q.Id, Start: durationOf(q.Start), Duration: durationOf(q.Duration)}
		for _, s := range q.AdaptationSets {
			set, err := p.parseSet(s)
			if err != nil {
				return nil, fault.Errorf(fault.Invalid, "read the manifest: Period %q: %w", q.Id, err)
			}
			if len(set.Representations) > 0 {
				period.Sets = append(period.Sets, set)
			}
		}
		// What is written of a static one reaches to the next Period (Presentation.lasts).
		open := Period{Start: period.Start, Sets: period.Sets}
		period.Duration = min(period.Duration, (open.end() - period.Start + time.Millisecond - 1).Truncate(time.Millisecond))
		if len(period.Sets) > 0 {
			p.Periods = append(p.Periods, period)
		}
	}
	return p, nil
}

// durationOf returns a duration, 0 where there is none that can be.
func durationOf(d *mpd.Duration) time.Duration {
	if d == nil || time.Duration(*d) < 0 || time.Duration(*d) > maxTime {
		return 0
	}
	return time.Duration(*d)
}

func (p *Presentation) parseSet(s *mpd.AdaptationSetType) (set AdaptationSet, err error) {
	if s.Id != nil {
		set.ID = int(*s.Id)
	}
	for _, r := range s.Representations {
		t := r.SegmentTemplate
		if t == nil || t.SegmentTimeline == nil || len(t.SegmentTimeline.S) == 0 {
			continue
		}
		kind, _, _ := strings.Cut(r.MimeType, "/")
		switch kind {
		case media.Video.String():
			set.Kind = media.Video
		case media.Audio.String():
			set.Kind = media.Audio
		default:
			return set, fmt.Errorf("mimeType %.100q is not known", r.MimeType)
		}
		representation, err := parseRepresentation(r, set.Kind)
		if err != nil {
			return set, fmt.Errorf("Representation %.100q: %w", r.Id, err)
		}
		set.Representations = append(set.Representations, *representation)
		t2 := representation.Timeline
		for i := range t2.Len() {
			p.LongestSegment = max(p.LongestSegment, t2.segment(i).Duration.Duration(representation.Format.Timescale))
		}
	}
	return set, nil
}

// codecNames matches what is written of a codec (RFC 6381): it goes into playlists as it is.
var codecNames = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func parseRepresentation(r *mpd.RepresentationType, kind media.Kind) (*Representation, error) {
	t := r.SegmentTemplate
	f := &media.Format{RFC6381: r.Codecs, Timescale: t.GetTimescale()}
	if kind == media.Video {
		f.Width, f.Height = int(r.Width), int(r.Height)
		_, _ = fmt.Sscanf(string(r.Sar), "%d:%d", &f.SAR.Num, &f.SAR.Den) // or it has none
	}
	for _, c := range r.AudioChannelConfigurations {
		for channels, value := range configurations {
			if value > 0 && c.Value == strconv.Itoa(value) {
				f.Channels = channels
			}
		}
	}
	f.Codec = strings.ToUpper(f.RFC6381)
	out := &Representation{
		ID: r.Id, Format: f, Init: t.Initialization, Media: t.Media, StartNumber: 1,
		Bandwidth: int64(r.Bandwidth), FrameRate: string(r.FrameRate),
	}
	if t.StartNumber != nil {
		out.StartNumber = int(*t.StartNumber)
	}
	// The names may be of another machine: they become parts of URLs and of text.
	switch {
	case f.Timescale == 0 || f.Timescale > maxTimescale:
		return nil, fmt.Errorf("timescale is %d", f.Timescale)
	case !codecNames.MatchString(f.RFC6381):
		return nil, fmt.Errorf("codecs %.100q cannot be", f.RFC6381)
	case !media.IsObjectName(media.PlaylistName(r.Id)):
		return nil, fmt.Errorf("the id cannot be")
	case strings.Count(out.Media, media.NumberField) != 1 || !media.IsObjectName(media.SegmentName(out.Media, 1)) || !media.IsObjectName(out.Init):
		return nil, fmt.Errorf("%.100q and %.100q are no names of objects", out.Init, out.Media)
	}
	open := false
	for _, p := range r.SupplementalProperties {
		switch string(p.SchemeIdUri) {
		case measuredScheme:
			out.measured = parseMeasured(p.Value)
		case openScheme:
			open = true
		}
	}
	var err error
	out.Timeline, err = parseTimeline(t.SegmentTimeline, open)
	return out, err
}

// parseMeasured reads what appendMeasured wrote; what cannot be is not known.
func parseMeasured(value string) (m measured) {
	const most = 1e12
	average, rate, _ := strings.Cut(value, " ")
	if n, err := strconv.ParseInt(average, 10, 64); err == nil && n > 0 && n < most {
		m.average = n
	}
	if f, err := strconv.ParseFloat(rate, 64); err == nil && f > 0 && f < 1e6 {
		m.rate = f
	}
	return m
}

// parseTimeline reads the S elements. With open the last segment is not closed, and left out.
func parseTimeline(list *mpd.SegmentTimelineType, open bool) (*Timeline, error) {
	t := NewTimeline(0)
	if at := list.S[0].T; at != nil {
		t = NewTimeline(media.Ticks(min(*at, 1<<62))) //nolint:gosec // it fits
	}
	for i, s := range list.S {
		repeats := s.R
		if open && i == len(list.S)-1 {
			repeats--
		}
		if s.R < 0 || s.R >= maxParsed-t.Len() || s.D > 1<<40 || t.end > 1<<60 {
			return nil, fmt.Errorf("it has segments of %d ticks, repeated %d times", s.D, s.R)
		}
		for range repeats + 1 {
			if err := t.Append(media.Segment{Time: t.end, Duration: media.Ticks(s.D)}); err != nil { //nolint:gosec // it fits
				return nil, err
			}
		}
	}
	return t, nil
}
