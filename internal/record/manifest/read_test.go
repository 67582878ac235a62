package manifest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"github.com/live777/recorder/internal/media"
)

// setIDs returns the set ids of each Period in p's MPD, and "[]" where the MPD
// lists no segment.
func setIDs(t *testing.T, p *Presentation) string {
	t.Helper()
	if !p.Ready() {
		return "[]"
	}
	var b strings.Builder
	for _, q := range parse(t, string(p.AppendMPD(nil))).Periods {
		var ids []uint32
		for _, s := range q.AdaptationSets {
			ids = append(ids, *s.Id)
		}
		fmt.Fprint(&b, ids)
	}
	return b.String()
}

func parse(t *testing.T, text string) *mpd.MPD {
	t.Helper()
	m, err := mpd.ReadFromString(text)
	if err != nil {
		t.Fatalf("an independent reader refuses the MPD: %v\n%s", err, text)
	}
	return m
}

// equal compares one value that was read back.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// duration compares an optional xs:duration; want < 0 is an attribute that has
// to be absent.
func duration(t *testing.T, what string, got *mpd.Duration, want time.Duration) {
	t.Helper()
	switch {
	case got == nil && want >= 0:
		t.Errorf("%s is absent, want %v", what, want)
	case got != nil && time.Duration(*got) != want:
		t.Errorf("%s is %v, want %v", what, time.Duration(*got), want)
	}
}

// readBack parses text with an independent reader and compares all of it with p.
func readBack(t *testing.T, p *Presentation, text string) {
	t.Helper()
	m := parse(t, text)
	const layout = "2006-01-02T15:04:05.000Z"
	equal(t, "id", m.Id, readable(p.ID))
	equal(t, "profiles", string(m.Profiles), "urn:mpeg:dash:profile:isoff-live:2011")
	equal(t, "availabilityStartTime", string(m.AvailabilityStartTime), p.AvailabilityStart.UTC().Format(layout))
	equal(t, "publishTime", string(m.PublishTime), p.Published.UTC().Format(layout))
	duration(t, "minBufferTime", m.MinBufferTime, p.SegmentDuration)
	duration(t, "timeShiftBufferDepth", m.TimeShiftBufferDepth, -1)
	if p.Dynamic {
		equal(t, "type", m.GetType(), "dynamic")
		// Not what a segment may last: Shaka Player would stay so far behind.
		duration(t, "maxSegmentDuration", m.MaxSegmentDuration, max(p.SegmentDuration, p.LongestSegment))
		duration(t, "minimumUpdatePeriod", m.MinimumUpdatePeriod, p.SegmentDuration)
		duration(t, "suggestedPresentationDelay", m.SuggestedPresentationDelay, 3*p.SegmentDuration)
		duration(t, "mediaPresentationDuration", m.MediaPresentationDuration, -1)
		equal(t, "UTCTiming elements", len(m.UTCTimings), 1)
		if len(m.UTCTimings) == 1 {
			equal(t, "UTCTiming scheme", string(m.UTCTimings[0].SchemeIdUri), "urn:mpeg:dash:utc:http-xsdate:2014")
			equal(t, "UTCTiming", m.UTCTimings[0].Value, p.UTCTiming)
		}
	} else {
		equal(t, "type", m.GetType(), "static")
		duration(t, "maxSegmentDuration", m.MaxSegmentDuration, p.MaxSegmentDuration)
		duration(t, "minimumUpdatePeriod", m.MinimumUpdatePeriod, -1)
		duration(t, "suggestedPresentationDelay", m.SuggestedPresentationDelay, -1)
		duration(t, "mediaPresentationDuration", m.MediaPresentationDuration, p.Duration)
		equal(t, "UTCTiming elements", len(m.UTCTimings), 0)
	}

	if listed := p.listed(); len(listed) > 0 {
		equal(t, "Periods", len(m.Periods), len(listed))
		for i := range min(len(listed), len(m.Periods)) {
			readPeriod(t, &listed[i], m.Periods[i], i == len(listed)-1, p.Dynamic, p.Duration)
		}
		return
	}
	equal(t, "Periods", len(m.Periods), 1)
	for _, s := range m.Periods[0].AdaptationSets {
		for _, r := range s.Representations {
			equal(t, "S elements of an empty timeline", len(r.SegmentTemplate.SegmentTimeline.S), 0)
		}
	}
}

func readPeriod(t *testing.T, want *Period, got *mpd.Period, last, dynamic bool, total time.Duration) {
	t.Helper()
	equal(t, "Period id", got.Id, readable(want.ID))
	duration(t, "Period start", got.Start, want.Start)
	switch {
	case last && dynamic: // see Presentation.lasts
		duration(t, "duration of the last Period", got.Duration, -1)
	case last && got.Duration != nil && want.HasMedia():
		duration(t, "duration of the last Period", got.Duration, total-want.Start)
	case !last && want.Duration > 0:
		duration(t, "Period duration", got.Duration, want.Duration)
	}
	equal(t, "sets", len(got.AdaptationSets), len(want.Sets))
	for i := range min(len(want.Sets), len(got.AdaptationSets)) {
		readSet(t, want, &want.Sets[i], got.AdaptationSets[i])
	}
}

