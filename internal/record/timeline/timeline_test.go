// A timeline has no goroutines: the race detector would only take minutes.

//go:build !race

package timeline

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	video media.TrackID = 0
	audio media.TrackID = 1
)

var tracks = []media.Track{
	{ID: video, Kind: media.Video, ClockRate: 90000},
	{ID: audio, Kind: media.Audio, ClockRate: 48000},
}

// sender is a publisher with its own wall clock and a clock for each track.
type sender struct {
	start time.Time // our clock at the sender's time 0
	ntp   time.Time // the sender's clock at its time 0
	ppm   map[media.TrackID]float64
	ts0   map[media.TrackID]int64
}

func newSender() *sender {
	return &sender{
		start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		ntp:   time.Date(2019, 9, 9, 9, 9, 9, 987654321, time.UTC), // a wrong clock must not matter
		ppm:   map[media.TrackID]float64{},
		ts0:   map[media.TrackID]int64{video: 1<<32 - 90000*3, audio: 777},
	}
}

// ts returns the track's timestamp at the sender's time d.
func (s *sender) ts(id media.TrackID, d time.Duration) int64 {
	rate := float64(tracks[id].ClockRate) * (1 + s.ppm[id]/1e6)
	return s.ts0[id] + int64(d.Seconds()*rate+0.5)
}

func (s *sender) observe(t *Timeline, id media.TrackID, d, transit time.Duration) {
	t.Observe(id, s.ts(id, d), s.start.Add(d+transit))
}

func (s *sender) report(t *Timeline, id media.TrackID, d, transit, lie time.Duration) {
	t.Report(&media.SenderReport{
		Track: id, NTP: media.NTP(s.ntp.Add(d + lie)), RTP: uint32(s.ts(id, d)), Arrival: s.start.Add(d + transit),
	})
}

// run sends both tracks every 20 ms from one time to another; reports come
// every two seconds, if at all.
func (s *sender) run(t *Timeline, from, to time.Duration, transit map[media.TrackID]time.Duration, reports bool) {
	for d := from; d < to; d += 20 * time.Millisecond {
		for id := range transit {
			s.observe(t, id, d, transit[id])
			if reports && d%(2*time.Second) == 0 {
				s.report(t, id, d, transit[id], 0)
			}
		}
	}
}

func (s *sender) check(t *testing.T, tl *Timeline, id media.TrackID, d, want, tolerance time.Duration) {
	t.Helper()
	got := tl.Media(id, s.ts(id, d))
	if diff := got - want; diff > tolerance || diff < -tolerance {
		t.Errorf("media time of track %d at %v is %v, want %v ± %v", id, d, got, want, tolerance)
	}
}

// Sender reports alone decide the relation of the tracks: the audio takes
// 300 ms longer to arrive, and is in sync.
func TestReportsGiveSync(t *testing.T) {
	s, tl := newSender(), New(tracks)
	transit := map[media.TrackID]time.Duration{video: 5 * time.Millisecond, audio: 305 * time.Millisecond}
	s.observe(tl, video, 0, transit[video])
	tl.Anchor(video, s.ts(video, 0), 0)
	if !tl.Ready(video) || tl.Ready(audio) {
		t.Fatalf("Ready before any report: video %v, audio %v; want true, false", tl.Ready(video), tl.Ready(audio))
	}
	s.run(tl, 20*time.Millisecond, 3*time.Second, transit, true)
	if !tl.Synced() || !tl.Ready(audio) {
		t.Fatal("not synced after reports of both tracks")
	}
	s.check(t, tl, video, time.Second, time.Second, 100*time.Microsecond)
	s.check(t, tl, audio, time.Second, time.Second, 100*time.Microsecond)
}

