package manifest

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
)

// The EXT-X-VERSION (RFC 8216bis 8) of playlists of fragmented MP4, and of those that have
// gaps besides.
const (
	hlsVersion = 7
	gapVersion = 8
)

// gapName is what stands for the name of a segment that does not exist (EXT-X-GAP).
const gapName = "gap.m4s"

// hls is a presentation as HTTP Live Streaming (RFC 8216bis): tracks that go on over all
// Periods.
type hls struct {
	p       *Presentation
	periods []Period // that are listed
	tracks  []hlsTrack
	left    string // the codec of video that HLS has no place for; empty: there is none
}

// hlsTrack is what a media playlist names. Playlists have the same Periods, because
// players find the same time in another one by counting discontinuities (RFC 8216bis
// 6.2.4).
type hlsTrack struct {
	id    string // of the Representation that it is named after
	kind  media.Kind
	parts []part // one for each Period
}

// part is what a track has in a Period: the segments of its Representation, those of
// another layer where it has none, or else nothing, for as long as the others last.
type part struct {
	rep    *Representation
	gap    bool
	offset time.Duration // Period.offset
}

// hls returns what of the presentation HLS can play: with low, the chunks at the live edge
// too. VP8 is in WebM, which no player of HLS takes, and none takes VP8 in MP4.
func (p *Presentation) hls(low bool) *hls {
	h := &hls{p: p, periods: p.listed()}
	if low {
		h.periods = p.having(true)
	}
	for i := range h.periods {
		for j := range h.periods[i].Sets {
			set := &h.periods[i].Sets[j]
			for k := range set.Representations {
				r := &set.Representations[k]
				if !r.isMP4() {
					h.left = r.Format.Codec
				} else if !slices.ContainsFunc(h.tracks, func(t hlsTrack) bool { return t.id == r.ID }) {
					h.tracks = append(h.tracks, hlsTrack{id: r.ID, kind: set.Kind})
				}
			}
		}
	}
	slices.SortStableFunc(h.tracks, func(a, b hlsTrack) int { return int(a.kind) - int(b.kind) })
	for i := range h.tracks {
		for j := range h.periods {
			q := h.periods[j].partOf(&h.tracks[i])
			q.offset = h.periods[j].offset
			h.tracks[i].parts = append(h.tracks[i].parts, q)
		}
	}
	return h
}

// isMP4 reports whether the segments are fragmented MP4.
func (r *Representation) isMP4() bool { return path.Ext(r.Media) != ".webm" }

// partOf returns what a track has in the Period, which has segments.
func (q *Period) partOf(t *hlsTrack) part {
	var nearest, any *Representation
	for i := range q.Sets {
		for j := range q.Sets[i].Representations {
			r := &q.Sets[i].Representations[j]
			switch {
			case r.ID == t.id && r.isMP4():
				return part{rep: r}
			case any == nil:
				any = r
			}
			// Layers are numbered by the offer: of those before it the last, else the first.
			if q.Sets[i].Kind == t.kind && r.isMP4() && (nearest == nil || r.ID < t.id) {
				nearest = r
			}
		}
	}
	if nearest != nil {
		return part{rep: nearest}
	}
	return part{rep: any, gap: true}
}

// Playlists returns the names of the recording's HLS playlists: those of the tracks, and
// last the one that names them. There are none where nothing can be played yet, or never
// as HLS.
func (p *Presentation) Playlists() (names []string) {
	h := p.hls(false)
	for _, t := range h.tracks {
		names = append(names, media.PlaylistName(t.id))
	}
	if len(names) > 0 {
		names = append(names, media.IndexName)
	}
	return names
}

// AppendPlaylist appends the HLS playlist of a name to dst; ok is false where the
// recording has none of that name.
func (p *Presentation) AppendPlaylist(dst []byte, name string) (data []byte, ok bool) {
	h := p.hls(false)
	if name == media.IndexName && len(h.tracks) > 0 {
		return h.appendIndex(dst), true
	}
	for i := range h.tracks {
		if media.PlaylistName(h.tracks[i].id) == name {
			return h.appendMedia(dst, &h.tracks[i]), true
		}
	}
	return dst, false
}

