package arrange

import (
	"cmp"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

const (
	keyBackoffMin = time.Second     // how soon a key frame is asked for again
	keyBackoffMax = 8 * time.Second // when the sender does not answer

	// jumpLimit is how far timestamps may run ahead of the clock before they
	// belong to another clock, and backLimit how far they may go back.
	jumpLimit = 5 * time.Second
	backLimit = time.Second
	// goesOn is how far ahead of the last frame a timestamp may be that goes on where
	// it was: a clock that has stood still does so, whatever the time.
	goesOn = 200 * time.Millisecond

	// restartNoted is from when on the arrivals tell how long a sender took to
	// begin another RTP stream; below they do not tell it from jitter.
	restartNoted = 100 * time.Millisecond
)

// Track is a track of a publication that is to be recorded.
type Track struct {
	media.Track
	Lane  Lane
	Codec *codec.Codec
}

// source is one recorded track of the current publication, by what is to be known of it.
type source struct {
	Track
	lane   *lane
	joined *period // the first that its lane has entered since the publication began
	origin
	arrivals
	loss
	queue
	standing
	prelude
	request
}

// origin relates a track's timestamps to session time.
type origin struct {
	placed bool // ts0 is at t0 of session time
	ts0    int64
	t0     media.Ticks
}

// arrivals says what has come of a track, and when.
type arrivals struct {
	seen        bool
	last        int64     // timestamp of the last frame
	first       time.Time // arrival of the first frame
	lastArrival time.Time
	prevArrival time.Time // of the frame before the last
	lastPacket  time.Time
	resync      bool // the next timestamp has no relation to the last
}

// loss has the causes of what is missing.
type loss struct {
	missing string // between the last frame that came and the next; empty: nothing is
	lost    string // between the last frame that was written and the next
}

// queue has the frames that wait for their place in time: audio, and the layers of
// simulcast.
type queue struct {
	held []held
	pair *media.Frame // a layer's key frame, of held, that is of the picture with which something begins
}

// standing says whether a track's clock stands still at times.
type standing struct {
	stall   *stall // sound that may have stood still, which is not decided yet
	stalled bool   // it was told that it did
}

// prelude is what comes of a track before the first key frame of its publication.
type prelude struct {
	keyCame   bool          // that key frame
	before    []early       // pictures from before it, while there is no Period
	earlyTold time.Time     // arrival of the last of them that was told of; zero: none was
	earlyWait time.Duration // for the key frame, as told
}

// request is a request for a key frame.
type request struct {
	keyWanted  bool // none has come since
	keyAsked   time.Time
	keyBackoff time.Duration // until it is asked for again
}

// ask notes that a key frame is asked for, for the first time or again.
func (r *request) ask(now time.Time) {
	if r.keyWanted {
		r.keyBackoff = min(2*r.keyBackoff, keyBackoffMax)
	} else {
		r.keyWanted, r.keyBackoff = true, keyBackoffMin
	}
	r.keyAsked = now
}

// isOverdue reports whether a key frame is to be asked for again.
func (r *request) isOverdue(now time.Time) bool {
	return r.keyWanted && now.Sub(r.keyAsked) >= r.keyBackoff
}

// early is pictures that came before the first key frame.
type early struct {
	at       time.Time
	pictures int
}

const (
	// earlyKept is how long pictures are remembered that came before the first key
	// frame. A recording that begins with sound began when that came.
	earlyKept = picturePatience + time.Second
	// earlyNoted is how long a key frame has to be waited for before that is logged.
	earlyNoted = 2 * time.Second
)

// held is a frame that waits. What is missing right before it is kept with it, because
// a frame from before the loss may be written first.
type held struct {
	*media.Frame
	missing string // cause
	told    bool   // Waiting has returned it
}

// withLoss returns f with what is missing before it.
func (s *source) withLoss(f *media.Frame) held {
	h := held{Frame: f, missing: s.missing}
	s.missing = ""
	return h
}

// why returns the cause of what is missing after the last frame that was written, if
// one is known.
func (s *source) why() string {
	if s.lost == "" && len(s.held) > 0 && s.held[0].missing != "" {
		return s.held[0].missing
	}
	return cmp.Or(s.lost, s.missing)
}

// time returns the session time of a timestamp.
func (o *origin) time(ts int64) media.Ticks { return o.t0 + media.Ticks(ts-o.ts0) }

// decided returns the timestamp of about the last picture whose place is decided.
func (s *source) decided() int64 {
	if len(s.held) > 0 {
		return s.held[0].Timestamp - int64(max(s.lane.dur, 1))
	}
	return s.last
}

// place says that the timestamp ts is at t.
func (o *origin) place(ts int64, t media.Ticks) { o.placed, o.ts0, o.t0 = true, ts, t }

// observe notes a frame. If its timestamp belongs to another clock than those before,
// jumped is true, and expected is the timestamp that the old clock would have had, by
// the arrivals.
func (a *Arranger) observe(s *source, f *media.Frame) (expected int64, jumped bool) {
	if s.seen {
		jumped = s.resync || a.hasJumped(s, f)
		waited := f.Arrival.Sub(s.lastArrival)
		step, least := max(s.lane.dur, f.Duration, 1), pauseNoted
		if s.resync || s.missing != "" {
			least = restartNoted
		}
		if waited > least {
			step = s.lane.ticks(waited)
		}
		expected = s.last + int64(step)
		if !jumped && s.overtaken(f) {
			expected, jumped = s.behindLast(expected, waited > least), true
		}
	} else {
		s.first = f.Arrival
	}
	s.prevArrival, s.lastArrival = s.lastArrival, f.Arrival
	s.seen, s.last, s.resync = true, f.Timestamp, false
	return expected, jumped
}

// behindLast returns the timestamp right after the last picture; if the sender has paused,
// the one that is expected by the arrivals, if that is later.
func (s *source) behindLast(expected int64, paused bool) int64 {
	behind := s.ts0 + int64(s.lane.end()-s.t0)
	if paused {
		return max(behind, expected)
	}
	return behind
}

// hasJumped reports whether a frame's timestamp belongs to another clock: it goes back,
// ahead of the wall clock, or less far ahead after a pause than any network holds up. If
// it is only far ahead of the last frame, that was a loss or a pause: a process that
// stood still reads late what came before, and then what comes now.
func (a *Arranger) hasJumped(s *source, f *media.Frame) bool {
	sent := s.lane.duration(media.Ticks(f.Timestamp - s.last))
	waited := f.Arrival.Sub(s.lastArrival)
	stands := sent >= 0 && sent <= goesOn && s.missing == "" // else what is missing took a part of that time
	if sent < -backLimit || waited-sent > jumpLimit && !stands {
		return true
	}
	if sent <= waited+jumpLimit {
		return false
	}
	return !s.placed || s.lane.duration(s.time(f.Timestamp)) > a.clock()+jumpLimit
}

// overtaken reports whether a picture is not later than what the sender has already
// sent. Frames come with their decode times, which only rise.
func (s *source) overtaken(f *media.Frame) bool {
	l := s.lane
	if s.Kind != media.Video || !s.placed || l.period == nil || !l.wrote || l.video.still {
		return false
	}
	t := s.time(f.Timestamp)
	return t < l.at || t == l.at && f.Key
}

// jump goes on with a track whose timestamps have jumped: from is to now. The other
// tracks are not touched, and decoding goes on if nothing was lost.
func (a *Arranger) jump(s *source, from, to int64) {
	a.o.Log.Warn("the sender's timestamps jumped", "kind", s.Kind.String(), "from", from, "to", to)
	s.goOnAt(from, to)
	a.pub.time.Jump(s.ID, from, to)
}

// goOnAt lets a track go on with timestamp to where it would have been with from. Held
// frames get timestamps of the new clock.
func (s *source) goOnAt(from, to int64) {
	for i := range s.held {
		f := *s.held[i].Frame
		f.Timestamp += to - from
		if s.held[i].Frame == s.pair {
			s.pair = &f
		}
		s.held[i].Frame = &f
	}
	if s.stall != nil {
		s.stall.ts += to - from
	}
	s.ts0 += to - from
}

// early notes pictures that came before the first key frame of their publication, while
// there is a recording or before what it will begin with.
func (a *Arranger) early(s *source, arrival time.Time, pictures int) {
	if a.afresh {
		return // what comes before it belongs to the pause
	}
	s.before = append(s.before, early{arrival, pictures})
	if a.cur != nil {
		a.tellEarly(s, time.Time{})
		return
	}
	gone := slices.IndexFunc(s.before, func(e early) bool { return arrival.Sub(e.at) < earlyKept })
	s.before = slices.Delete(s.before, 0, max(gone, 0))
}

// tellEarly tells Output of the pictures of a source that came before its first key
// frame and after the beginning of a recording.
func (a *Arranger) tellEarly(s *source, from time.Time) {
	for _, e := range s.before {
		if e.at.After(from) {
			a.out.BeforeKey(s.Lane, e.pictures, a.waited(s, e.at))
			s.earlyTold = e.at
		}
	}
	s.before = nil
}

// waited returns how long the first key frame has been waited for since that was last
// told, at an arrival.
func (a *Arranger) waited(s *source, arrival time.Time) time.Duration {
	if s.earlyTold.IsZero() {
		return 0
	}
	d := max(arrival.Sub(s.earlyTold), 0)
	if s.earlyWait < earlyNoted && s.earlyWait+d >= earlyNoted {
		a.o.Log.Warn("the sender ignores requests for its first key frame: pictures before it cannot be recorded", "layer", s.Lane.Layer)
	}
	s.earlyWait += d
	return d
}

// noLongerEarly tells Output that the first key frame has come.
func (a *Arranger) noLongerEarly(s *source, f *media.Frame) {
	if !f.Key || s.keyCame {
		return
	}
	s.keyCame = true
	if !s.earlyTold.IsZero() {
		a.out.BeforeKey(s.Lane, 0, a.waited(s, f.Arrival))
	}
}

// wantKey asks for a key frame; Advance asks again while none comes.
func (a *Arranger) wantKey(s *source) {
	s.ask(a.now)
	a.out.WantKeyFrame(s.ID)
}