// The first packets are often late: that later ones come sooner, when the reports
// have long come, moves nothing.
func TestLateBegin(t *testing.T) {
	s, tl := newSender(), New(tracks)
	late := map[media.TrackID]time.Duration{video: 60 * time.Millisecond, audio: 60 * time.Millisecond}
	usual := map[media.TrackID]time.Duration{video: 5 * time.Millisecond, audio: 5 * time.Millisecond}
	s.observe(tl, audio, 0, late[audio])
	tl.Anchor(audio, s.ts(audio, 0), 0)
	s.run(tl, 20*time.Millisecond, time.Second, late, false)
	s.report(tl, audio, time.Second, late[audio], 0)
	s.report(tl, video, time.Second, late[video], 0)
	if !tl.Ready(video) {
		t.Fatal("not ready after reports of both tracks")
	}
	s.run(tl, time.Second, 10*time.Minute, usual, true)
	for _, id := range []media.TrackID{video, audio} {
		s.check(t, tl, id, 10*time.Minute, 10*time.Minute, 100*time.Microsecond)
	}
}

// Without reports the arrivals decide, by the least delayed packet, and no
// later than settle after the anchor.
func TestArrivalsWithoutReports(t *testing.T) {
	s, tl := newSender(), New(tracks)
	s.observe(tl, video, 0, 80*time.Millisecond) // a large key frame arrives late
	tl.Anchor(video, s.ts(video, 0), 0)
	both := map[media.TrackID]time.Duration{video: 10 * time.Millisecond, audio: 10 * time.Millisecond}
	s.run(tl, 20*time.Millisecond, 4900*time.Millisecond, both, false)
	if tl.Ready(audio) {
		t.Fatal("ready before the time for reports was over")
	}
	s.run(tl, 4900*time.Millisecond, 5500*time.Millisecond, both, false)
	if !tl.Ready(audio) || tl.Synced() {
		t.Fatalf("Ready %v, Synced %v after 5 s without reports; want true, false", tl.Ready(audio), tl.Synced())
	}
	s.check(t, tl, audio, 2*time.Second, 2*time.Second, time.Millisecond)
}

// Reports show that the tracks' clocks run differently, for a day and over
// the wraps of both RTP clocks.
func TestSkewOverADay(t *testing.T) {
	s, tl := newSender(), New(tracks)
	s.ppm[video], s.ppm[audio] = 100, -100
	transit := map[media.TrackID]time.Duration{video: 5 * time.Millisecond, audio: 5 * time.Millisecond}
	s.observe(tl, video, 0, transit[video])
	tl.Anchor(video, s.ts(video, 0), 0)
	s.run(tl, 20*time.Millisecond, 10*time.Second, transit, true)
	day := 24 * time.Hour
	for d := 10 * time.Second; d <= day; d += 2 * time.Second {
		for id := range transit {
			s.observe(tl, id, d, transit[id])
			s.report(tl, id, d, transit[id], 0)
		}
	}
	s.check(t, tl, video, day, day, 3*time.Millisecond)
	s.check(t, tl, audio, day, day, 3*time.Millisecond)
}

// The sender's clock drifts against ours: media time follows ours, slowly.
func TestSenderClockDrift(t *testing.T) {
	s, tl := newSender(), New(tracks[:1])
	s.observe(tl, video, 0, 0)
	tl.Anchor(video, s.ts(video, 0), 0)
	hours := 6 * time.Hour
	for d := time.Second; d <= hours; d += time.Second {
		late := time.Duration(float64(d) * 100e-6) // the sender loses 100 ppm
		s.observe(tl, video, d, late)
		s.report(tl, video, d, late, 0)
	}
	ours := hours + time.Duration(float64(hours)*100e-6)
	s.check(t, tl, video, hours, ours, 100*time.Millisecond)
}