// appendMedia appends the media playlist of a track.
func (h *hls) appendMedia(dst []byte, t *hlsTrack) []byte {
	dst = slices.Grow(dst, t.size())
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:"...)
	dst = strconv.AppendInt(dst, t.version(), 10)
	dst = append(dst, "\n#EXT-X-TARGETDURATION:"...)
	dst = strconv.AppendInt(dst, int64(h.p.target()/time.Second), 10)
	dst = append(dst, "\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:"...)
	if h.p.Dynamic {
		dst = append(dst, "EVENT\n"...)
	} else {
		dst = append(dst, "VOD\n"...)
	}
	for i, part := range t.parts {
		if i > 0 {
			dst = append(dst, "#EXT-X-DISCONTINUITY\n"...)
		}
		dst = h.appendPart(dst, part)
	}
	if !h.p.Dynamic {
		dst = append(dst, "#EXT-X-ENDLIST\n"...)
	}
	return dst
}

// version is the EXT-X-VERSION of the media playlist.
func (t *hlsTrack) version() int64 {
	if slices.ContainsFunc(t.parts, func(q part) bool { return q.gap || q.rep.Timeline.loses }) {
		return gapVersion
	}
	return hlsVersion
}

// size estimates the length of the media playlist.
func (t *hlsTrack) size() int {
	const head, segment = 1024, 48
	n := head
	for _, part := range t.parts {
		n += head + segment*part.rep.Timeline.Len()
	}
	return n
}

// target is the target duration, which all playlists share. It is made of how long
// segments are meant to be and have been, not of how long one may get that waits for its
// key frame: players stay three times as long behind a live edge. A playlist that gets a
// longer one says so.
func (p *Presentation) target() time.Duration {
	return max(p.SegmentDuration, p.LongestSegment, time.Second).Round(time.Second)
}

// appendPart appends what a media playlist has of one Period.
func (h *hls) appendPart(dst []byte, q part) []byte {
	r := q.rep
	dst = h.appendBegin(dst, q, r.Timeline.Start())
	if !q.gap {
		return r.appendSegments(dst)
	}
	for i := range r.Timeline.Len() {
		dst = appendLine(dst, r.Segment(i).Duration, r.Format.Timescale, gapName, true)
	}
	return dst
}

// appendBegin appends what is before the segments of a part from a media time on.
func (h *hls) appendBegin(dst []byte, q part, from media.Ticks) []byte {
	if !q.gap {
		dst = append(dst, `#EXT-X-MAP:URI="`...)
		dst = append(dst, q.rep.Init...)
		dst = append(dst, "\"\n"...)
	}
	at := h.p.AvailabilityStart.Add(from.Duration(q.rep.Format.Timescale) - q.offset)
	dst = append(dst, "#EXT-X-PROGRAM-DATE-TIME:"...)
	dst = at.UTC().Round(time.Millisecond).AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	return append(dst, '\n')
}

// appendSegments appends the lines of all segments.
func (r *Representation) appendSegments(dst []byte) []byte {
	dst, kept := r.appendKept(dst)
	for i := kept; i < r.Timeline.Len(); i++ {
		dst = r.appendSegment(dst, i)
	}
	return dst
}

// appendSegment appends the lines of the i-th segment.
func (r *Representation) appendSegment(dst []byte, i int) []byte {
	s := r.Segment(i)
	return appendLine(dst, s.Duration, r.Format.Timescale, s.Name, r.Timeline.segments[i].lost)
}

// appendKept appends the lines of the first segments, which are made once and kept, and
// returns how many segments that are: all whose chunks are not named.
func (r *Representation) appendKept(dst []byte) ([]byte, int) {
	t := r.Timeline
	most := t.Len()
	if len(t.tail.parts) > 0 {
		most = min(most, t.tail.first)
	}
	for ; t.hls.count < most; t.hls.count++ {
		t.hls.text = r.appendSegment(t.hls.text, t.hls.count)
	}
	return append(dst, t.hls.text...), t.hls.count
}

