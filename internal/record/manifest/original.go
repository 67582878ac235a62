package manifest

import (
	"encoding/xml"
	"math"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// Original is what the manifest of a recording says that an original live777 has made. It
// has one Period, and at most one track of a kind.
type Original struct {
	Dynamic   bool      // it was being recorded when this was written
	Start     time.Time // wall clock of about media time 0; zero: it does not say
	Published time.Time // when this was written; zero: it does not say
	Tracks    []OriginalTrack
}

// Longest returns how long the longest segment is.
func (o *Original) Longest() (longest time.Duration) {
	for _, t := range o.Tracks {
		for _, s := range t.Segments {
			longest = max(longest, s.Duration.Duration(t.Timescale))
		}
	}
	return longest
}

// OriginalTrack is a track of an Original.
type OriginalTrack struct {
	Kind      media.Kind
	RFC6381   string
	Timescale uint32
	Init      string          // name of the init segment
	Media     string          // template of the names of the segments
	Segments  []media.Segment // without Bytes and Frames; one begins where the one before ends
}

// originalMPD are the parts of an original MPD that are read.
type originalMPD struct {
	XMLName           xml.Name `xml:"MPD"`
	ID                string   `xml:"id,attr"`
	Type              string   `xml:"type,attr"`
	AvailabilityStart string   `xml:"availabilityStartTime,attr"`
	Published         string   `xml:"publishTime,attr"`
	Periods           []struct {
		ID   string `xml:"id,attr"`
		Sets []struct {
			Kind            string `xml:"contentType,attr"`
			Representations []struct {
				RFC6381  string            `xml:"codecs,attr"`
				Template *originalTemplate `xml:"SegmentTemplate"`
			} `xml:"Representation"`
		} `xml:"AdaptationSet"`
	} `xml:"Period"`
}

type originalTemplate struct {
	Timescale   uint32 `xml:"timescale,attr"`
	Init        string `xml:"initialization,attr"`
	Media       string `xml:"media,attr"`
	StartNumber int    `xml:"startNumber,attr"`
	Timeline    []struct {
		Time     *uint64 `xml:"t,attr"`
		Duration uint64  `xml:"d,attr"`
		Repeats  int     `xml:"r,attr"`
	} `xml:"SegmentTimeline>S"`
}

// ParseOriginal reads the MPD of an original live777. ok is false where the text is none:
// AppendMPD always writes an id, and they do not. The error is a fault.Invalid.
func ParseOriginal(text []byte) (o Original, ok bool, err error) {
	var m originalMPD
	if err := xml.Unmarshal(text, &m); err != nil {
		return o, false, nil //nolint:nilerr // it is another program's, or damaged
	}
	if m.ID != "" || len(m.Periods) != 1 || m.Periods[0].ID != "0" {
		return o, false, nil
	}
	o.Dynamic = m.Type == "dynamic"
	o.Start, _ = time.Parse(time.RFC3339Nano, m.AvailabilityStart)
	o.Published, _ = time.Parse(time.RFC3339Nano, m.Published)
	for _, s := range m.Periods[0].Sets {
		for _, r := range s.Representations {
			t := OriginalTrack{RFC6381: r.RFC6381}
			switch s.Kind {
			case media.Video.String():
				t.Kind = media.Video
			case media.Audio.String():
				t.Kind = media.Audio
			}
			// Which names they have is what tells an original's manifest from others.
			if r.Template == nil || t.Kind == 0 || !isOriginalTemplate(r.Template, t.Kind) {
				return o, false, nil
			}
			if err := t.read(r.Template); err != nil {
				return o, true, err
			}
			o.Tracks = append(o.Tracks, t)
		}
	}
	return o, len(o.Tracks) > 0, nil
}

func isOriginalTemplate(t *originalTemplate, kind media.Kind) bool {
	prefix := kind.String()[:1]
	return t.Init == prefix+"_init.m4s" && t.Media == prefix+"_seg_"+media.NumberField+".m4s" && t.StartNumber == 1
}

// read reads the timeline.
func (t *OriginalTrack) read(from *originalTemplate) error {
	refuse := func(format string, args ...any) error {
		return fault.Errorf(fault.Invalid, "read the manifest: "+t.Kind.String()+": "+format, args...)
	}
	t.Timescale, t.Init, t.Media = from.Timescale, from.Init, from.Media
	if t.Timescale == 0 || t.Timescale > maxTimescale {
		return refuse("timescale is %d", t.Timescale)
	}
	if t.RFC6381 = strings.TrimSpace(t.RFC6381); !codecNames.MatchString(t.RFC6381) {
		return refuse("codecs %.100q cannot be", t.RFC6381)
	}
	var end media.Ticks
	for _, s := range from.Timeline {
		if s.Repeats < 0 || s.Repeats >= maxParsed-len(t.Segments) || s.Duration == 0 || s.Duration > math.MaxUint32*100 {
			return refuse("it has segments of %d ticks, repeated %d times", s.Duration, s.Repeats)
		}
		if s.Time != nil && *s.Time != uint64(end) { //nolint:gosec // it is not negative
			return refuse("a segment begins at %d, the one before ends at %d", *s.Time, end)
		}
		for range s.Repeats + 1 {
			n := len(t.Segments) + 1
			t.Segments = append(t.Segments, media.Segment{
				Number: n, Name: media.SegmentName(t.Media, n), Time: end, Duration: media.Ticks(s.Duration), //nolint:gosec // it fits
			})
			end += media.Ticks(s.Duration) //nolint:gosec // it fits
		}
	}
	return nil
}