// A minute of congestion is not the clocks' skew.
func TestCongestionMovesNothing(t *testing.T) {
	s, tl := newSender(), New(tracks)
	both := func(d time.Duration) map[media.TrackID]time.Duration {
		return map[media.TrackID]time.Duration{video: d, audio: d}
	}
	s.observe(tl, video, 0, 0)
	tl.Anchor(video, s.ts(video, 0), 0)
	s.run(tl, 20*time.Millisecond, 30*time.Second, both(0), true)
	s.run(tl, 30*time.Second, 90*time.Second, both(400*time.Millisecond), true)
	s.check(t, tl, video, 90*time.Second, 90*time.Second, time.Millisecond)
}

// A process that stood still gets frames and reports seconds late, and the first report
// of a track among them: nothing moves when the next ones come in time.
func TestStandstill(t *testing.T) {
	both := map[media.TrackID]time.Duration{video: ms(5), audio: ms(5)}
	late := func(s *sender, tl *Timeline, ids ...media.TrackID) {
		for d := 10 * time.Second; d < 17*time.Second; d += ms(20) {
			for _, id := range ids {
				if d%time.Second == 0 {
					s.report(tl, id, d, 17*time.Second-d, 0)
				}
				s.observe(tl, id, d, 17*time.Second-d)
			}
		}
	}
	t.Run("one track", func(t *testing.T) {
		s, tl := newSender(), New(tracks)
		s.observe(tl, audio, 0, ms(5))
		tl.Anchor(audio, s.ts(audio, 0), 0)
		s.run(tl, 0, time.Second, map[media.TrackID]time.Duration{audio: ms(5)}, false)
		late(s, tl, audio)
		s.run(tl, 17*time.Second, 40*time.Second, map[media.TrackID]time.Duration{audio: ms(5)}, true)
		s.check(t, tl, audio, 40*time.Second, 40*time.Second, ms(10))
	})
	t.Run("two tracks", func(t *testing.T) {
		s, tl := settled(time.Second, false)
		late(s, tl, video, audio)
		for d := 17 * time.Second; d <= 40*time.Second; d += time.Second {
			s.run(tl, d, d+time.Second, both, true)
			s.check(t, tl, audio, d, d, ms(10))
			s.check(t, tl, video, d, d, ms(10))
		}
	})
}

// A track that first comes late from such a process is where it was made.
func TestFirstAfterStandstill(t *testing.T) {
	s, tl := newSender(), New(tracks)
	s.observe(tl, audio, 0, ms(5))
	tl.Anchor(audio, s.ts(audio, 0), 0)
	s.run(tl, ms(20), 10*time.Second, map[media.TrackID]time.Duration{audio: ms(5)}, true)
	for d := 10 * time.Second; d < 17*time.Second; d += ms(20) {
		s.observe(tl, audio, d, 17*time.Second-d)
		if d >= 12*time.Second {
			s.observe(tl, video, d, 17*time.Second-d)
			s.check(t, tl, video, d, d, ms(30))
		}
	}
}

// A sender sets its clock: nothing moves, with one track or two.
func TestClockSet(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 3 * time.Second} {
		for _, transit := range []map[media.TrackID]time.Duration{{audio: ms(5)}, {audio: ms(35), video: ms(5)}} {
			s, tl := newSender(), New(tracks)
			s.observe(tl, audio, 0, transit[audio])
			tl.Anchor(audio, s.ts(audio, 0), 0)
			s.run(tl, ms(20), 21*time.Second, transit, true)
			s.ntp = s.ntp.Add(by)
			for d := 21 * time.Second; d < 40*time.Second; d += time.Second {
				s.run(tl, d, d+time.Second, transit, true)
				for id := range transit {
					s.check(t, tl, id, d, d, ms(1))
				}
			}
		}
	}
}

