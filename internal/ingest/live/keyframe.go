package live

import (
	"sync"
	"time"

	"github.com/live777/recorder/internal/media"
)

// keyFrames spaces the key frame requests of one publication: the first of a
// track goes out at once, those that come within the interval are merged into
// one at its end. None is lost, for whoever asked last may need a key frame
// newer than the one that the first request brings.
type keyFrames struct {
	interval time.Duration
	now      func() time.Time
	send     func(media.TrackID)

	mu     sync.Mutex // held while send runs, so that close waits for it
	tracks []keyFrameTrack
	closed bool
}

type keyFrameTrack struct {
	video   bool
	asked   bool
	last    time.Time
	pending *time.Timer // nil while no request is deferred
}

func (k *keyFrames) init(tracks []media.Track, interval time.Duration, now func() time.Time, send func(media.TrackID)) {
	k.interval, k.now, k.send = interval, now, send
	k.tracks = make([]keyFrameTrack, len(tracks))
	for i := range tracks {
		k.tracks[i].video = tracks[i].Kind == media.Video
	}
}

// request asks for a key frame of a video track, now or at the interval's end.
// Other tracks have none to ask for.
func (k *keyFrames) request(id media.TrackID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || id < 0 || int(id) >= len(k.tracks) || !k.tracks[id].video {
		return
	}
	t := &k.tracks[id]
	if t.pending != nil {
		return
	}
	if wait := k.interval - k.now().Sub(t.last); t.asked && wait > 0 {
		t.pending = time.AfterFunc(wait, func() { k.deferred(id) })
		return
	}
	k.sendLocked(id)
}

func (k *keyFrames) deferred(id media.TrackID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.tracks[id].pending = nil
	k.sendLocked(id)
}

func (k *keyFrames) sendLocked(id media.TrackID) {
	k.tracks[id].asked = true
	k.tracks[id].last = k.now()
	k.send(id)
}

// close drops what is deferred; no request is sent once it has returned.
func (k *keyFrames) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for i := range k.tracks {
		if t := k.tracks[i].pending; t != nil {
			t.Stop()
		}
	}
}
