package recorder

import (
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/depacket"
)

// reorderDelay is how long a missing packet is waited for: long enough for several
// retransmissions; a recorder is not in a hurry.
const reorderDelay = 1500 * time.Millisecond

// track is one recorded track of the current publication.
type track struct {
	media.Track
	lane    arrange.Lane
	codec   *codec.Codec
	dep     *depacket.Depacketizer
	counted depacket.Stats // what the ledger has of dep's
	apart   int64          // packets that came while nothing was recorded
	resting bool           // nothing has come since a pause that can be recorded
	early   int64          // pictures before its first key frame, that the arranger knows of
	losing  bool           // the loss has been logged
	untold  bool           // reasonOrder has been logged
	last    sent           // the packet of the last second that was held up least
}

// newTrack returns the recorder's side of a track; the error says why it
// cannot be recorded.
func newTrack(mt media.Track, layer int) (*track, error) {
	c, ok := codec.Lookup(mt.Codec)
	if !ok {
		return nil, fmt.Errorf("codec %q is not known", mt.Codec)
	}
	if !c.Recordable() {
		return nil, errors.New(c.Why)
	}
	a, err := c.NewAssembler(mt)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", mt.Codec, err)
	}
	return &track{
		Track: mt, lane: arrange.Lane{Kind: mt.Kind, Layer: layer}, codec: c,
		dep: depacket.New(mt, a, depacket.Options{ReorderDelay: reorderDelay}),
	}, nil
}

// arranged returns the track as the arranger knows it.
func (tr *track) arranged() arrange.Track {
	return arrange.Track{Track: tr.Track, Lane: tr.lane, Codec: tr.codec}
}