// One report that jumps is not believed; the second that agrees is.
func TestJumpNeedsConfirmation(t *testing.T) {
	s, tl := newSender(), New(tracks)
	transit := map[media.TrackID]time.Duration{video: 0, audio: 0}
	s.observe(tl, video, 0, 0)
	tl.Anchor(video, s.ts(video, 0), 0)
	s.run(tl, 20*time.Millisecond, 10*time.Second, transit, true)
	s.report(tl, audio, 10*time.Second, 0, 700*time.Millisecond)
	s.check(t, tl, audio, 10*time.Second, 10*time.Second, time.Millisecond)
	s.report(tl, audio, 11*time.Second, 0, -3*time.Second) // another lie, not a confirmation
	s.check(t, tl, audio, 11*time.Second, 11*time.Second, time.Millisecond)
	s.report(tl, audio, 12*time.Second, 0, 700*time.Millisecond)
	s.report(tl, audio, 13*time.Second, 0, 703*time.Millisecond)
	s.check(t, tl, audio, 13*time.Second, 13*time.Second+703*time.Millisecond, time.Millisecond)
}

// A report of 90 ms beside the truth is a jump, too: corrections would follow it.
func TestSmallJumpNeedsConfirmation(t *testing.T) {
	s, tl := newSender(), New(tracks)
	s.observe(tl, video, 0, 0)
	tl.Anchor(video, s.ts(video, 0), 0)
	s.run(tl, 20*time.Millisecond, 10*time.Second, map[media.TrackID]time.Duration{video: 0, audio: 0}, true)
	s.report(tl, audio, 10*time.Second, 0, 90*time.Millisecond)
	s.check(t, tl, audio, 10*time.Second, 10*time.Second, time.Millisecond)
}

// The first report of a track is held against its arrivals, whichever track
// reports first.
func TestFirstReportThatLies(t *testing.T) {
	for _, order := range [][]media.TrackID{{video, audio}, {audio, video}} {
		s, tl := newSender(), New(tracks)
		transit := map[media.TrackID]time.Duration{video: 0, audio: 300 * time.Millisecond}
		s.observe(tl, video, 0, transit[video])
		tl.Anchor(video, s.ts(video, 0), 0)
		s.observe(tl, audio, 0, transit[audio])
		for _, id := range order {
			s.report(tl, id, time.Second, transit[id], map[media.TrackID]time.Duration{audio: 2 * time.Second}[id])
		}
		if tl.Synced() {
			t.Error("a report that puts the audio 2 s off was believed")
		}
		for _, id := range order {
			s.report(tl, id, 2*time.Second, transit[id], 0)
		}
		if !tl.Synced() {
			t.Error("the truth was not believed")
		}
		s.check(t, tl, video, 2*time.Second, 2*time.Second, time.Millisecond)
		s.check(t, tl, audio, 2*time.Second, 2*time.Second, time.Millisecond)
	}
}

// The timestamps of one track jump: nothing moves, with reports and without,
// before the mapping has settled and after.
func TestJump(t *testing.T) {
	for _, id := range []media.TrackID{video, audio} {
		for _, reports := range []bool{true, false} {
			s, tl := newSender(), New(tracks)
			transit := map[media.TrackID]time.Duration{video: 5 * time.Millisecond, audio: 5 * time.Millisecond}
			if reports {
				transit[audio] = 125 * time.Millisecond // which the reports have told
			}
			s.observe(tl, video, 0, transit[video])
			tl.Anchor(video, s.ts(video, 0), 0)
			s.run(tl, 20*time.Millisecond, 4*time.Second, transit, reports)
			from := s.ts(id, 4*time.Second)
			s.ts0[id] += 5 * 3600 * int64(tracks[id].ClockRate)
			tl.Jump(id, from, s.ts(id, 4*time.Second))
			tl.Jump(9, 0, 1)
			s.run(tl, 4*time.Second, 5900*time.Millisecond, transit, reports)
			s.check(t, tl, video, 5*time.Second, 5*time.Second, time.Millisecond)
			s.check(t, tl, audio, 5*time.Second, 5*time.Second, time.Millisecond)
			s.report(tl, id, 6*time.Second, transit[id], 5*time.Millisecond)
			if tl.tracks[id].doubted {
				t.Errorf("track %d: a report after the jump is taken for a jump", id)
			}
		}
	}
}

