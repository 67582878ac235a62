// A timeline has no goroutines: the race detector would only take minutes.

//go:build !race

package timeline

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// ms is a number of milliseconds, which need not be a whole one.
func ms(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }

// program is how a program that publishes makes its timestamps and reports.
type program struct {
	name     string
	every    time.Duration                    // between two reports of a track
	delay    func(r *rand.Rand) time.Duration // from capture to sending
	network  func(r *rand.Rand) time.Duration // from sending to arrival
	lie      func(r *rand.Rand) time.Duration // of the NTP time of a report
	sentTime bool                             // reports say when they are sent, beside the timestamp of the frame that is
	extra    map[media.TrackID]time.Duration  // more delay of a track
	whole    bool                             // no fraction of a second
	ppm      map[media.TrackID]float64        // by which RTP clocks are wrong

	within  time.Duration // of the truth, once it is known
	knownAt time.Duration // when the tracks are to be in sync at the latest, by their reports; 0: never
}

func none(*rand.Rand) time.Duration { return 0 }

func upTo(most float64) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return ms(r.Float64() * most) }
}

// around is anything from -most to most.
func around(most float64) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return ms((2*r.Float64() - 1) * most) }
}

// rarely is now and then a long time.
func rarely(usual, seldom float64) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration {
		if r.IntN(20) == 0 {
			return ms(r.Float64() * seldom)
		}
		return ms(r.Float64() * usual)
	}
}

// simulation is a sender by a program.
type simulation struct {
	*sender
	program
	tl       *Timeline
	rand     *rand.Rand
	reported map[media.TrackID]time.Duration
	// Of the audio's place beside the video's, after knownAt and in the order of time:
	errors []time.Duration
}

func (p program) start(seed uint64) *simulation {
	s := &simulation{
		sender: newSender(), program: p, tl: New(tracks), rand: rand.New(rand.NewPCG(seed, 9)),
		reported: map[media.TrackID]time.Duration{video: -p.every, audio: ms(float64(seed%7)*130) - p.every},
	}
	for id, ppm := range p.ppm {
		s.sender.ppm[id] = ppm
	}
	return s
}

// run sends both tracks for a time, in the order of arrival to within a frame.
func (s *simulation) run(t *testing.T, until time.Duration) { s.from(t, 0, until) }

// from is run from a time on.
func (s *simulation) from(t *testing.T, at, until time.Duration) {
	next := map[media.TrackID]time.Duration{video: at, audio: at}
	step := map[media.TrackID]time.Duration{video: ms(100.0 / 3), audio: ms(20)}
	for next[video] < until {
		id := video
		if next[audio] < next[video] {
			id = audio
		}
		s.frame(id, next[id])
		next[id] += step[id]
		if id == video {
			s.measure(t, next[video])
		}
	}
}

func (s *simulation) frame(id media.TrackID, d time.Duration) {
	delay := s.delay(s.rand) + s.extra[id]
	sent := d + delay
	if d-s.reported[id] >= s.every {
		s.reported[id] = d
		s.stamp(id, d, sent)
	}
	s.observe(s.tl, id, d, delay+s.network(s.rand))
	if d == 0 && id == video {
		s.tl.Anchor(video, s.ts(video, 0), 0)
	}
}

// stamp sends a report right before a frame.
func (s *simulation) stamp(id media.TrackID, captured, sent time.Duration) {
	ntp, rtp := sent, sent // the clocks are asked at once
	if s.sentTime {
		rtp = captured
	}
	at := s.ntp.Add(ntp + s.lie(s.rand))
	if s.whole {
		at = at.Truncate(time.Second).Add(time.Duration(s.rand.IntN(200)))
	}
	s.tl.Report(&media.SenderReport{
		Track: id, NTP: media.NTP(at), RTP: uint32(s.ts(id, rtp)), Arrival: s.sender.start.Add(sent + s.network(s.rand)),
	})
}

