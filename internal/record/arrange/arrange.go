// Package arrange decides where each access unit of a stream goes in its recording: on
// the timeline, in which Period, at which cut. It is given frames, reports and the
// time, and answers with calls of Output. It has no clock, goroutine, storage or error
// of its own, so it can be tested with tables of inputs.
//
// Session time is the time since the first frame that was recorded. It goes on over
// reconnects, Periods and recordings.
package arrange

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/timeline"
)

// The causes of gaps (media.Gap).
const (
	CauseLoss      = "loss"      // packets were lost on the way
	CausePause     = "pause"     // the sender sent nothing
	CauseReconnect = "reconnect" // there was no publisher
	CausePaused    = "paused"    // somebody had paused the recording
	CauseLayer     = "layer"     // a simulcast layer was not sent, or waited for a Period
	CauseOverrun   = "overrun"   // packets came and were dropped, for storage was too slow
	CauseAbsent    = "absent"    // announced, and nothing had come yet that can be decoded
	CauseLimit     = "limit"     // it came, and would have begun one Period too many
)

const (
	// pauseNoted is the shortest pause of a sender that becomes a gap.
	pauseNoted = time.Second
	// headStart is how much earlier than the first picture sound may begin and be left
	// out. Sound that begins earlier is recorded with a neutral picture.
	headStart = 2 * time.Second
	// headStartLater is the same for a publication that goes on with a recording.
	headStartLater = 500 * time.Millisecond
	// picturePatience is how long sound waits for the first picture of a
	// publication that announced one.
	picturePatience = 5 * time.Second
	// soundPatience is how long the first sound waits for the sender's reports, which
	// tell where it belongs.
	soundPatience = 5 * time.Second
	// stoodStill is the shortest time without an arrival or a look at the clock that
	// counts as a standstill of the process.
	stoodStill = time.Second
	// maxStep bounds how much time one Advance believes to have passed. A process that
	// stood still finds in its queue what came meanwhile.
	maxStep = 500 * time.Millisecond
)

// Sample is a frame at its place. A filler stands for something that did not come:
// silence, or a picture that lasts.
type Sample struct {
	Time        media.Ticks // session time of decoding
	Duration    media.Ticks // what it lasts by itself; between samples the difference of their times counts
	Composition media.Ticks // presentation time minus Time
	Key         bool
	Cut         bool // it begins a segment, where it is not the first of its Period
	Filler      bool // not sent at its time
	Data        []byte
}

// Gap is a span of session time in which a lane has nothing that was sent.
type Gap struct {
	Start, End time.Duration
	Cause      string
	// Filled: silence or a picture stands there. Else the recording has a hole.
	Filled bool
}

// Output carries out what an Arranger decides, in the order of the calls. It must not
// call the Arranger.
type Output interface {
	// BeginRecording begins another recording at a session time. The next BeginPeriod
	// is its first. A lane stays in the old recording until it enters that Period.
	BeginRecording(at time.Duration)
	// BeginPeriod begins a Period that is to have the given lanes. Lanes of the Period
	// before, and of no other, may still get samples there.
	BeginPeriod(at time.Duration, lanes []Lane)
	// Enter puts a lane, which is in no Period, into the newest one, at or shortly
	// after its beginning.
	Enter(l Lane, f *media.Format, at media.Ticks)
	// Sample writes to a lane that has entered. Times rise.
	Sample(l Lane, s Sample)
	// End takes a lane out of its Period. Its last sample lasts until at, or as
	// long as it does by itself if that is later.
	End(l Lane, at media.Ticks)
	// Gap notes a gap. It replaces the lane's last one if that has the same start.
	Gap(l Lane, g Gap)
	// LeftOut notes a frame that could be decoded and was left out.
	LeftOut(l Lane)
	// BeforeKey notes pictures that came, while there was a recording, before their
	// publication's first key frame, so that nobody can decode them; or, with 0, that
	// key frame. waited is how long the key frame was waited for since the last call.
	BeforeKey(l Lane, pictures int, waited time.Duration)
	// Corrected notes a packet of sound that was left out to keep the sound with the
	// picture.
	Corrected(l Lane)
	// WantKeyFrame asks the sender for a key frame.
	WantKeyFrame(id media.TrackID)
}

// Options configure an Arranger.
type Options struct {
	SegmentDuration time.Duration // what a segment of video should last
	Log             *slog.Logger
}

