package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// hlsError is how far durations and times of a playlist may be from those of the
// manifest: they are rounded to microseconds and milliseconds.
const hlsError = 2 * time.Millisecond

// playlist is a media playlist of HLS (RFC 8216bis).
type playlist struct {
	target   int // seconds
	kind     string
	ended    bool
	segments []playlistSegment
}

// playlistSegment is a segment of a playlist, with what the tags before it say.
type playlistSegment struct {
	name          string
	duration      time.Duration
	init          string
	gap           bool
	discontinuity bool
	wall          time.Time // zero: not said
}

// checkHLS compares the HLS playlists of a recording that has ended with its manifest.
// One of an older version has none.
func (r *reader) checkHLS() error {
	index, err := r.read(media.IndexName)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	names := playlistNames(string(index))
	if !bytes.HasPrefix(index, []byte("#EXTM3U\n")) || len(names) == 0 {
		r.problem(media.IndexName, "is no HLS playlist, or names none")
		return nil
	}
	for _, t := range r.rec.Tracks {
		if name := media.PlaylistName(t.ID); !t.isWebM() && !slices.Contains(names, name) {
			r.problem(media.IndexName, "does not name %s, though there is a track %s", name, t.ID)
		}
	}
	places := r.places()
	for _, name := range names {
		if err := r.checkPlaylist(name, places); err != nil {
			return err
		}
	}
	return nil
}

// isWebM reports whether all segments of a track are WebM, for which HLS has no place.
func (t *Track) isWebM() bool {
	return !slices.ContainsFunc(t.Segments, func(s Segment) bool { return !isWebMName(s.Name) })
}

func isWebMName(name string) bool { return strings.HasSuffix(name, ".webm") }

var playlistURI = regexp.MustCompile(`,URI="([^"]*)"`)

// playlistNames returns the media playlists that a multivariant one names.
func playlistNames(text string) (names []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		m := playlistURI.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "#EXT-X-MEDIA:") && m != nil:
			names = append(names, m[1])
		case line != "" && line[0] != '#':
			names = append(names, line)
		}
	}
	return names
}

func (r *reader) checkPlaylist(name string, places map[string]place) error {
	data, err := r.read(name)
	if errors.Is(err, storage.ErrNotFound) {
		r.problem(name, "%s names it, but it does not exist", media.IndexName)
		return nil
	}
	if err != nil {
		return err
	}
	p, err := parsePlaylist(data)
	if err != nil {
		r.problem(name, "cannot be read: %v", err)
		return nil
	}
	if !p.ended || p.kind != "VOD" {
		r.problem(name, "is that of a recording that runs")
	}
	r.comparePlaylist(name, p, places)
	return nil
}

// parsePlaylist reads a media playlist.
func parsePlaylist(data []byte) (p playlist, err error) {
	var next playlistSegment
	lines := bufio.NewScanner(bytes.NewReader(data))
	if !lines.Scan() || lines.Text() != "#EXTM3U" {
		return p, errors.New("it does not begin with #EXTM3U")
	}
	for lines.Scan() && err == nil {
		line := lines.Text()
		tag, value, _ := strings.Cut(line, ":")
		switch {
		case p.ended:
			err = errors.New("something follows EXT-X-ENDLIST")
		case tag == "#EXT-X-TARGETDURATION":
			p.target, err = strconv.Atoi(value)
		case tag == "#EXT-X-PLAYLIST-TYPE":
			p.kind = value
		case tag == "#EXT-X-MAP":
			next.init = strings.TrimSuffix(strings.TrimPrefix(value, `URI="`), `"`)
		case tag == "#EXT-X-PROGRAM-DATE-TIME":
			next.wall, err = time.Parse(time.RFC3339Nano, value)
		case tag == "#EXT-X-GAP":
			next.gap = true
		case tag == "#EXT-X-DISCONTINUITY":
			next.discontinuity = true
		case tag == "#EXT-X-ENDLIST":
			p.ended = true
		case tag == "#EXTINF":
			var seconds float64
			seconds, err = strconv.ParseFloat(strings.TrimSuffix(value, ","), 64)
			next.duration = time.Duration(seconds * float64(time.Second))
		case line != "" && line[0] != '#':
			next.name = line
			p.segments = append(p.segments, next)
			next = playlistSegment{init: next.init}
		}
	}
	if err = errors.Join(err, lines.Err()); err != nil {
		return p, fmt.Errorf("read playlist: %w", err)
	}
	return p, nil
}

// comparePlaylist compares a media playlist with the manifest: what it names, where
// Periods begin, and when.
func (r *reader) comparePlaylist(name string, p playlist, places map[string]place) {
	said := map[string]bool{}
	period := -1
	for i, s := range p.segments {
		if i == 0 || s.discontinuity {
			period++
		}
		if s.duration.Round(time.Second) > time.Duration(p.target)*time.Second {
			r.problem(name, "%s lasts %v, longer than the target duration of %d s", s.name, s.duration, p.target)
		}
		if !s.gap {
			said[s.name] = true
			r.comparePlaylistSegment(name, s, places[s.name], period, i == 0 || s.discontinuity)
		}
	}
	if period+1 != len(r.rec.Periods) {
		r.problem(name, "has %d parts, the manifest %d Periods", period+1, len(r.rec.Periods))
	}
	t, ok := r.rec.Layer(strings.TrimSuffix(name, ".m3u8"))
	if !ok {
		r.problem(name, "is of no track of the manifest")
		return
	}
	for _, s := range t.Segments {
		if !said[s.Name] && !isWebMName(s.Name) && r.exists(s.Name) {
			r.problem(name, "does not name %s", s.Name)
		}
	}
}

// exists reports whether a segment that the manifest names was there.
func (r *reader) exists(name string) bool {
	return !slices.ContainsFunc(r.rec.Problems, func(p Problem) bool { return p.Where == name })
}

// comparePlaylistSegment compares a segment of a playlist with the one that the manifest
// has; first: it is the first of its Period.
func (r *reader) comparePlaylistSegment(name string, s playlistSegment, in place, period int, first bool) {
	t := in.track
	if t == nil {
		r.problem(name, "names %s, which the manifest does not", s.name)
		return
	}
	have := t.Segments[in.at]
	if d := have.Duration.Duration(t.Timescale) - s.duration; d.Abs() > hlsError {
		r.problem(name, "%s lasts %v, in the manifest %v", s.name, s.duration, have.Duration.Duration(t.Timescale))
	}
	if have.Period != period {
		r.problem(name, "%s is in part %d, in the manifest in Period %d", s.name, period, have.Period)
	}
	i := slices.IndexFunc(t.Inits, func(in Init) bool { return in.Name == s.init })
	if i < 0 || !slices.Contains(t.Inits[i].Periods, have.Period) {
		r.problem(name, "%s has the init segment %q, in the manifest it has another", s.name, s.init)
	}
	want := r.rec.Start.Add(have.Time.Duration(t.Timescale))
	if first && s.wall.Sub(want).Abs() > hlsError {
		r.problem(name, "%s is of %s, by the manifest of %s", s.name, s.wall.Format(timeFormat), want.Format(timeFormat))
	}
}

// place is where a segment is in the manifest.
type place struct {
	track *Track
	at    int
}

// places returns where the segments are that the manifest names.
func (r *reader) places() map[string]place {
	places := map[string]place{}
	for _, t := range r.rec.Tracks {
		for i, s := range t.Segments {
			places[s.Name] = place{t, i}
		}
	}
	return places
}