func (s *simulation) measure(t *testing.T, d time.Duration) {
	if s.knownAt == 0 && d > settle && s.tl.Synced() && s.whole {
		s.knownAt = d // as soon as it says so
	}
	from := max(s.knownAt, settle)
	if d < from || !s.tl.Ready(audio) {
		return
	}
	if s.knownAt > 0 && !s.tl.Synced() {
		t.Fatalf("not in sync by the reports after %v", d)
	}
	s.errors = append(s.errors, s.tl.Media(audio, s.ts(audio, d))-s.tl.Media(video, s.ts(video, d)))
}

// corrections counts what a recorder does that corrects its audio by 20 ms where it is
// off by more: forth, and back.
func corrections(errors []time.Duration) (forth, back int) {
	at := errors[0]
	for _, e := range errors {
		switch {
		case e-at > ms(20):
			at += ms(20)
			forth++
		case at-e > ms(20):
			at -= ms(20)
			back++
		}
	}
	return forth, back
}

// Programs as they are, and worse: the tracks are in sync, and no correction is ever
// taken back.
func TestSenders(t *testing.T) {
	for _, p := range []program{
		{
			name: "a browser on a quiet network", every: ms(1700), delay: upTo(12), network: upTo(3), lie: around(0.7),
			within: ms(3), knownAt: settle,
		},
		{
			name: "a browser behind a mobile network", every: ms(1700), delay: upTo(12), network: rarely(80, 600), lie: around(0.7),
			extra:  map[media.TrackID]time.Duration{video: ms(45)}, // its encoder
			within: ms(3), knownAt: 15 * time.Second,
		},
		{
			name: "reports stamped when sent, on a loaded machine", every: time.Second, delay: upTo(75), network: upTo(3), lie: none,
			sentTime: true, within: ms(12), knownAt: 20 * time.Second,
		},
		{
			name: "reports stamped when sent, on a machine that halts", every: time.Second, delay: rarely(40, 400), network: upTo(3), lie: none,
			sentTime: true, within: ms(12), knownAt: 20 * time.Second,
		},
		{
			name: "reports stamped when sent, behind a mobile network", every: time.Second, delay: upTo(75), network: rarely(50, 300), lie: none,
			sentTime: true, within: ms(25), knownAt: 20 * time.Second,
		},
		{
			name: "a clock that jitters by 75 ms", every: time.Second, delay: upTo(10), network: upTo(3), lie: around(37.5),
			within: ms(25), knownAt: 15 * time.Second,
		},
		{
			name: "75 ms late at times", every: time.Second, delay: upTo(10), network: upTo(3), lie: upTo(75),
			within: ms(25), knownAt: 15 * time.Second,
		},
		{
			name: "no fraction", every: ms(1013), delay: upTo(10), network: upTo(5), lie: none, whole: true,
			within: ms(20),
		},
		{
			name: "no fraction, always the same", every: ms(1000), delay: upTo(10), network: upTo(5), lie: none, whole: true,
			within: ms(20),
		},
		{
			name: "clocks that run apart by 200 ppm", every: ms(1700), delay: upTo(12), network: upTo(3), lie: around(0.7),
			ppm:    map[media.TrackID]float64{video: 100, audio: -100},
			within: ms(3), knownAt: 20 * time.Second,
		},
		{
			name: "the same, stamped when sent", every: time.Second, delay: upTo(75), network: upTo(3), lie: none, sentTime: true,
			ppm:    map[media.TrackID]float64{video: 100, audio: -100},
			within: ms(20), knownAt: 20 * time.Second,
		},
	} {
		t.Run(p.name, func(t *testing.T) {
			for seed := range uint64(5) {
				s := p.start(seed)
				s.run(t, 3*time.Minute)
				var worst time.Duration
				for _, e := range s.errors {
					worst = max(worst, e.Abs())
				}
				forth, back := corrections(s.errors)
				t.Logf("seed %d: %v off at most, %d corrections forth, %d back", seed, worst, forth, back)
				if worst > p.within {
					t.Errorf("seed %d: audio and video are up to %v apart, want at most %v", seed, worst, p.within)
				}
				if forth > 0 && back > 0 {
					t.Errorf("seed %d: %d corrections forth, %d back", seed, forth, back)
				}
			}
		})
	}
}

