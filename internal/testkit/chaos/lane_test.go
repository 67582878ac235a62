package chaos

import (
	"fmt"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// lane is one of the parallel tracks: the audio, or a layer of the video.
type lane struct {
	kind  media.Kind
	layer int
}

// id is that of the lane's Representation.
func (l lane) id() string {
	if l.layer > 0 {
		return fmt.Sprintf("%s-%d", l.kind, l.layer+1)
	}
	return l.kind.String()
}

// laneOf returns the lane that a track of the ledger is about.
func laneOf(tr *media.RecordingTrack) lane {
	if tr.Kind == media.Audio.String() {
		return lane{media.Audio, tr.Layer}
	}
	return lane{media.Video, tr.Layer}
}

// lanes returns those to which something was sent.
func (tr *truth) lanes() (lanes []lane) {
	for _, t := range tr.tracks() {
		if !slices.Contains(lanes, t.lane) {
			lanes = append(lanes, t.lane)
		}
	}
	return lanes
}

// tracks returns the tracks of all senders.
func (tr *truth) tracks() (tracks []*trackTruth) {
	for _, s := range tr.senders {
		tracks = append(tracks, s.tracks...)
	}
	return tracks
}

// sent returns all that was sent to a lane, in the order of time.
func (tr *truth) sent(l lane) (units []*unit) {
	for _, t := range tr.tracks() {
		if t.lane == l {
			units = append(units, t.units...)
		}
	}
	return units
}

// sentWithin returns what was captured for a lane between two instants.
func (tr *truth) sentWithin(l lane, from, to time.Duration) []*unit {
	return slices.DeleteFunc(tr.sent(l), func(u *unit) bool { return u.captured <= from || u.captured >= to })
}