// settled returns a sender of sound and picture that has sent both until a time, with reports
// or without, and a timeline that has observed it.
func settled(until time.Duration, reports bool) (*sender, *Timeline) {
	s, tl := newSender(), New(tracks)
	s.observe(tl, video, 0, ms(5))
	tl.Anchor(video, s.ts(video, 0), 0)
	s.run(tl, ms(20), until, map[media.TrackID]time.Duration{video: ms(5), audio: ms(5)}, reports)
	return s, tl
}

// What the arrivals told of a jump may be off by what the network did at that moment: the
// next report tells better, and is believed at once.
func TestReportAfterJump(t *testing.T) {
	both := map[media.TrackID]time.Duration{video: ms(5), audio: ms(5)}
	for _, exact := range []bool{true, false} {
		s, tl := settled(21*time.Second, true)
		from := s.ts(audio, 21*time.Second-ms(160))
		s.ts0[audio] += 1 << 33
		tl.Jump(audio, from, s.ts(audio, 21*time.Second))
		late := map[media.TrackID]time.Duration{video: ms(5), audio: ms(165)}
		s.run(tl, 21*time.Second, 22*time.Second, late, false)
		s.check(t, tl, audio, 22*time.Second, 22*time.Second+ms(160), ms(1))
		lie := time.Duration(0)
		if !exact {
			lie = ms(30)
		}
		s.report(tl, audio, 22*time.Second, ms(5), lie)
		s.check(t, tl, audio, 22*time.Second, 22*time.Second, lie+ms(1))
		s.run(tl, 22*time.Second, 60*time.Second, both, true)
		s.check(t, tl, audio, 60*time.Second, tl.Media(video, s.ts(video, 60*time.Second)), ms(1))
	}
}

// What the first frame tells of a clock is off by what held it up, or the last one before: those
// after it tell better, and are believed within a second. So it is with a track that comes late and with
// one whose timestamps jump, and where no report tells it, or one of whole seconds alone.
func TestFirstFrameHeldUp(t *testing.T) {
	both := map[media.TrackID]time.Duration{video: ms(5), audio: ms(5)}
	for _, off := range []time.Duration{ms(160), -ms(160)} {
		for _, reports := range []bool{true, false} {
			s, tl := settled(21*time.Second, reports)
			from := s.ts(audio, 21*time.Second+off)
			s.ts0[audio] += 1 << 33
			tl.Jump(audio, from, s.ts(audio, 21*time.Second))
			s.observe(tl, audio, 21*time.Second, ms(5)+max(off, 0))
			s.run(tl, 21*time.Second+ms(20), 22*time.Second, both, false)
			s.check(t, tl, audio, 22*time.Second, 22*time.Second, ms(1))
			s.check(t, tl, video, 22*time.Second, 22*time.Second, ms(1))
		}
	}
	s, tl := newSender(), New(tracks)
	s.observe(tl, audio, 0, ms(5))
	tl.Anchor(audio, s.ts(audio, 0), 0)
	s.run(tl, ms(20), 7*time.Second, map[media.TrackID]time.Duration{audio: ms(5)}, false)
	s.observe(tl, video, 7*time.Second, ms(165))
	s.run(tl, 7*time.Second+ms(20), 8*time.Second, both, false)
	s.check(t, tl, video, 8*time.Second, 8*time.Second, ms(1))
}