// A microphone stalls while its timestamps run on: what comes after is at its place,
// whatever is reported meanwhile.
func TestMicrophoneStalls(t *testing.T) {
	for _, stalled := range []string{"no reports", "reports that go on", "reports of the last timestamp"} {
		s, tl := newSender(), New(tracks)
		both := map[media.TrackID]time.Duration{video: ms(5), audio: ms(15)}
		s.observe(tl, video, 0, both[video])
		tl.Anchor(video, s.ts(video, 0), 0)
		s.run(tl, ms(20), 20*time.Second, both, true)
		for d := 20 * time.Second; d < 24*time.Second; d += 500 * time.Millisecond {
			s.observe(tl, video, d, both[video])
			last := s.ts(audio, 20*time.Second-ms(20))
			switch stalled {
			case "reports that go on":
				s.report(tl, audio, d, both[audio], 0)
			case "reports of the last timestamp":
				tl.Report(&media.SenderReport{Track: audio, NTP: media.NTP(s.ntp.Add(d)), RTP: uint32(last), Arrival: s.start.Add(d + both[audio])})
			}
		}
		s.check(t, tl, audio, 24*time.Second, 24*time.Second, ms(1))
		s.run(tl, 24*time.Second, 30*time.Second, both, true)
		s.check(t, tl, audio, 24*time.Second, 24*time.Second, ms(1))
		s.check(t, tl, video, 24*time.Second, 24*time.Second, ms(1))
	}
}

// The same microphone, whose timestamps stop with it: its next reports tell, and the
// time in which it said nothing is where nothing was said.
func TestMicrophoneStops(t *testing.T) {
	s, tl := newSender(), New(tracks)
	both := map[media.TrackID]time.Duration{video: ms(5), audio: ms(15)}
	s.observe(tl, video, 0, both[video])
	tl.Anchor(video, s.ts(video, 0), 0)
	s.run(tl, ms(20), 20*time.Second, both, true)
	s.ts0[audio] -= 4 * 48000
	s.run(tl, 24*time.Second, 34*time.Second, both, true)
	s.check(t, tl, audio, 34*time.Second, 34*time.Second, ms(1))
	s.check(t, tl, video, 34*time.Second, 34*time.Second, ms(1))
}

// The clock of a microphone stands still for moments, as a browser's does that has no time:
// its next report tells, and is believed at once, for the frames come later, too.
func TestClockSlips(t *testing.T) {
	for seed := range uint64(5) {
		p := program{every: 5 * time.Second, delay: upTo(12), network: upTo(3), lie: around(0.7), extra: map[media.TrackID]time.Duration{video: ms(80)}}
		s := p.start(seed)
		s.run(t, 21*time.Second)
		for at := 21 * time.Second; at < 60*time.Second; at += 8 * time.Second {
			s.ts0[audio] -= int64(media.TicksOf(ms(170), 48000))
			s.errors = nil
			s.from(t, at, at+8*time.Second)
			for i, e := range s.errors {
				if late := time.Duration(i) * ms(100.0/3); late > ms(6500) && e.Abs() > ms(25) {
					t.Fatalf("seed %d: %v after a slip at %v audio and video are %v apart", seed, late, at, e)
				}
			}
		}
	}
}

// A clock that stands still for long on a machine that has no time for what it has made
// either: its next report is believed, and what comes after counts as late by that only.
func TestClockSlipsFar(t *testing.T) {
	p := program{every: 5 * time.Second, delay: upTo(12), network: upTo(3), lie: around(0.7), extra: map[media.TrackID]time.Duration{}}
	s := p.start(1)
	s.run(t, 21*time.Second)
	s.ts0[audio] -= int64(media.TicksOf(2*time.Second, 48000))
	s.extra[audio] = ms(500)
	s.from(t, 21*time.Second, 28*time.Second)
	if e := s.errors[len(s.errors)-1]; e.Abs() > ms(25) {
		t.Errorf("audio and video are %v apart", e)
	}
	at := 28 * time.Second
	if late := s.tl.Late(audio, s.ts(audio, at), s.sender.start.Add(at+ms(500))); (late - ms(500)).Abs() > ms(25) {
		t.Errorf("what is late by 500 ms is late by %v", late)
	}
}

