package manifest

import (
	"bytes"
	"math"
	"strconv"

	"github.com/Eyevinn/dash-mpd/mpd"
)

// ReadMPD reads the text of an MPD. The timeline of a long recording is most of it, and is
// read here where it is as AppendMPD writes it, since a reader of XML takes ten times as
// long.
func ReadMPD(text []byte) (*mpd.MPD, error) {
	rest, timelines, ok := cutTimelines(text)
	if ok {
		m, err := mpd.ReadFromString(string(rest))
		if err != nil {
			return nil, err
		}
		if putTimelines(m, timelines) {
			return m, nil
		}
	}
	return mpd.ReadFromString(string(text))
}

var (
	timelineBegin = []byte("<SegmentTimeline>")
	timelineEnd   = []byte("</SegmentTimeline>")
)

// cutTimelines returns an MPD without what is in its SegmentTimelines, and that; ok is
// false where it is not as AppendMPD writes it.
func cutTimelines(text []byte) (rest []byte, timelines [][]*mpd.S, ok bool) {
	if bytes.Contains(text, []byte("<!")) { // what looks like one may be none
		return nil, nil, false
	}
	for {
		before, behind, found := bytes.Cut(text, timelineBegin)
		rest = append(rest, before...)
		if !found {
			return rest, timelines, true
		}
		inside, behind, found := bytes.Cut(behind, timelineEnd)
		if !found {
			return nil, nil, false
		}
		timeline, ok := parseRuns(inside)
		if !ok {
			return nil, nil, false
		}
		timelines = append(timelines, timeline)
		rest = append(append(rest, timelineBegin...), timelineEnd...)
		text = behind
	}
}

// parseRuns reads S elements.
func parseRuns(text []byte) (list []*mpd.S, ok bool) {
	for {
		text = bytes.TrimLeft(text, " \n\r\t")
		if len(text) == 0 {
			return list, true
		}
		element, behind, found := bytes.Cut(text, []byte("/>"))
		element, isS := bytes.CutPrefix(element, []byte("<S"))
		if !found || !isS {
			return nil, false
		}
		s := &mpd.S{}
		for len(element) > 0 {
			if element, ok = parseRun(element, s); !ok {
				return nil, false
			}
		}
		list = append(list, s)
		text = behind
	}
}

// parseRun reads an attribute of an S element, and returns what is behind it.
func parseRun(text []byte, s *mpd.S) (behind []byte, ok bool) {
	if len(text) < 6 || text[0] != ' ' || text[2] != '=' || text[3] != '"' {
		return nil, false
	}
	digits, behind, found := bytes.Cut(text[4:], []byte(`"`))
	v, err := strconv.ParseUint(string(digits), 10, 64)
	if !found || err != nil {
		return nil, false
	}
	switch text[1] {
	case 't':
		s.T = &v
	case 'd':
		s.D = v
	case 'r':
		s.R = int(min(v, math.MaxInt32))
	default:
		return nil, false
	}
	return behind, true
}

// putTimelines puts timelines back where they were; false: there are others.
func putTimelines(m *mpd.MPD, timelines [][]*mpd.S) bool {
	var all []*mpd.SegmentTemplateType
	for _, p := range m.Periods {
		all = append(all, p.SegmentTemplate)
		for _, s := range p.AdaptationSets {
			all = append(all, s.SegmentTemplate)
			for _, r := range s.Representations {
				all = append(all, r.SegmentTemplate)
			}
		}
	}
	n := 0
	for _, t := range all {
		if t == nil || t.SegmentTimeline == nil {
			continue
		}
		if n == len(timelines) {
			return false
		}
		t.SegmentTimeline.S = timelines[n]
		n++
	}
	return n == len(timelines)
}