// How long a clock has stood still is known by the arrivals of before: those right after that
// is told do not say it anew, also where they are all that was measured of late.
func TestSlip(t *testing.T) {
	both := map[media.TrackID]time.Duration{video: ms(5), audio: ms(5)}
	for _, again := range []bool{false, true} {
		s, tl := settled(20*time.Second, true)
		s.ts0[audio] -= int64(media.TicksOf(500*time.Millisecond, 48000))
		s.run(tl, 20*time.Second, 28*time.Second, both, false)
		to := s.ts(audio, 28*time.Second)
		tl.Slip(audio, to+int64(media.TicksOf(500*time.Millisecond, 48000)), to)
		tl.Slip(9, 0, 1)
		if again { // before the next packet
			s.report(tl, audio, 28*time.Second, ms(5), 0)
		}
		s.run(tl, 28*time.Second, 29*time.Second, both, false)
		s.check(t, tl, audio, 29*time.Second, 29*time.Second, ms(1))
	}
}

// Timestamps that go on where they were expected, as with another SSRC, and frames that a busy
// machine holds up a little just then: nothing moves.
func TestBusyAfterJump(t *testing.T) {
	both := map[media.TrackID]time.Duration{video: ms(5), audio: ms(5)}
	s, tl := settled(21*time.Second, true)
	at := s.ts(video, 21*time.Second)
	tl.Jump(video, at, at)
	late := ms(120)
	for d := 21 * time.Second; d < 21600*time.Millisecond; d += ms(33) {
		s.observe(tl, video, d, late)
		late = max(late/2, ms(25))
		s.check(t, tl, video, d, d, ms(1))
	}
	s.run(tl, 21600*time.Millisecond, 23*time.Second, both, false)
	s.check(t, tl, video, 23*time.Second, 23*time.Second, ms(1))
}

// A report after a jump that says just what the ones before it said leaves them what they
// are: two tracks that jump one after the other, of a sender that is young, stay where they
// are, though the network is busy when the reports come.
func TestReportAgreesAfterJump(t *testing.T) {
	s, tl := newSender(), New(tracks)
	transit := map[media.TrackID]time.Duration{video: ms(105), audio: ms(5)}
	s.observe(tl, audio, 0, transit[audio])
	tl.Anchor(audio, s.ts(audio, 0), 0)
	for d := ms(20); d < 5*time.Second; d += ms(20) {
		for _, id := range []media.TrackID{audio, video} {
			if id == audio && d == ms(3300) || id == video && d == ms(3400) {
				from := s.ts(id, d)
				s.ts0[id] += 60 * int64(tracks[id].ClockRate)
				tl.Jump(id, from, s.ts(id, d))
			}
			busy := time.Duration(0)
			if d > ms(3400) && d%ms(800) < ms(100) {
				busy = ms(25) - d%ms(800)/5
			}
			s.observe(tl, id, d, transit[id]+busy)
			if d%ms(800) == 0 {
				s.report(tl, id, d, transit[id]+busy, 0)
			}
		}
	}
	s.check(t, tl, audio, 5*time.Second, 5*time.Second, ms(1))
	s.check(t, tl, video, 5*time.Second, 5*time.Second, ms(1))
}

// Reports of the new clock come before its first frame, as many as confirm each
// other: the jump that the frame then tells of is made once.
func TestReportsBeforeJump(t *testing.T) {
	s, tl := newSender(), New(tracks)
	transit := map[media.TrackID]time.Duration{video: 5 * time.Millisecond, audio: 125 * time.Millisecond}
	s.observe(tl, video, 0, transit[video])
	tl.Anchor(video, s.ts(video, 0), 0)
	s.run(tl, 20*time.Millisecond, 6*time.Second, transit, true)
	from := s.ts(video, 9*time.Second)
	s.ts0[video] += 3600 * 90000
	for d := 6 * time.Second; d < 9*time.Second; d += time.Second {
		s.report(tl, video, d, transit[video], 0)
	}
	tl.Jump(video, from, s.ts(video, 9*time.Second))
	s.run(tl, 9*time.Second, 12*time.Second, transit, true)
	s.check(t, tl, video, 10*time.Second, 10*time.Second, time.Millisecond)
	s.check(t, tl, audio, 10*time.Second, 10*time.Second, time.Millisecond)
}

