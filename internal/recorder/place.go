package recorder

import (
	"cmp"
	"slices"
	"time"

	"github.com/live777/recorder/internal/depacket"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/segmenter"
)

const (
	// lossLimit is the longest hole in the video, by loss, that the last good
	// frame bridges; pauseLimit that of a sender that sent nothing.
	lossLimit  = 2 * time.Second
	pauseLimit = 10 * time.Second

	// fillLimit bounds the silence that is written for a pause.
	fillLimit = time.Minute

	// driftMin is the distance of running time and mapping that is corrected
	// at a segment boundary; driftMax the one that is not corrected any more,
	// but begins a new Period.
	driftMin = 20 * time.Millisecond
	driftMax = 500 * time.Millisecond
	// syncMin is the distance of audio and video, as they run, that is
	// corrected: with driftMin that of both from the mapping could add up.
	syncMin = 10 * time.Millisecond

	// silentBytes is the largest packet of audio in which nothing is heard: a
	// frame of silence or of comfort noise (DTX).
	silentBytes = 3

	// audioPatience is how long audio waits for video of the same time, which
	// may begin a Period or a recording: longer than the reordering of the
	// video takes, for that holds up its frames.
	audioPatience = reorderDelay + 500*time.Millisecond

	// maxHeld bounds the audio frames that wait: 40 s of 20 ms packets.
	maxHeld = 2000

	// cutSlack is how much before its limit a recording may be rotated, so that
	// a key frame that was asked for in time is not missed.
	cutSlack = 250 * time.Millisecond
)

// take records what the depacketizer has made final.
func (s *session) take(tr *track, results []depacket.Result) error {
	for i := range results {
		res := &results[i]
		if res.Lost {
			s.lost(tr, res.Err)
		}
		if s.rec == nil { // storage is failing
			continue
		}
		if res.Resync {
			s.log.Warn("the sender began a new RTP stream", "kind", tr.Kind.String())
			tr.resync = true
		}
		if res.Frame != nil {
			if err := s.frame(tr, res.Frame); err != nil {
				return err
			}
		}
	}
	return nil
}

// lost notes that something is missing before what comes next, and asks for a
// key frame at once: the loss may be of the one that was asked for before.
func (s *session) lost(tr *track, reason error) {
	if tr.missing == "" {
		s.log.Debug("media was lost", "kind", tr.Kind.String(), "reason", reason)
	}
	tr.missing = causeLoss
	if !s.overrunAt.IsZero() && s.now.Sub(s.overrunAt) < 2*reorderDelay {
		tr.missing = causeOverrun // noticed when the packets have been waited for
	}
	if tr.Kind == media.Video {
		tr.keyWanted = false
		s.wantKey(tr)
	}
}

// frame gives one access unit its place.
func (s *session) frame(tr *track, f *media.Frame) error {
	if from, jumped := tr.observe(f); jumped {
		if err := s.jump(tr, from, f.Timestamp); err != nil {
			return err
		}
	}
	s.pub.time.Observe(tr.ID, f.Timestamp, f.Arrival)
	if tr.Kind == media.Video {
		if f.Key {
			tr.keyWanted = false
			s.pub.lead = cmp.Or(s.pub.lead, tr)
		}
		if s.pub.lead == nil {
			return s.skip(tr)
		}
	}
	if tr != s.pub.lead {
		tr.held = append(tr.held, tr.take(f))
		return s.release(false)
	}
	tr.lost = cmp.Or(tr.lost, tr.take(f).missing)
	if err := s.video(tr, f); err != nil {
		return err
	}
	return s.release(false)
}

// jump goes on with a track whose timestamps have jumped: from is to now. The
// other tracks do not notice, nor does decoding if nothing was lost.
func (s *session) jump(tr *track, from, to int64) error {
	s.log.Warn("the sender's timestamps jumped", "kind", tr.Kind.String(), "from", from, "to", to)
	var err error
	if s.cur != nil {
		err = s.place(tr, func(*media.Frame) bool { return true }) // by the clock that they have
	}
	tr.held = nil
	tr.ts0 += to - from
	s.pub.time.Jump(tr.ID, from, to)
	return err
}

