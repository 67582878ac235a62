package arrange

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// Lane is a place for a track in a recording: the audio, or a layer of the video, from
// 0. It has one Representation in a Period. It outlasts publications: a publisher that
// comes back goes on in the lanes of before.
type Lane struct {
	Kind  media.Kind
	Layer int
}

// String returns the lane's Representation@id.
func (l Lane) String() string {
	if l.Layer == 0 {
		return l.Kind.String()
	}
	return fmt.Sprintf("%s-%d", l.Kind, l.Layer+1)
}

// MarshalText implements encoding.TextMarshaler, for journals.
func (l Lane) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (l *Lane) UnmarshalText(text []byte) error {
	kind, layer, several := strings.Cut(string(text), "-")
	*l = Lane{Kind: media.Video}
	if kind == media.Audio.String() {
		l.Kind = media.Audio
	}
	if several {
		n, err := strconv.Atoi(layer)
		if err != nil {
			return fmt.Errorf("lane %q: %w", text, err)
		}
		l.Layer = n - 1
	}
	if l.Layer < 0 || l.String() != string(text) {
		return fmt.Errorf("there is no lane %q", text)
	}
	return nil
}

// lane has what the Arranger knows of a Lane. Times are session time.
type lane struct {
	Lane
	codec  *codec.Codec
	format *media.Format // in its Period
	period *period       // where it is; nil: in none
	src    *source       // what sends to it; nil: nothing does

	tail
	ledger

	video videoState
	audio audioState
}

// tail is how far a lane has got. Times are session time.
type tail struct {
	wrote   bool        // a sample in its Period
	entered media.Ticks // where it entered that
	segment media.Ticks // where the open segment begins
	at      media.Ticks // of the last sample
	dur     media.Ticks // what the last sample lasts by itself
	had     bool        // it was in a Period of the recording
	ended   media.Ticks // where it ended in that
}

// end returns where the last sample ends by itself, or where the lane has entered
// its Period if there is none.
func (t *tail) end() media.Ticks {
	if !t.wrote {
		return t.entered
	}
	return t.at + t.dur
}

// ledger is what has been told of a lane that is missing. Times are session time.
type ledger struct {
	hasReal bool        // the sender sent something of it since the recording began
	real    media.Ticks // where the last sample that the sender sent ends by itself
	noted   media.Ticks // up to where what is missing behind it has been told
	crowded bool        // since it was in a Period, something wanted one too many
}

// videoState is what a lane of video needs beside.
type videoState struct {
	keyAsked media.Ticks // elapsed time of the segment when a key frame was last asked for
	gop      gop
	stands   bool        // the last sample is a picture that was not sent at its time
	still    bool        // it is the key frame, and what was sent since is missing for the next
	due      media.Ticks // a layer is to be cut there without a key frame; else 0
	gone     bool        // a layer that has nothing more for the Period
	broken   bool        // of what came since the last, something is missing for the next picture

	shown media.Ticks // when the picture is shown that is shown last, of those that were written
}

// audioState is what a lane of audio needs beside.
type audioState struct {
	sound    []byte        // the last packet that was sent
	packets  int           // in the open segment
	full     int           // packets of a segment, by the duration of its first
	check    bool          // a correction may be due with the next packet ...
	checkAt  time.Duration // ... from this session time on
	cutAt    media.Ticks   // when a correction was last looked for
	ahead    bool          // it is ahead of the video
	skipped  bool          // the last packet was left out for that
	drifting int           // the sign of the distance when last looked at
}

func (l *lane) rate() uint32 { return l.codec.ClockRate }

func (l *lane) duration(t media.Ticks) time.Duration { return t.Duration(l.rate()) }

func (l *lane) ticks(d time.Duration) media.Ticks { return media.TicksOf(d, l.rate()) }

// lasts returns the session time up to which the lane has media in its Period, or had
// in the last.
func (l *lane) lasts() time.Duration { return l.duration(l.lasted()) }

// gop has what a decoder needs before it can decode the next picture.
type gop struct {
	key   *media.Frame
	rest  []*media.Frame // the pictures since, if whole
	bytes int            // of rest
	whole bool           // rest has all of them
}

const (
	// gopFrames and gopBytes bound what is kept of a GOP beside its key frame:
	// enough for senders of few pictures, such as shared screens.
	gopFrames = 64
	gopBytes  = 512 << 10
)

// add takes the next picture in.
func (g *gop) add(f *media.Frame) {
	switch {
	case f.Key:
		clear(g.rest)
		*g = gop{key: f, rest: g.rest[:0], whole: f.Composition == 0}
	case !g.whole:
	case len(g.rest) == gopFrames || g.bytes+len(f.Data) > gopBytes || f.Composition != 0:
		clear(g.rest)
		g.rest, g.bytes, g.whole = g.rest[:0], 0, false
	default:
		g.rest = append(g.rest, f)
		g.bytes += len(f.Data)
	}
}