func readSet(t *testing.T, q *Period, want *AdaptationSet, got *mpd.AdaptationSetType) {
	t.Helper()
	equal(t, "set id", int(*got.Id), want.ID)
	equal(t, "contentType", string(got.ContentType), want.Kind.String())
	equal(t, "segmentAlignment", got.SegmentAlignment, true)
	equal(t, "startWithSAP", got.StartWithSAP, 1)
	equal(t, "Representations", len(got.Representations), len(want.Representations))
	width, height := 0, 0
	for i := range min(len(want.Representations), len(got.Representations)) {
		r := &want.Representations[i]
		width, height = max(width, r.Format.Width), max(height, r.Format.Height)
		readRepresentation(t, q, want.Kind, r, got.Representations[i])
	}
	equal(t, "maxWidth", int(got.MaxWidth), width)
	equal(t, "maxHeight", int(got.MaxHeight), height)
}

func readRepresentation(t *testing.T, q *Period, kind media.Kind, want *Representation, got *mpd.RepresentationType) {
	t.Helper()
	equal(t, "Representation id", got.Id, want.ID)
	equal(t, "bandwidth", int64(got.Bandwidth), want.Bandwidth)
	equal(t, "codecs", got.Codecs, want.Format.RFC6381)
	container := "/mp4"
	if want.Format == vp8 {
		container = "/webm"
	}
	equal(t, "mimeType", got.MimeType, kind.String()+container)
	equal(t, "width", int(got.Width), want.Format.Width)
	equal(t, "height", int(got.Height), want.Format.Height)
	sar := ""
	if want.Format == wide {
		sar = "16:11"
	}
	equal(t, "sar", string(got.Sar), sar)
	equal(t, "frameRate", string(got.FrameRate), want.FrameRate)
	if kind == media.Audio {
		equal(t, "audioSamplingRate", string(*got.AudioSamplingRate), "48000")
		equal(t, "channel configurations", len(got.AudioChannelConfigurations), 1)
		if len(got.AudioChannelConfigurations) == 1 {
			equal(t, "channels", got.AudioChannelConfigurations[0].Value, fmt.Sprint(want.Format.Channels))
		}
	}

	template := got.SegmentTemplate
	equal(t, "timescale", template.GetTimescale(), want.Format.Timescale)
	equal(t, "presentationTimeOffset", media.Ticks(*template.PresentationTimeOffset), media.TicksOf(q.Start, want.Format.Timescale))
	equal(t, "startNumber", int(*template.StartNumber), want.StartNumber)
	equal(t, "initialization", template.Initialization, want.Init)
	equal(t, "media", template.Media, want.Media)
	starts := expand(t, template.SegmentTimeline)
	equal(t, "segments", len(starts)-1, want.Timeline.Len())
	equal(t, "start of the first segment", starts[0], want.Timeline.Start())
	equal(t, "end of the last segment", starts[len(starts)-1], want.Timeline.End())
}

// expand returns the start of every segment and the end of the last one.
func expand(t *testing.T, timeline *mpd.SegmentTimelineType) []media.Ticks {
	t.Helper()
	var starts []media.Ticks
	var at media.Ticks
	for i, s := range timeline.S {
		if (s.T != nil) != (i == 0) {
			t.Errorf("S element %d: only the first may have a time, and must", i)
		} else if s.T != nil {
			at = media.Ticks(*s.T)
		}
		for range s.R + 1 {
			starts = append(starts, at)
			at += media.Ticks(s.D)
		}
	}
	return append(starts, at)
}

// readable is what a reader must get for a name: all of it, but for characters
// that XML cannot hold and bytes that are not UTF-8, which strings.Map replaces.
func readable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xFFFE, r == 0xFFFF:
			return 0xFFFD
		}
		return r
	}, s)
}

// FuzzMPD renders arbitrary timelines under arbitrary names and reads them back.
func FuzzMPD(f *testing.F) {
	f.Add("camera", uint32(0), []byte{6, 6, 6, 7, 6})
	f.Add(`<&">'`, uint32(90000), []byte{1})
	f.Fuzz(func(t *testing.T, name string, at uint32, raw []byte) {
		durations := make([]media.Ticks, len(raw))
		starts := []media.Ticks{media.Ticks(at)}
		for i, b := range raw {
			durations[i] = media.Ticks(b) + 1
			starts = append(starts, starts[i]+durations[i])
		}
		p := static(time.Duration(at+1)*time.Second, Period{ID: name, Sets: []AdaptationSet{video(h264, 1, timelineOf(t, media.Ticks(at), durations...))}})
		p.ID = name
		text := string(p.AppendMPD(nil))
		readBack(t, &p, text)
		if len(raw) == 0 {
			return
		}
		got := expand(t, parse(t, text).Periods[0].AdaptationSets[0].Representations[0].SegmentTemplate.SegmentTimeline)
		if !slices.Equal(got, starts) {
			t.Errorf("segments read back start at %v, want %v", got, starts)
		}
	})
}