// video writes a frame of the leading video track, at the head of a new Period
// where one is due.
func (s *session) video(tr *track, f *media.Frame) (err error) {
	if tr.ep == nil {
		if !f.Key {
			return s.skip(tr)
		}
		if err := s.enterFirst(tr, f); err != nil {
			return err
		}
		return s.writeVideo(tr, f, segmenter.CutAuto)
	}
	t := tr.time(f.Timestamp)
	if t <= tr.at {
		s.log.Warn("video frame left out: it is not later than the one before (B-frames cannot be recorded)", "timestamp", f.Timestamp)
		s.leaveOut(tr)
		return nil
	}
	hole := tr.duration(t - tr.end())
	long := tr.gone || hole > pauseLimit || tr.lost != "" && hole > lossLimit
	if long && !f.Key {
		return s.skip(tr)
	}
	s.noteHole(tr, hole)
	cut := segmenter.CutAuto
	if f.Key {
		if cut, err = s.videoBoundary(tr, f, long); err != nil {
			return err
		}
	}
	return s.writeVideo(tr, f, cut)
}

// skip leaves video frames out until a key frame comes.
func (s *session) skip(tr *track) error {
	if !tr.keyWanted {
		s.wantKey(tr)
	}
	if !s.rec.isEmpty() { // what comes before a recording's first frame is not missing in it
		s.leaveOut(tr)
	}
	return nil
}

// videoBoundary begins a new Period, or a new recording, with the key frame f
// where one is due, and says whether f begins a segment otherwise. hole says
// that the Period's media ends before f.
func (s *session) videoBoundary(tr *track, f *media.Frame, hole bool) (segmenter.Cut, error) {
	t := tr.time(f.Timestamp)
	remap := s.remap
	cuts := tr.out.Cuts(t, true) && !s.layerLate()
	if cuts {
		switch drift := s.drift(tr, f.Timestamp); {
		case drift > driftMax || drift < -driftMax:
			remap = true
		case drift > driftMin || drift < -driftMin:
			// The last sample gets longer or shorter, but stays.
			tr.t0 += max(tr.ticks(drift), tr.at+tr.dur/2+1-t)
			if s.pub.audio != nil { // it has gone along
				s.pub.audio.check, s.pub.audio.checkAt = true, tr.sessionTime(f.Timestamp)
			}
		}
	}
	rotate := s.rotationDue(tr, f)
	if !rotate && !hole && !remap && !s.recastDue() && f.Format.Equal(tr.format) {
		if !cuts {
			return segmenter.CutNot, nil
		}
		s.cutLayers(t, tr.time(f.Timestamp))
		return segmenter.CutHere, nil
	}
	return segmenter.CutAuto, s.boundary(tr, f, cut{rotate: rotate, hole: hole || remap, remap: remap})
}

// writeVideo writes f at its place and asks for the key frames that will be
// needed.
func (s *session) writeVideo(tr *track, f *media.Frame, cut segmenter.Cut) error {
	t := tr.time(f.Timestamp)
	if d := t - tr.at; tr.wrote && d < tr.ticks(time.Second) {
		tr.dur = d
	}
	if err := s.write(tr, t, segmenter.Sample{Duration: tr.dur, Key: f.Key, Cut: cut, Data: f.Data}); err != nil {
		return err
	}
	if tr.ep != nil && tr == s.pub.lead && (tr.out.KeyFrameDue() || s.rotationNear(tr, f)) {
		s.askKeys()
	}
	return nil
}

// write hands a sample to the track's writer. Its frame counts for the ledger
// unless it is a filler. Where that fails in a recording that has been rotated,
// only that recording ends, and the track is in no epoch then.
func (s *session) write(tr *track, t media.Ticks, sample segmenter.Sample) error {
	rec := tr.ep.rec
	sample.Time = t
	sample.Wall = s.wall(rec.offset + tr.duration(t))
	if err := tr.out.Write(sample); err != nil {
		if rec == s.rec {
			return err
		}
		return s.exit(tr, 0) // of a recording that has been rotated: only that ends
	}
	tr.wrote, tr.skipped, tr.lost, tr.at, tr.wroteAt = true, false, "", t, s.now
	rec.update(tr.lane, func(l *media.RecordingTrack) { l.Frames++ })
	return nil
}

