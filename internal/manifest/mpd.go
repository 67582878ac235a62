// Package manifest renders the manifests of a recording from what is known
// about its segments: pure functions, the same text for the same input.
package manifest

import (
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Representation is one encoding of a track in one Period.
type Representation struct {
	ID          string
	Format      *media.Format // Timescale is the timeline's; nil is allowed before the first segment
	Init        string        // file name of the init segment, relative to the MPD
	Media       string        // template of the media segments' file names: "v_seg_$Number%04d$.m4s"
	StartNumber int           // number of the timeline's first segment
	Timeline    *Timeline
	Bandwidth   int64  // bit/s, the peak over minBufferTime, which is one segment
	FrameRate   string // "30" or "30000/1001"; empty where it is not known
}

// AdaptationSet is a set of Representations of the same content.
type AdaptationSet struct {
	ID              int // the same in every Period for the same track
	Kind            media.Kind
	Representations []Representation
}

// Period is a part of the recording with one set of formats.
type Period struct {
	ID       string
	Start    time.Duration   // on the media timeline, whole milliseconds
	Duration time.Duration   // 0 while open; not written of the last, which ends with the presentation
	Sets     []AdaptationSet // of all tracks from the start on, those without segments too
}

// Presentation is a whole recording, as an MPD describes it.
type Presentation struct {
	ID                 string
	AvailabilityStart  time.Time // wall clock of media time 0, whole milliseconds; never changes
	Dynamic            bool      // still being recorded
	Published          time.Time // of this version, whole milliseconds
	SegmentDuration    time.Duration
	MaxSegmentDuration time.Duration // what a segment may last, beyond which a missing one is not waited for
	LongestSegment     time.Duration // what one has lasted so far
	Duration           time.Duration // static only: end of the last segment
	UTCTiming          string        // URL that answers with the time as xs:dateTime; dynamic only, may be empty
	Periods            []Period      // by Start
}

// delaySegments is how far behind the live edge players are asked to stay. A
// segment can be read when it is closed, and one can be twice as long as usual
// before its key frame comes.
const delaySegments = 3

// Ready reports whether the MPD lists a segment. One that does not is for players
// of the Shaka kind, which wait for the first; dash.js gives up on it for good,
// so that a server does better to say that there is nothing to play yet.
func (p *Presentation) Ready() bool { return len(p.listed()) > 0 }

// Count returns the number of Periods that have a segment: the others are not listed.
func (p *Presentation) Count() (n int) {
	for i := range p.Periods {
		if p.Periods[i].HasMedia() {
			n++
		}
	}
	return n
}

// HasMedia reports whether the Period has a segment.
func (q *Period) HasMedia() bool {
	return slices.ContainsFunc(q.Sets, func(s AdaptationSet) bool {
		return slices.ContainsFunc(s.Representations, func(r Representation) bool { return r.segments() > 0 })
	})
}

// AppendMPD appends the recording's MPD (ISO/IEC 23009-1, profile isoff-live) to
// dst. Segments are listed when they are in a Timeline, which they enter when
// they are closed, so that everything listed is available.
//
// Representations and sets without segments are left out, for a player would
// stop at them. So is the last Period of a dynamic MPD until all of its sets
// have a segment, or one is longer than any first segment that is still missing:
// players settle on the sets of a Period when they first see it, and would never
// play a track that is added a moment later. A dynamic MPD that is not Ready has
// the first Period with empty timelines.
func (p *Presentation) AppendMPD(dst []byte) []byte {
	dst = slices.Grow(dst, p.size())
	dst = append(dst, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"`...)
	dst = p.appendAttributes(dst)
	dst = append(dst, ">\n"...)

	periods := p.listed()
	if len(periods) == 0 {
		periods = []Period{p.waiting()}
	}
	for i := range periods {
		dst = periods[i].append(dst, i == len(periods)-1)
	}

	if p.Dynamic && p.UTCTiming != "" {
		dst = append(dst, `<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2014"`...)
		dst = appendString(dst, "value", p.UTCTiming)
		dst = append(dst, "/>\n"...)
	}
	return append(dst, "</MPD>\n"...)
}

func (p *Presentation) appendAttributes(dst []byte) []byte {
	dst = appendString(dst, "id", p.ID)
	dst = append(dst, ` profiles="urn:mpeg:dash:profile:isoff-live:2011"`...)
	if p.Dynamic {
		dst = append(dst, ` type="dynamic"`...)
	} else {
		dst = append(dst, ` type="static"`...)
	}
	// A static MPD keeps the start: it is what ties media time to the wall clock.
	dst = appendTime(dst, "availabilityStartTime", p.AvailabilityStart)
	dst = appendTime(dst, "publishTime", p.Published)
	if p.Dynamic {
		dst = appendDuration(dst, "minimumUpdatePeriod", p.SegmentDuration)
		dst = appendDuration(dst, "suggestedPresentationDelay", delaySegments*p.SegmentDuration)
	} else {
		dst = appendDuration(dst, "mediaPresentationDuration", p.Duration)
	}
	dst = appendDuration(dst, "minBufferTime", p.SegmentDuration)
	return appendDuration(dst, "maxSegmentDuration", p.maxSegmentDuration())
}

// maxSegmentDuration is what the MPD says of that. Players stay so far behind the
// live edge, on top of the delay that is suggested to them: of a recording that runs
// it is what has been, and an update says if that changes, not what might come.
func (p *Presentation) maxSegmentDuration() time.Duration {
	if p.Dynamic {
		return max(p.SegmentDuration, (p.LongestSegment + time.Millisecond - 1).Truncate(time.Millisecond))
	}
	return p.MaxSegmentDuration
}

// listed returns the Periods that have something to play, with the sets and
// Representations that have it.
func (p *Presentation) listed() []Period {
	var periods []Period
	for i, q := range p.Periods {
		if p.Dynamic && i == len(p.Periods)-1 && !p.settled(&q) {
			break
		}
		var sets []AdaptationSet
		for _, s := range q.Sets {
			s.Representations = slices.DeleteFunc(slices.Clone(s.Representations), func(r Representation) bool { return r.segments() == 0 })
			if len(s.Representations) > 0 {
				sets = append(sets, s)
			}
		}
		if q.Sets = sets; len(sets) > 0 {
			periods = append(periods, q)
		}
	}
	return periods
}

// Shows reports whether the MPD lists the Period of an index, so that players
// have settled on the sets that it has.
func (p *Presentation) Shows(period int) bool {
	q := &p.Periods[period]
	if p.Dynamic && period == len(p.Periods)-1 && !p.settled(q) {
		return false
	}
	return q.HasMedia()
}

// settled reports whether it is known which sets of an open Period have media.
func (p *Presentation) settled(q *Period) bool {
	var longest time.Duration
	all := true
	for i := range q.Sets {
		for j := range q.Sets[i].Representations {
			r := &q.Sets[i].Representations[j]
			if r.segments() == 0 {
				all = false
				continue
			}
			longest = max(longest, (r.Timeline.End() - r.Timeline.Start()).Duration(r.Format.Timescale))
		}
	}
	return all || longest > p.MaxSegmentDuration
}

// waiting returns the Period of an MPD that lists nothing: the schema wants one.
// A Representation needs no Format before it has segments; without one it cannot
// be described.
func (p *Presentation) waiting() Period {
	first := Period{ID: "p1"}
	if len(p.Periods) > 0 {
		first = p.Periods[0]
	}
	if !p.Dynamic {
		first.Sets = nil
		return first
	}
	first.Sets = slices.Clone(first.Sets)
	for i := range first.Sets {
		s := &first.Sets[i]
		s.Representations = slices.DeleteFunc(slices.Clone(s.Representations), func(r Representation) bool { return r.Format == nil })
		for j := range s.Representations {
			s.Representations[j].Timeline = nil
		}
	}
	first.Sets = slices.DeleteFunc(first.Sets, func(s AdaptationSet) bool { return len(s.Representations) == 0 })
	return first
}

func (r *Representation) segments() int {
	if r.Timeline == nil {
		return 0
	}
	return r.Timeline.Len()
}

func (q *Period) append(dst []byte, last bool) []byte {
	dst = append(dst, "<Period"...)
	dst = appendString(dst, "id", q.ID)
	dst = appendDuration(dst, "start", q.Start)
	duration := q.Duration
	if last {
		// Its end is that of the presentation (ISO/IEC 23009-1 5.3.2.1). Where all
		// Periods have one, dash.js takes their sum for the presentation's duration,
		// which is too short by the gaps between them, and never comes to the end.
		duration = 0
	}
	if duration > 0 {
		dst = appendDuration(dst, "duration", duration)
	}
	dst = append(dst, ">\n"...)
	for i := range q.Sets {
		dst = q.Sets[i].append(dst, q.Start)
	}
	return append(dst, "</Period>\n"...)
}

func (s *AdaptationSet) append(dst []byte, periodStart time.Duration) []byte {
	dst = append(dst, "<AdaptationSet"...)
	dst = appendInt(dst, "id", int64(s.ID))
	dst = appendString(dst, "contentType", s.Kind.String())
	dst = append(dst, ` segmentAlignment="true" startWithSAP="1"`...)
	if s.Kind == media.Video {
		width, height := 0, 0
		for i := range s.Representations {
			f := s.Representations[i].Format
			width, height = max(width, f.Width), max(height, f.Height)
		}
		dst = appendPositive(dst, "maxWidth", width)
		dst = appendPositive(dst, "maxHeight", height)
	} else {
		dst = append(dst, ` lang="und"`...)
	}
	dst = append(dst, ">\n"...)
	for i := range s.Representations {
		dst = s.Representations[i].append(dst, s.Kind, periodStart)
	}
	return append(dst, "</AdaptationSet>\n"...)
}

func (r *Representation) append(dst []byte, kind media.Kind, periodStart time.Duration) []byte {
	dst = append(dst, "<Representation"...)
	dst = appendString(dst, "id", r.ID)
	dst = appendInt(dst, "bandwidth", r.Bandwidth)
	dst = appendString(dst, "codecs", r.Format.RFC6381)
	dst = appendString(dst, "mimeType", r.mimeType(kind))
	if kind == media.Video {
		dst = appendPositive(dst, "width", r.Format.Width)
		dst = appendPositive(dst, "height", r.Format.Height)
		if sar := r.Format.SAR; sar != (media.Ratio{}) {
			dst = appendString(dst, "sar", fmt.Sprintf("%d:%d", sar.Num, sar.Den))
		}
		if r.FrameRate != "" {
			dst = appendString(dst, "frameRate", r.FrameRate)
		}
		dst = append(dst, ">\n"...)
	} else {
		dst = appendInt(dst, "audioSamplingRate", int64(r.Format.Timescale))
		dst = append(dst, ">\n"...)
		dst = appendChannels(dst, r.Format.Channels)
	}
	dst = r.appendTemplate(dst, periodStart)
	return append(dst, "</Representation>\n"...)
}

// configurations are the ChannelConfiguration values (ISO/IEC 23003-3 table 68,
// as ISO/IEC 23091-3) for numbers of channels in the order of Vorbis (RFC 7845
// 5.1.1.2): four are quadraphonic, seven 6.1 and eight 7.1 with two at the back.
var configurations = [...]int{1: 1, 2: 2, 3: 3, 4: 10, 5: 5, 6: 6, 7: 11, 8: 12}

// appendChannels appends the configuration of n audio channels, if it is known.
func appendChannels(dst []byte, n int) []byte {
	if n <= 0 || n >= len(configurations) {
		return dst
	}
	dst = append(dst, `<AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011"`...)
	dst = appendInt(dst, "value", int64(configurations[n]))
	return append(dst, "/>\n"...)
}

func (r *Representation) appendTemplate(dst []byte, periodStart time.Duration) []byte {
	dst = append(dst, "<SegmentTemplate"...)
	dst = appendInt(dst, "timescale", int64(r.Format.Timescale))
	dst = appendInt(dst, "presentationTimeOffset", int64(media.TicksOf(periodStart, r.Format.Timescale)))
	dst = appendInt(dst, "startNumber", int64(r.StartNumber))
	dst = appendString(dst, "initialization", r.Init)
	dst = appendString(dst, "media", r.Media)
	dst = append(dst, ">\n<SegmentTimeline>"...)
	if r.Timeline != nil {
		dst = r.Timeline.appendS(dst)
	}
	return append(dst, "</SegmentTimeline>\n</SegmentTemplate>\n"...)
}

// mimeType follows the container, which the files' name extension tells.
func (r *Representation) mimeType(kind media.Kind) string {
	if path.Ext(r.Media) == ".webm" {
		return kind.String() + "/webm"
	}
	return kind.String() + "/mp4"
}

// appendPositive appends an attribute, unless v is 0: not known.
func appendPositive(dst []byte, name string, v int) []byte {
	if v <= 0 {
		return dst
	}
	return appendInt(dst, name, int64(v))
}

// size estimates the length of the MPD, in bytes, so that a long one is not
// copied while it grows.
func (p *Presentation) size() int {
	const head, representation = 1024, 1024
	n := head
	for i := range p.Periods {
		for j := range p.Periods[i].Sets {
			for k := range p.Periods[i].Sets[j].Representations {
				n += representation
				if t := p.Periods[i].Sets[j].Representations[k].Timeline; t != nil {
					n += t.size()
				}
			}
		}
	}
	return n
}