// A report that comes before the first frame that it is about tells where that belongs: of a
// track that comes late, and of one that goes on by another clock, whose frame was held up.
func TestReportBeforeItsFrame(t *testing.T) {
	transit := map[media.TrackID]time.Duration{video: 5 * time.Millisecond, audio: 5 * time.Millisecond}
	begin := func() (*sender, *Timeline) {
		s, tl := newSender(), New(tracks)
		s.observe(tl, video, 0, transit[video])
		tl.Anchor(video, s.ts(video, 0), 0)
		return s, tl
	}
	t.Run("track that comes late", func(t *testing.T) {
		s, tl := begin()
		s.run(tl, 20*time.Millisecond, 6*time.Second, map[media.TrackID]time.Duration{video: transit[video]}, true)
		s.report(tl, audio, 6*time.Second, transit[audio], 0)
		s.observe(tl, audio, 6*time.Second, 300*time.Millisecond)
		s.check(t, tl, audio, 6*time.Second, 6*time.Second, time.Millisecond)
	})
	t.Run("other clock", func(t *testing.T) {
		s, tl := begin()
		s.run(tl, 20*time.Millisecond, 6*time.Second, transit, true)
		from := s.ts(video, 6*time.Second+295*time.Millisecond) // by its arrival
		s.ts0[video] += 3600 * 90000
		s.report(tl, video, 6*time.Second, transit[video], 0)
		tl.Jump(video, from, s.ts(video, 6*time.Second))
		s.observe(tl, video, 6*time.Second, 300*time.Millisecond)
		s.check(t, tl, video, 6*time.Second, 6*time.Second, 2*time.Millisecond)
	})
}

func TestReportsThatCannotBeUsed(t *testing.T) {
	s, tl := newSender(), New(tracks)
	s.observe(tl, video, 0, 0)
	tl.Report(&media.SenderReport{Track: video, NTP: 0, RTP: uint32(s.ts(video, 0))})
	tl.Report(&media.SenderReport{Track: 9, NTP: 1, RTP: 1})
	if tl.tracks[video].reported {
		t.Error("a report without a clock, or of no track, was used")
	}
	s.report(tl, video, time.Second, 0, 0)
	before := tl.tracks[video].origin
	s.report(tl, video, 500*time.Millisecond, 0, 50*time.Millisecond) // older
	if tl.tracks[video].origin != before {
		t.Error("a report older than the last was used")
	}
}

// An anchor anywhere on the media timeline: a publisher that came back.
func TestAnchorElsewhere(t *testing.T) {
	s, tl := newSender(), New(tracks)
	s.observe(tl, video, 0, 0)
	tl.Anchor(video, s.ts(video, 0), 42*time.Second)
	s.run(tl, 20*time.Millisecond, 3*time.Second, map[media.TrackID]time.Duration{video: 0, audio: 0}, true)
	s.check(t, tl, audio, time.Second, 43*time.Second, time.Millisecond)
}

// Reports that tell whole seconds alone, of a track that comes when the mapping is fixed,
// leave it where it is by the arrivals, beside the other: by less than a second they do
// not know better.
func TestWholeSecondsOfALateTrack(t *testing.T) {
	s, tl := newSender(), New(tracks)
	s.ntp = s.ntp.Truncate(time.Second)
	whole := func(id media.TrackID, d time.Duration) {
		s.report(tl, id, d, ms(30), d.Truncate(time.Second)-d)
	}
	for d := ms(900); d < 20*time.Second; d += ms(20) {
		s.observe(tl, audio, d, ms(30))
		if d == ms(900) {
			tl.Anchor(audio, s.ts(audio, d), 0)
		}
		if d%time.Second == ms(900) {
			whole(audio, d)
		}
		if d < 10*time.Second {
			continue
		}
		s.observe(tl, video, d, ms(30))
		if d%time.Second == ms(100) {
			whole(video, d)
		}
	}
	at := 20 * time.Second
	s.check(t, tl, video, at, tl.Media(audio, s.ts(audio, at)), ms(20))
}