// release writes what is held back, as far as its place is known: it waits for
// the first video key frame, for the sender's reports and for leading video of
// the same time, but not for ever. force does not wait.
func (s *session) release(force bool) error {
	if s.pub == nil || s.rec == nil {
		return nil
	}
	for _, tr := range s.pub.videos {
		if err := s.releaseLayer(tr, force); err != nil {
			return err
		}
	}
	tr := s.pub.audio
	if tr == nil || len(tr.held) == 0 {
		return nil
	}
	force = force || len(tr.held) >= maxHeld
	first := tr.held[0]
	switch {
	case s.cur == nil:
		if len(s.pub.videos) > 0 && !force && s.now.Sub(first.Arrival) < videoPatience {
			return nil
		}
		if err := s.enterFirst(tr, first.Frame); err != nil {
			return err
		}
	case !force && !s.pub.time.Ready(tr.ID):
		return nil
	}
	return s.place(tr, func(f *media.Frame) bool { return force || !s.ahead(tr, f) })
}

// ahead reports whether video of the time of the audio frame f is still to come:
// later than the leading one's, or what will begin with the first that can be
// decoded where no video is in a Period.
func (s *session) ahead(tr *track, f *media.Frame) bool {
	if s.now.Sub(f.Arrival) >= audioPatience {
		return false
	}
	v := s.pub.lead
	if v == nil || v.ep == nil {
		return slices.ContainsFunc(s.pub.videos, func(v *track) bool { return s.now.Sub(v.lastPacket) < layerSilence })
	}
	return s.pub.time.Media(tr.ID, f.Timestamp) > s.pub.time.Media(v.ID, v.last)
}

// releaseBefore writes the audio from before a boundary at a session time. What
// is known of its place has to do: behind the boundary it has none.
func (s *session) releaseBefore(at time.Duration) error {
	tr := s.pub.audio
	if tr == nil || s.cur == nil {
		return nil
	}
	return s.place(tr, func(f *media.Frame) bool { return s.sessionTime(tr, f) < at })
}

// place writes what is held of a track, up to the first frame whose time has
// not come.
func (s *session) place(tr *track, ready func(*media.Frame) bool) error {
	waiting := tr.held
	tr.held = nil // a boundary that the track makes looks at it
	n := 0
	for ; n < len(waiting) && ready(waiting[n].Frame); n++ {
		write := s.layer
		if tr.Kind == media.Audio {
			write = s.audio
		}
		tr.lost = cmp.Or(tr.lost, waiting[n].missing)
		if err := write(tr, waiting[n].Frame); err != nil {
			return err
		}
	}
	// What is left is moved to the front, so that the array does not grow for ever.
	rest := copy(waiting, waiting[n:])
	clear(waiting[rest:])
	tr.held = waiting[:rest]
	return nil
}

// sessionTime returns the place of a frame: where its track goes on in the
// current Period or into it, or else by the mapping.
func (s *session) sessionTime(tr *track, f *media.Frame) time.Duration {
	if tr.ep == nil || tr.ep != s.cur && s.cur.remap {
		return s.pub.time.Media(tr.ID, f.Timestamp)
	}
	return tr.sessionTime(f.Timestamp)
}

// audio writes an audio frame whose time is known.
func (s *session) audio(tr *track, f *media.Frame) error {
	if ok, err := s.follow(tr, f); err != nil || !ok {
		return err
	}
	hole := tr.time(f.Timestamp) - tr.end()
	if tr.wrote && hole <= -tr.dur {
		s.leaveOut(tr) // its time has been filled, or was sent twice
		return nil
	}
	if s.wasAway(tr, tr.duration(hole)) {
		if err := s.goSilent(tr); err != nil {
			return err
		}
		if ok, err := s.comeBack(tr, f); err != nil || !ok {
			return err
		}
		hole = 0
	}
	if s.alone(tr) && (tr.duration(hole) > pauseLimit || s.rotationDue(tr, f) || s.recastDue()) {
		c := cut{rotate: s.rotationDue(tr, f), hole: true}
		s.noteHole(tr, tr.duration(hole))
		if err := s.boundary(tr, f, c); err != nil {
			return err
		}
	} else if hole >= f.Duration {
		s.noteHole(tr, tr.duration(hole))
		if _, err := s.fill(tr, f, hole); err != nil || tr.ep == nil {
			return err
		}
	}
	if tr.wrote && s.correctable(tr, f) {
		if keep, err := s.correct(tr, f); err != nil || !keep || tr.ep == nil {
			return err
		}
	}
	tr.dur, tr.sound = f.Duration, f.Data
	return s.write(tr, tr.time(f.Timestamp), segmenter.Sample{Duration: f.Duration, Key: true, Data: f.Data})
}