// Arranger arranges the frames of one stream. Not safe for concurrent use.
type Arranger struct {
	o   Options
	out Output

	moments
	progress
	crowding
	rotation
	recast
	pausing

	kinds []media.Kind // of the recording; nil before its first Period
	lanes []*lane      // in the order of their first use
	pub   *publication // nil while there is no publisher
	cur   *period      // where frames go; nil: the next frames begin one
	end   time.Duration

	remap bool          // the next Period is to follow the mapping
	until time.Duration // while sound is written up to a boundary: where that is; else 0
	limit media.Ticks   // while layers finish a segment or a Period: where the next one begins; else 0
	deaf  bool          // it was said that the sender ignores requests for key frames
}

// moments are the times of the wall clock that count.
type moments struct {
	now    time.Time // of the latest arrival, or the clock
	awake  time.Time // when that last went on after it stood still: what waits does so from then
	ticked time.Time // of the last Advance
	zero   time.Time // arrival at session time 0; zero before
	heard  time.Time // when something of the publisher last arrived
}

// progress is how far the media has come, in session time.
type progress struct {
	reach time.Duration // up to which nothing more is to be expected, but for what is late
	moved bool          // reach has moved since the last Advance
	// frontier is the session time up to which fillers may be written. It follows reach
	// no faster than the clock goes: after a standstill of the process, what waits for
	// lost packets comes later than what does not.
	frontier time.Duration
}

// crowding bounds how often Periods begin.
type crowding struct {
	begun     time.Time // when the Periods of before do not count any more
	crowdTold bool      // it was said that there are too many
}

// rotation says when the recording is rotated.
type rotation struct {
	rotateAt time.Duration // session time; 0: never
	rotating bool          // key frames have been asked for that
}

// recast is the request for key frames of all layers at once, for layers that came or
// went.
type recast struct {
	recastAsked time.Time
	recastWait  time.Duration // until that is done again
}

// pausing has the pauses of the recording.
type pausing struct {
	paused bool     // nothing is recorded
	afresh bool     // no Period has begun since the last pause did
	pauses []paused // the last pausesKept
}

// publication has what one publisher sends.
type publication struct {
	sources []*source
	videos  []*source // the layers
	lead    *source   // the layer that decides where Periods and segments begin; nil before the first key frame
	audio   *source
	apart   bool // it was said that the layers have their key frames at other pictures
	time    *timeline.Timeline
}

// period is a Period of the recording. Around its beginning some lanes are still in the
// one before.
type period struct {
	at    time.Duration
	remap bool // lanes do not go on where they were: the mapping changed
}

// New returns an Arranger at session time 0.
func New(o Options, out Output) *Arranger {
	return &Arranger{o: o, out: out, progress: progress{frontier: -fillLag}}
}

// GoOn tells the Arranger what was recorded before: session time 0 was at zero, and
// there is media up to end. lanes are those of the recording that goes on, and ends
// where they end. Without lanes a new recording begins.
func (a *Arranger) GoOn(zero time.Time, end time.Duration, lanes []Track, ends []time.Duration) {
	a.zero, a.end, a.reach = zero, end, end
	for i, t := range lanes {
		l := a.lane(t)
		l.had, l.ended, l.hasReal = true, l.ticks(ends[i]), true
		l.real = l.ended
		a.addKind(t.Lane.Kind)
	}
}

// Zero returns the wall clock of session time 0; the zero time if nothing was recorded
// yet.
func (a *Arranger) Zero() time.Time { return a.zero }

// Ended returns the session time up to which there is media.
func (a *Arranger) Ended() time.Duration {
	end := a.end
	for _, l := range a.lanes {
		if l.period != nil || l.had {
			end = max(end, l.lasts())
		}
	}
	return end
}

// RotateAt lets the next recording begin at about a session time; 0: never.
func (a *Arranger) RotateAt(at time.Duration) { a.rotateAt, a.rotating = at, false }

// Fail tells that storage has ended the recording: the only way in which its errors come
// here. What comes next begins another one. What is known of the publisher's clocks is
// kept.
func (a *Arranger) Fail() {
	a.end = a.Ended()
	a.kinds, a.cur, a.remap, a.rotateAt, a.pauses = nil, nil, false, 0, nil
	for _, l := range a.lanes {
		src, audio := l.src, l.audio.sound
		*l = lane{Lane: l.Lane, codec: l.codec, src: src}
		l.audio.sound = audio
	}
	if a.pub == nil {
		return
	}
	a.pub.lead = nil
	for _, s := range a.pub.sources {
		s.placed, s.held, s.pair = false, nil, nil
		s.lost = "" // in what has ended
		s.before, s.keyCame, s.earlyTold = nil, false, time.Time{}
		if s.Kind == media.Video && !s.keyWanted && !a.paused {
			a.wantKey(s)
		}
	}
}