// Without a report the arrivals tell that a track's clock has stood still, if another
// track comes as it did; what comes later in both is the network.
func TestSlipped(t *testing.T) {
	for _, both := range []bool{false, true} {
		p := program{every: time.Hour, delay: upTo(12), network: upTo(3), lie: none, extra: map[media.TrackID]time.Duration{video: ms(80)}}
		s := p.start(1)
		s.run(t, 8*time.Second)
		if d := s.tl.Slipped(audio); d != 0 {
			t.Fatalf("slipped by %v when nothing was", d)
		}
		s.extra[audio] += ms(120)
		if both {
			s.extra[video] += ms(120)
		}
		d := time.Duration(0)
		for at := 8 * time.Second; at < 11*time.Second && d == 0; at += 200 * time.Millisecond {
			s.from(t, at, at+200*time.Millisecond)
			d = s.tl.Slipped(audio)
		}
		if both && d != 0 {
			t.Errorf("a slow network is a slip of %v", d)
		}
		if !both && (d-ms(120)).Abs() > ms(10) {
			t.Errorf("a slip of 120 ms is one of %v", d)
		}
	}
}

// A report after which nothing comes for a moment says nothing of how late frames are.
func TestReportBeforeALoss(t *testing.T) {
	s := program{every: time.Second, delay: none, network: upTo(3), lie: none}.start(1)
	s.ts0[audio] = -48000 * 1000
	s.run(t, 10*time.Second)
	s.tl.Report(&media.SenderReport{
		Track: audio, NTP: media.NTP(s.ntp.Add(10*time.Second + ms(50))), RTP: uint32(s.ts(audio, 10*time.Second+ms(50))),
		Arrival: s.sender.start.Add(10*time.Second + ms(50)),
	})
	for at := 10*time.Second + ms(400); at < 14*time.Second; at += ms(200) {
		s.from(t, at, at+ms(200))
		if d := s.tl.Slipped(audio); d != 0 {
			t.Fatalf("at %v the sound's clock has stood still for %v", at, d)
		}
	}
}

// queue returns delays by a network that lets nothing overtake: anything up to most, or as
// long as what it holds up already. every is the time between two packets.
func queue(most, every time.Duration) func(*rand.Rand) time.Duration {
	var delay time.Duration
	return func(r *rand.Rand) time.Duration {
		delay = max(delay-every, ms(r.Float64()*float64(most/time.Millisecond)))
		return delay
	}
}

// Jitter is no slip, though only a few seconds have told how much it varies.
func TestJitterIsNoSlip(t *testing.T) {
	every := map[media.TrackID]time.Duration{video: ms(100.0 / 3), audio: ms(20)}
	for seed := range uint64(2000) {
		s := program{every: time.Hour, delay: none, network: none, lie: none, extra: map[media.TrackID]time.Duration{}}.start(seed)
		networks := map[media.TrackID]func(*rand.Rand) time.Duration{video: queue(ms(300), every[video]), audio: queue(ms(300), every[audio])}
		next := map[media.TrackID]time.Duration{}
		for next[video] < 10*time.Second {
			id := video
			if next[audio] < next[video] {
				id = audio
			}
			s.extra[id] = networks[id](s.rand)
			s.frame(id, next[id])
			next[id] += every[id]
			if d := s.tl.Slipped(audio); d != 0 {
				t.Errorf("seed %d: at %v jitter is a slip of %v", seed, next[audio], d)
				break
			}
		}
	}
}

// Reports that jitter, of a sender that is young, on a network that holds frames up now and
// then, agree by chance: that is no step of the clock.
func TestJitterIsNoStep(t *testing.T) {
	often := func(r *rand.Rand) time.Duration { return ms(max(5, 600*r.Float64()-300)) }
	p := program{every: time.Second, delay: upTo(12), network: often, lie: around(37.5)}
	for seed := uint64(500); seed < 600; seed++ { // 558 was one
		s := p.start(seed)
		s.run(t, 5200*time.Millisecond)
		at := 5200 * time.Millisecond
		before := s.tl.Media(video, s.ts(video, at))
		s.from(t, at, 8*time.Second)
		if d := s.tl.Media(video, s.ts(video, at)) - before; d.Abs() > ms(50) {
			t.Errorf("seed %d: the picture moves by %v", seed, d)
		}
	}
}
