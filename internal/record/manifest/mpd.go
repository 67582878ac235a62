package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/media"
)

// delaySegments is how far behind the live edge players are asked to stay. A
// segment can be read when it is closed, and one can be twice as long as usual
// before its key frame comes.
const delaySegments = 3

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
func (p *Presentation) AppendMPD(dst []byte) []byte { return p.appendMPD(dst, nil) }

// appendMPD appends the MPD, of low latency if a says so.
func (p *Presentation) appendMPD(dst []byte, a *announced) []byte {
	dst = slices.Grow(dst, p.size())
	dst = append(dst, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"`...)
	dst = p.appendAttributes(dst, a != nil)
	dst = append(dst, ">\n"...)
	if a != nil {
		dst = p.appendService(dst)
	}

	periods := p.listed()
	if len(periods) == 0 {
		periods = []Period{p.waiting()}
	}
	for i := range periods {
		dst = periods[i].append(dst, p.lasts(periods, i), a.in(p, &periods[i]))
	}

	if p.Dynamic && p.UTCTiming != "" {
		dst = append(dst, `<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2014"`...)
		dst = appendString(dst, "value", p.UTCTiming)
		dst = append(dst, "/>\n"...)
	}
	return append(dst, "</MPD>\n"...)
}

func (p *Presentation) appendAttributes(dst []byte, low bool) []byte {
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
	switch {
	case low:
		dst = p.appendLow(dst)
	case p.Dynamic:
		dst = appendDuration(dst, "minimumUpdatePeriod", p.SegmentDuration)
		dst = appendDuration(dst, "suggestedPresentationDelay", delaySegments*p.SegmentDuration)
	default:
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

// lasts returns the duration that is written of the i-th of the Periods that are listed; 0:
// none is. Of a static MPD all have one, for readers that look at each Period by itself.
// But dash.js takes the sum of them for the presentation's duration, unless one has none:
// where there are holes between Periods the sum is too short, and it would never come to
// the end. The last one has none then, and ends with the presentation (ISO/IEC 23009-1
// 5.3.2.1).
func (p *Presentation) lasts(periods []Period, i int) time.Duration {
	if i < len(periods)-1 {
		return periods[i].Duration
	}
	if p.Dynamic || p.hasHoles(periods) {
		return 0
	}
	return max(p.Duration-periods[i].Start, 0)
}

// hasHoles reports whether there is time of the presentation before or between Periods.
func (p *Presentation) hasHoles(periods []Period) bool {
	var end time.Duration
	for _, q := range periods {
		if q.Start > end && len(periods) > 1 {
			return true
		}
		end = q.Start + q.Duration
	}
	return false
}

func (q *Period) append(dst []byte, duration time.Duration, a *announced) []byte {
	dst = append(dst, "<Period"...)
	dst = appendString(dst, "id", q.ID)
	dst = appendDuration(dst, "start", q.Start)
	if duration > 0 {
		dst = appendDuration(dst, "duration", duration)
	}
	dst = append(dst, ">\n"...)
	for i := range q.Sets {
		dst = q.Sets[i].append(dst, q.Start+q.offset, a)
	}
	return append(dst, "</Period>\n"...)
}

func (s *AdaptationSet) append(dst []byte, mediaStart time.Duration, a *announced) []byte {
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
		dst = s.Representations[i].append(dst, s.Kind, mediaStart, a)
	}
	return append(dst, "</AdaptationSet>\n"...)
}

func (r *Representation) append(dst []byte, kind media.Kind, mediaStart time.Duration, a *announced) []byte {
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
	dst = r.appendMeasured(dst, kind)
	dst = a.appendOpen(dst, r)
	dst = r.appendTemplate(dst, mediaStart, a)
	return append(dst, "</Representation>\n"...)
}

// measuredScheme is the descriptor of what was measured of a Representation: its average
// bit rate, and of video the pictures a second. HLS playlists of spans have them from there.
const measuredScheme = "urn:live777:measured:2026"

func (r *Representation) appendMeasured(dst []byte, kind media.Kind) []byte {
	if r.measured.average <= 0 {
		return dst
	}
	dst = append(dst, `<SupplementalProperty schemeIdUri="`+measuredScheme+`" value="`...)
	dst = strconv.AppendInt(dst, r.measured.average, 10)
	if kind == media.Video && r.measured.rate > 0 {
		dst = strconv.AppendFloat(append(dst, ' '), r.measured.rate, 'f', 3, 64)
	}
	return append(dst, "\"/>\n"...)
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

func (r *Representation) appendTemplate(dst []byte, mediaStart time.Duration, a *announced) []byte {
	dst = append(dst, "<SegmentTemplate"...)
	dst = appendInt(dst, "timescale", int64(r.Format.Timescale))
	dst = appendInt(dst, "presentationTimeOffset", int64(media.TicksOf(mediaStart, r.Format.Timescale)))
	if a != nil {
		dst = a.appendOffset(dst, r)
	}
	dst = appendInt(dst, "startNumber", int64(r.StartNumber))
	dst = appendString(dst, "initialization", r.Init)
	dst = appendString(dst, "media", r.Media)
	dst = append(dst, ">\n<SegmentTimeline>"...)
	if r.Timeline != nil {
		all := a.runs(r)
		dst = all.append(dst, r.Timeline.start)
	}
	return append(dst, "</SegmentTimeline>\n</SegmentTemplate>\n"...)
}

// mimeType follows the container, which the files' name extension tells.
func (r *Representation) mimeType(kind media.Kind) string {
	if !r.isMP4() {
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
					n += t.dash.size()
				}
			}
		}
	}
	return n
}