// Join adds a publisher with its tracks: at most one of audio, and the layers of one
// video.
func (a *Arranger) Join(now time.Time, tracks []Track) {
	a.advance(now)
	a.ticked = now
	a.endPause(a.clock())
	a.pub = &publication{}
	mapped := make([]media.Track, 0, len(tracks))
	for _, t := range tracks {
		s := &source{Track: t, lane: a.lane(t)}
		s.lane.src, s.lane.codec = s, t.Codec
		if t.Kind == media.Audio {
			s.lane.format, s.lane.audio.sound = nil, nil // silence is of the new format
		}
		a.pub.sources = append(a.pub.sources, s)
		mapped = append(mapped, t.Track)
		if t.Kind == media.Audio {
			a.pub.audio = s
		} else {
			a.pub.videos = append(a.pub.videos, s)
		}
	}
	a.pub.time = timeline.New(mapped)
	for _, s := range a.pub.videos {
		if !a.paused {
			a.wantKey(s)
		}
	}
}

// Leave removes the publisher. What is held back is decided now, and the Period ends
// for all lanes at once.
func (a *Arranger) Leave() {
	if a.pub == nil {
		return
	}
	a.finish()
	a.endPause(a.clock())
	a.pub = nil
	for _, l := range a.lanes {
		l.src = nil
	}
}

// finish decides what is held back, and ends the Period for all lanes at once.
func (a *Arranger) finish() {
	if a.pub == nil {
		return
	}
	a.releaseVideo(true)
	if a.cur == nil && a.pub.audio != nil && len(a.pub.audio.held) > 0 {
		if a.crowded() {
			a.crowdOutSound(a.pub.audio)
		} else {
			a.beginWithSound(func(*media.Frame) bool { return true }) // the picture did not come in time
		}
	}
	a.close()
}

// lane returns the lane of a track.
func (a *Arranger) lane(t Track) *lane {
	for _, l := range a.lanes {
		if l.Lane == t.Lane {
			return l
		}
	}
	l := &lane{Lane: t.Lane, codec: t.Codec}
	a.lanes = append(a.lanes, l)
	return l
}

// Missing tells that something is missing before the next frame of a track, and why. If
// the track is video, that frame is a key frame, and Missing asks for one at once: what
// was lost may be the key frame that was asked for before.
func (a *Arranger) Missing(id media.TrackID, cause string) {
	s := a.source(id)
	if s == nil {
		return
	}
	s.missing = cause
	if s.Kind == media.Video {
		s.keyWanted = false
		a.wantKey(s)
	}
}

// Restarted tells that the next timestamp of a track has no relation to the last.
func (a *Arranger) Restarted(id media.TrackID) {
	if s := a.source(id); s != nil {
		s.resync = true
	}
}

// Packet tells that a packet of a track has arrived.
func (a *Arranger) Packet(id media.TrackID, arrival time.Time) {
	a.hear(arrival)
	if s := a.source(id); s != nil {
		s.lastPacket = arrival
	}
}

// Report uses a sender report.
func (a *Arranger) Report(r *media.SenderReport) {
	a.hear(r.Arrival)
	if a.pub == nil {
		return
	}
	a.pub.time.Report(r)
	a.checkSound()
	a.release(false)
}

// Frame gives an access unit its place.
func (a *Arranger) Frame(id media.TrackID, f *media.Frame) {
	a.advance(f.Arrival)
	s := a.source(id)
	if s == nil {
		return
	}
	a.watch(s, f)
	a.reached(s, f)
	if s.Kind == media.Video {
		if f.Key {
			s.keyWanted = false
			a.pub.lead = cmp.Or(a.pub.lead, s)
		}
		if a.pub.lead == nil {
			if !s.keyWanted {
				a.wantKey(s)
			}
			a.early(s, f.Arrival, 1)
			return
		}
	}
	if s == a.pub.lead && len(a.pub.videos) == 1 && len(s.held) == 0 && !a.waitsForReport(s, f) {
		s.lost = cmp.Or(s.lost, s.withLoss(f).missing)
		a.picture(s, f)
	} else {
		s.held = append(s.held, s.withLoss(f))
	}
	a.noLongerEarly(s, f)
	a.release(false)
}