// alone reports whether nothing but the track is in the current Period, so that
// it need not wait for another to begin the next.
func (s *session) alone(tr *track) bool { return tr.ep == s.cur && s.cur.members == 1 }

// leaveOut counts a frame that has no place.
func (s *session) leaveOut(tr *track) {
	s.rec.update(tr.lane, func(l *media.RecordingTrack) { l.FramesDropped++ })
}

// follow moves the audio into the current Period when its time has come. It
// reports whether f has a place: audio from before the recording has none, nor
// has audio that comes late to a Period. Its coming makes the next.
func (s *session) follow(tr *track, f *media.Frame) (bool, error) {
	if tr.ep == s.cur {
		return true, nil
	}
	at := s.sessionTime(tr, f)
	if at < s.cur.at {
		if tr.ep == nil && tr.entered { // not one from before the first video
			s.leaveOut(tr)
		}
		return tr.ep != nil, nil
	}
	if tr.ep != nil {
		s.noteHole(tr, at-s.endOf(tr))
		if err := s.exit(tr, 0); err != nil {
			return false, err
		}
		return true, s.enterFilled(tr, f, at)
	}
	if s.cur.rec.closedTo(s.cur.period, tr.lane) {
		return s.comeBack(tr, f)
	}
	s.noteReturn(tr, at)
	return true, s.enter(tr, f, at)
}

// enterFilled is enter for audio that goes on in the current Period, and at a
// session time long after that begins where packets were lost: the Period's audio
// begins with its video, for players leave out what only one of them has.
func (s *session) enterFilled(tr *track, f *media.Frame, at time.Duration) error {
	var d media.Ticks // of a filler
	if tr.codec.Filler != nil {
		_, d = tr.codec.Filler(f.Format, f.Data)
	}
	begin := max(s.cur.at, s.cur.rec.offset+tr.duration(s.cur.rec.track(tr.lane).Written())) // it may have got further
	hole := tr.ticks(at - begin)
	if d == 0 || hole < d || hole > tr.ticks(fillLimit) {
		return s.enter(tr, f, at)
	}
	if err := s.enter(tr, f, at-tr.duration(hole/d*d)); err != nil {
		return err
	}
	place := max(tr.t0, tr.ticks(at-tr.ep.rec.offset)) // of f
	if _, err := s.fill(tr, f, place-tr.t0); err != nil || tr.ep == nil {
		return err
	}
	tr.t0 = place
	return nil
}

// endWithSound gives the Period in which a publication ends its audio, where that
// began with the video and no more audio came: players wait for sound that there was
// in the Period before.
func (s *session) endWithSound() error {
	tr, v := s.pub.audio, s.pub.lead
	if s.cur == nil || tr == nil || tr.ep == nil || tr.ep == s.cur || v == nil || v.ep != s.cur {
		return nil
	}
	if tr.ep.rec != s.cur.rec || tr.codec.Filler == nil { // a recording of its own may be without sound
		return nil
	}
	f := &media.Frame{Format: tr.format, Timestamp: tr.last, Data: tr.sound}
	_, d := tr.codec.Filler(f.Format, f.Data)
	begin := max(s.cur.at, s.endOf(tr))
	missing := tr.ticks(s.endOf(v) - begin)
	if d == 0 || missing <= 0 || missing > tr.ticks(fillLimit)-d {
		return nil
	}
	at := begin + tr.duration((missing+d-1)/d*d)
	s.noteHole(tr, at-s.endOf(tr))
	if err := s.exit(tr, 0); err != nil {
		return err
	}
	return s.enterFilled(tr, f, at)
}

// fill writes packets of nothing after the last sample, as many as fit into
// the hole before f, and returns how long they are.
func (s *session) fill(tr *track, f *media.Frame, hole media.Ticks) (filled media.Ticks, err error) {
	if tr.codec.Filler == nil {
		return 0, nil // the last sample lasts longer
	}
	data, d := tr.codec.Filler(f.Format, f.Data)
	for ; filled+d <= hole; filled += d {
		at := tr.end()
		tr.dur = d
		if err := s.write(tr, at, segmenter.Sample{Duration: d, Key: true, Data: data}); err != nil || tr.ep == nil {
			return filled, err
		}
		tr.ep.rec.update(tr.lane, func(l *media.RecordingTrack) { l.Frames-- })
	}
	return filled, nil
}