// They say no more of a track whose timestamps have jumped, or of both: the tracks go to where
// all their reports have them together.
func TestWholeSecondsAfterJump(t *testing.T) {
	for _, jumps := range [][]media.TrackID{{audio}, {video}, {audio, video}} {
		s, tl := newSender(), New(tracks)
		s.ntp = s.ntp.Truncate(time.Second)
		at := map[media.TrackID]time.Duration{video: ms(900), audio: ms(920)} // of a second, reports
		for d := ms(900); d < 20*time.Second; d += ms(20) {
			for _, id := range jumps {
				if d == 10*time.Second {
					from := s.ts(id, d)
					s.ts0[id] += 1 << 31
					tl.Jump(id, from, s.ts(id, d))
					at[id] -= ms(800)
				}
			}
			for _, id := range []media.TrackID{video, audio} {
				s.observe(tl, id, d, ms(30))
				if d == ms(900) && id == video {
					tl.Anchor(video, s.ts(video, d), d)
				}
				if d%time.Second == at[id] {
					s.report(tl, id, d, ms(30), d.Truncate(time.Second)-d)
				}
			}
		}
		s.check(t, tl, video, 20*time.Second, 20*time.Second, ms(20))
		s.check(t, tl, audio, 20*time.Second, 20*time.Second, ms(20))
	}
}

// So they do where the reports contradict each other by as much as the arrivals, which have told
// how far the timestamps jumped, may be off.
func TestWholeSecondsAfterInexactJump(t *testing.T) {
	both := map[media.TrackID]time.Duration{video: ms(5), audio: ms(5)}
	s, tl := newSender(), New(tracks)
	s.ntp = s.ntp.Truncate(time.Second)
	s.observe(tl, video, 0, ms(5))
	tl.Anchor(video, s.ts(video, 0), 0)
	for d := ms(20); d < 20*time.Second; d += time.Second {
		s.run(tl, d, d+ms(980), both, false)
		s.report(tl, video, d+ms(975), ms(5), -ms(995))
		s.report(tl, audio, d+ms(975), ms(5), -ms(995))
		s.run(tl, d+ms(980), d+time.Second, both, false)
	}
	at := ms(20020)
	both[audio] += ms(9)
	for _, id := range []media.TrackID{audio, video} {
		from := s.ts(id, at)
		s.ts0[id] += 1 << 33
		tl.Jump(id, from, s.ts(id, at))
	}
	s.run(tl, at, at+ms(980), both, false)
	at += ms(980)
	for _, id := range []media.TrackID{video, audio} {
		s.report(tl, id, at, both[id], 0)
		s.check(t, tl, video, at, at, ms(10))
		s.check(t, tl, audio, at, at, ms(10))
	}
}

// What they tell of the transit time, while the mapping may still move, moves no track whose
// timestamps have jumped before.
func TestWholeSecondsAfterEarlyJump(t *testing.T) {
	s, tl := newSender(), New(tracks)
	s.ntp = s.ntp.Truncate(time.Second)
	next := map[media.TrackID]time.Duration{video: ms(900), audio: ms(860)} // reports
	for d := ms(900); d < 20*time.Second; d += ms(20) {
		for _, id := range []media.TrackID{video, audio} {
			if d == ms(3180) {
				from := s.ts(id, d)
				s.ts0[id] += 1 << 31
				tl.Jump(id, from, s.ts(id, d))
			}
			s.observe(tl, id, d, ms(30))
			if d == ms(900) && id == video {
				tl.Anchor(video, s.ts(video, d), d)
			}
			if d >= next[id] {
				s.report(tl, id, d, ms(30), d.Truncate(time.Second)-d)
				next[id] += time.Second + time.Duration(audio-id)*ms(40)
			}
			if d > 2*time.Second {
				s.check(t, tl, id, d, d, ms(2))
			}
		}
	}
}