// appendLine appends the lines of a segment, with its duration in microseconds.
func appendLine(dst []byte, d media.Ticks, timescale uint32, name string, gap bool) []byte {
	if gap {
		dst = append(dst, "#EXT-X-GAP\n"...)
	}
	dst = append(dst, "#EXTINF:"...)
	dst = appendSeconds(dst, d.Duration(timescale))
	dst = append(dst, ",\n"...)
	dst = append(dst, name...)
	return append(dst, '\n')
}

// appendSeconds appends a duration in seconds, to the microsecond.
func appendSeconds(dst []byte, d time.Duration) []byte {
	micros := int64(d.Round(time.Microsecond) / time.Microsecond)
	dst = strconv.AppendInt(dst, micros/1e6, 10)
	point := len(dst)
	dst = strconv.AppendInt(dst, 1e6+micros%1e6, 10) // a 1, then six digits
	dst[point] = '.'
	return dst
}

// soundGroup is the name of the group of what is heard with every picture.
const soundGroup = "sound"

// appendIndex appends the multivariant playlist.
func (h *hls) appendIndex(dst []byte) []byte {
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:"...)
	dst = strconv.AppendInt(dst, hlsVersion, 10)
	dst = append(dst, "\n#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	if h.left != "" {
		dst = append(dst, "## "+h.left+" is recorded as WebM, which HLS does not have: for that picture play "+media.ManifestName+"\n"...)
	}
	var sound, picture []*hlsTrack
	for i := range h.tracks {
		if t := &h.tracks[i]; t.kind == media.Video {
			picture = append(picture, t)
		} else {
			sound = append(sound, t)
		}
	}
	if len(picture) == 0 {
		for _, t := range sound {
			dst = h.appendVariant(dst, t, nil)
		}
		return dst
	}
	for i, t := range sound {
		dst = appendRendition(dst, t, i == 0)
	}
	for _, t := range picture {
		dst = h.appendVariant(dst, t, sound)
	}
	return dst
}

// appendRendition appends a track of sound that goes with the pictures.
func appendRendition(dst []byte, t *hlsTrack, first bool) []byte {
	preferred := "NO"
	if first {
		preferred = "YES"
	}
	dst = append(dst, `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="`+soundGroup+`",NAME="`...)
	dst = append(dst, t.id+`",DEFAULT=`+preferred+`,AUTOSELECT=`+preferred...)
	channels := 0
	for _, q := range t.parts {
		channels = max(channels, q.rep.Format.Channels)
	}
	if channels > 0 {
		dst = append(dst, `,CHANNELS="`+strconv.Itoa(channels)+`"`...)
	}
	return append(dst, `,URI="`+media.PlaylistName(t.id)+"\"\n"...)
}

// appendVariant appends a stream that players can choose: a track, with the sound.
func (h *hls) appendVariant(dst []byte, t *hlsTrack, sound []*hlsTrack) []byte {
	total := h.rate(t)
	codecs := t.codecs(nil)
	var most rate
	for _, s := range sound {
		r := h.rate(s)
		most = rate{max(most.peak, r.peak), max(most.average, r.average)}
		codecs = s.codecs(codecs)
	}
	dst = append(dst, "#EXT-X-STREAM-INF:BANDWIDTH="...)
	dst = strconv.AppendInt(dst, total.peak+most.peak, 10)
	if average := total.average + most.average; average > 0 {
		dst = append(dst, ",AVERAGE-BANDWIDTH="...)
		dst = strconv.AppendInt(dst, average, 10)
	}
	dst = append(dst, `,CODECS="`+strings.Join(codecs, ",")+`"`...)
	if width, height := t.resolution(); width > 0 {
		dst = append(dst, ",RESOLUTION="+strconv.Itoa(width)+"x"+strconv.Itoa(height)...)
	}
	if f := h.frameRate(t); f > 0 && t.kind == media.Video {
		dst = append(dst, ",FRAME-RATE="...)
		dst = strconv.AppendFloat(dst, f, 'f', 3, 64)
	}
	if len(sound) > 0 {
		dst = append(dst, `,AUDIO="`+soundGroup+`"`...)
	}
	dst = append(dst, ",CLOSED-CAPTIONS=NONE"...) // so that nobody looks for them
	return append(dst, "\n"+media.PlaylistName(t.id)+"\n"...)
}