// Early tells of pictures that came before the first key frame of a track, and cannot
// be decoded.
func (a *Arranger) Early(id media.TrackID, arrival time.Time, pictures int) {
	a.hear(arrival)
	if s := a.source(id); s != nil && s.Kind == media.Video {
		a.early(s, arrival, pictures)
	}
}

// Watch learns from an access unit that is not recorded, because storage is failing.
func (a *Arranger) Watch(id media.TrackID, f *media.Frame) {
	a.advance(f.Arrival)
	if s := a.source(id); s != nil {
		a.watch(s, f)
		s.missing = "" // in nothing that is recorded
	}
}

// watch learns from a frame about the sender's clock.
func (a *Arranger) watch(s *source, f *media.Frame) {
	a.noteStall(s, f)
	if from, jumped := a.observe(s, f); jumped {
		a.jump(s, from, f.Timestamp)
	}
	a.pub.time.Observe(s.ID, f.Timestamp, f.Arrival)
	a.followSlip(s, f)
}

// Advance does what is due by the time. It has to be called a few times a second,
// whether something arrives or not.
func (a *Arranger) Advance(now time.Time) {
	a.advance(now)
	step := min(a.now.Sub(a.ticked), maxStep)
	a.ticked = a.now
	if a.pub == nil || a.paused {
		return
	}
	for _, s := range a.pub.videos {
		if s.isOverdue(a.now) {
			a.wantKey(s)
		}
	}
	a.release(false)
	if a.cur == nil {
		return
	}
	if !a.moved { // by the clock, but for a network that stands still: what it holds up is still to come
		a.reach = max(a.reach, min(a.reach+step, a.heard.Sub(a.zero)))
	}
	a.moved = false
	a.frontier = max(a.frontier, min(a.reach-fillLag, a.frontier+step*5/4))
	a.watchLayers()
	a.fill()
	a.askRecast()
}

// Sync describes a track for the ledger: whether its place comes from the sender's
// reports, and how far the sender's clock is ahead of its media time. ok is false if
// that is not known.
func (a *Arranger) Sync(id media.TrackID) (reported bool, offset time.Duration, ok bool) {
	s := a.source(id)
	if s == nil || !s.placed || s.lane.period == nil || !a.pub.time.Ready(id) {
		return false, 0, false
	}
	return a.pub.time.Reported(id), a.drift(s, s.last), true
}

func (a *Arranger) source(id media.TrackID) *source {
	if a.pub == nil {
		return nil
	}
	for _, s := range a.pub.sources {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// advance moves the clock, which never goes back.
func (a *Arranger) advance(now time.Time) {
	if !now.After(a.now) {
		return
	}
	if now.Sub(a.now) > stoodStill {
		a.awake = now
	}
	a.now = now
}

// hear notes that something of the publisher has arrived.
func (a *Arranger) hear(arrival time.Time) {
	a.advance(arrival)
	a.heard = a.now
}

// clock returns the session time of now, by the arrivals.
func (a *Arranger) clock() time.Duration { return a.now.Sub(a.zero) }

// reached notes how far the media has come.
func (a *Arranger) reached(s *source, f *media.Frame) {
	if a.cur == nil || !s.placed && !a.pub.time.Ready(s.ID) {
		return
	}
	a.reach, a.moved = max(a.reach, min(a.sessionTime(s, f), a.clock()+jumpLimit)), true
}

// sessionTime returns the place of a frame: where its track goes on, or else where the
// mapping says.
func (a *Arranger) sessionTime(s *source, f *media.Frame) time.Duration {
	if !s.placed || s.lane.period != a.cur && a.cur != nil && a.cur.remap {
		return a.pub.time.Media(s.ID, f.Timestamp)
	}
	return s.lane.duration(s.time(f.Timestamp))
}

// drift returns how far a track, as it runs, is behind the mapping.
func (a *Arranger) drift(s *source, timestamp int64) time.Duration {
	if !s.placed || !a.pub.time.Ready(s.ID) {
		return 0
	}
	return a.pub.time.Media(s.ID, timestamp) - s.lane.duration(s.time(timestamp))
}

// addKind notes that the recording has a kind of media.
func (a *Arranger) addKind(k media.Kind) {
	if !a.has(k) {
		a.kinds = append(a.kinds, k)
	}
}

// has reports whether the recording has a kind of media.
func (a *Arranger) has(k media.Kind) bool {
	for _, other := range a.kinds {
		if other == k {
			return true
		}
	}
	return false
}