// codecs appends the codecs of a track that are not in list, in the order of their use.
func (t *hlsTrack) codecs(list []string) []string {
	for _, q := range t.parts {
		if !q.gap && !slices.Contains(list, q.rep.Format.RFC6381) {
			list = append(list, q.rep.Format.RFC6381)
		}
	}
	return list
}

// resolution returns the largest size at which a picture of the track is shown.
func (t *hlsTrack) resolution() (width, height int) {
	for _, q := range t.parts {
		f := q.rep.Format
		w := f.Width
		if f.SAR.Num > 0 && f.SAR.Den > 0 {
			w = (f.Width*f.SAR.Num + f.SAR.Den/2) / f.SAR.Den
		}
		if !q.gap && w*f.Height > width*height {
			width, height = w, f.Height
		}
	}
	return width, height
}

// rate is the bit rate of a track, in bit/s.
type rate struct{ peak, average int64 }

// rate measures the segments of a track: the peak is that of any segments one after the
// other that last from half to one and a half of the target duration (RFC 8216bis
// 4.4.6.2). Where the segments' sizes are not known, the peak is the most that is known of,
// and the average what was measured of whole Periods, if that is known of all.
func (h *hls) rate(t *hlsTrack) rate {
	var peak, bits, seconds float64
	for _, q := range t.parts {
		if q.gap {
			continue
		}
		length := (q.rep.Timeline.end - q.rep.Timeline.start).Duration(q.rep.Format.Timescale).Seconds()
		seconds += length
		switch {
		case q.rep.Timeline.bytes > 0:
			bits += float64(8 * q.rep.Timeline.bytes)
			peak = max(peak, h.peak(q.rep))
		case q.rep.measured.average > 0:
			bits += float64(q.rep.measured.average) * length
			peak = max(peak, float64(q.rep.Bandwidth))
		default:
			return rate{peak: t.bandwidth()}
		}
	}
	if seconds == 0 {
		return rate{peak: t.bandwidth()}
	}
	average := bits / seconds
	return rate{peak: int64(max(peak, average) + 0.5), average: int64(average + 0.5)}
}

// peak returns the peak bit rate of a Representation, whose segments' sizes are known.
func (h *hls) peak(r *Representation) (peak float64) {
	least, most := h.p.target()/2, h.p.target()*3/2
	for i := range r.Timeline.Len() {
		sum, length := 0.0, time.Duration(0)
		for j := i; j < r.Timeline.Len(); j++ {
			s := r.Timeline.segment(j)
			sum += float64(8 * s.Bytes)
			if length += s.Duration.Duration(r.Format.Timescale); length > most {
				break
			}
			if length >= least {
				peak = max(peak, sum/length.Seconds())
			}
		}
	}
	return peak
}

// bandwidth returns the largest bandwidth of the track's Representations.
func (t *hlsTrack) bandwidth() (most int64) {
	for _, q := range t.parts {
		if !q.gap {
			most = max(most, q.rep.Bandwidth)
		}
	}
	return most
}

// frameRate returns the most pictures a second that a segment of the track has, of those
// that are long enough to have one; 0 where it is not known.
func (h *hls) frameRate(t *hlsTrack) (most float64) {
	var frames int64
	var seconds float64
	for _, q := range t.parts {
		if q.gap {
			continue
		}
		most = max(most, q.rep.measured.rate)
		for i := range q.rep.Timeline.Len() {
			s := q.rep.Timeline.segment(i)
			d := s.Duration.Duration(q.rep.Format.Timescale)
			frames, seconds = frames+s.Frames, seconds+d.Seconds()
			if d >= h.p.SegmentDuration/2 {
				most = max(most, float64(s.Frames)/d.Seconds())
			}
		}
	}
	if most == 0 && seconds > 0 {
		most = float64(frames) / seconds
	}
	return most
}
