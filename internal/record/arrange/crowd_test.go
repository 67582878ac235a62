package arrange

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// crowd is a sender that wants Periods all the time. It counts those that it gets, and
// what has no place.
type crowd struct {
	*script
	periods             []time.Duration // when they began
	recordings, leftOut int
	causes              map[string]bool // of gaps
	formats             map[Lane]*media.Format
	foreign             []string // samples in Periods of another format
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{script: newScript(t), causes: map[string]bool{}, formats: map[Lane]*media.Format{}}
	c.a = New(Options{SegmentDuration: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}, c)
	c.join(t)
	return c
}

func (c *crowd) BeginRecording(time.Duration) { c.recordings++ }

func (c *crowd) BeginPeriod(time.Duration, []Lane) {
	c.periods = append(c.periods, c.a.now.Sub(c.zero))
}

func (c *crowd) Enter(l Lane, f *media.Format, _ media.Ticks) { c.formats[l] = f }

// Sample wants the samples of a lane to be of its format: sizes are written in them.
func (c *crowd) Sample(l Lane, s Sample) {
	if f := c.formats[l]; l.Kind == media.Video && !s.Filler && !bytes.HasPrefix(s.Data, size(f)) {
		c.foreign = append(c.foreign, fmt.Sprintf("%s in a Period of %s", s.Data, size(f)))
	}
}

func (c *crowd) End(Lane, media.Ticks) {}

func (c *crowd) Gap(_ Lane, g Gap) { c.causes[g.Cause] = true }

func (c *crowd) LeftOut(Lane) { c.leftOut++ }

func (c *crowd) BeforeKey(Lane, int, time.Duration) {}

func (c *crowd) Corrected(Lane) {}

func (c *crowd) WantKeyFrame(media.TrackID) {}

func size(f *media.Format) []byte { return fmt.Appendf(nil, "%dx%d", f.Width, f.Height) }

// sized sends a picture of one of two sizes.
func (c *crowd) sized(id media.TrackID, small, key bool, at time.Duration) {
	f := *videoFormat
	if small {
		f.Width, f.Height = 320, 180
	}
	c.frame(id, &media.Frame{Timestamp: ticks(at, videoRate), Key: key, Format: &f, Data: fmt.Appendf(size(&f), " at %v", at)})
}

// reports sends the report of a track: its clock is ahead by so much.
func (c *crowd) report(id media.TrackID, rate int64, ahead time.Duration) {
	c.a.Report(&media.SenderReport{Track: id, NTP: media.NTP(c.now().Add(ahead)), RTP: uint32(ticks(c.at, rate)), Arrival: c.now()})
}

// steps calls send every 20 ms for a minute, with the number of the call.
func (c *crowd) steps(send func(i int)) {
	for i := range 3000 {
		send(i)
		if i%10 == 0 {
			c.a.Advance(c.now())
		}
		c.at += soundEvery
	}
}

// tooMany returns Periods that are more than there may be in their time.
func (c *crowd) tooMany() (from, to int) {
	for from := range c.periods {
		for to := from + periodBurst; to < len(c.periods); to++ {
			if time.Duration(to-from+1-periodBurst)*periodEvery > c.periods[to]-c.periods[from] {
				return from, to + 1
			}
		}
	}
	return 0, 0
}

// Whatever a sender does, it gets a Period a second, and a few at once: what has no
// place is left out and counted, and what is written can be decoded.
func TestCrowds(t *testing.T) {
	follows := map[string]bool{"jumps": true, "clocks": true, "clocks_of_sound": true} // without many Periods
	for name, life := range map[string]func(*testing.T, *crowd){
		"sizes": func(_ *testing.T, c *crowd) {
			c.steps(func(i int) {
				c.sized(0, i/5%2 == 0, i%5 == 0, c.at)
				c.frame(1, sound(c.at))
			})
		},
		"publishers": func(t *testing.T, c *crowd) {
			c.steps(func(i int) {
				if i%10 == 9 {
					c.a.Leave()
					c.join(t)
				}
				c.sized(0, false, i%10 == 0, c.at)
				c.frame(1, sound(c.at))
			})
		},
		"publishers_of_sound": func(_ *testing.T, c *crowd) {
			tracks := []Track{c.a.pub.audio.Track}
			c.steps(func(i int) {
				if i%10 == 0 {
					c.a.Leave()
					c.a.Join(c.now(), tracks)
				}
				c.frame(1, sound(c.at))
			})
		},
		"publishers_of_other_kinds": func(t *testing.T, c *crowd) {
			tracks := []Track{c.a.pub.audio.Track}
			c.steps(func(i int) {
				switch i % 20 {
				case 0:
					c.a.Leave()
					c.a.Join(c.now(), tracks)
				case 10:
					c.a.Leave()
					c.join(t)
				}
				if i%20 >= 10 {
					c.sized(0, false, i%20 == 10, c.at)
				}
				c.frame(1, sound(c.at))
			})
		},
		"jumps": func(_ *testing.T, c *crowd) {
			c.steps(func(i int) {
				c.sized(0, false, i%5 == 0, c.at+time.Duration(i/5*i)*time.Minute)
				c.frame(1, sound(c.at+time.Duration(i/7*i)*time.Hour))
			})
		},
		"clocks": func(_ *testing.T, c *crowd) {
			c.steps(func(i int) {
				c.sized(0, false, true, c.at)
				c.frame(1, sound(c.at))
				c.report(0, videoRate, 0)
				c.report(1, audioRate, time.Duration(i/3%7)*700*time.Millisecond)
			})
		},
		"clocks_of_sound": func(_ *testing.T, c *crowd) {
			tracks := []Track{c.a.pub.audio.Track}
			c.a.Leave()
			c.a.Join(c.now(), tracks)
			c.steps(func(i int) {
				c.frame(1, sound(c.at))
				c.report(1, audioRate, time.Duration(i/3%7)*700*time.Millisecond)
			})
		},
		// Its timestamps fall behind for an hour, and then catch up in leaps.
		"leaps": func(_ *testing.T, c *crowd) {
			ts := time.Duration(0)
			c.steps(func(i int) {
				if ts += 10 * time.Millisecond; i < 720 {
					c.at += 5 * time.Second
				} else if i%2 == 0 {
					ts += 61 * time.Second
				}
				c.sized(0, false, true, ts)
				c.a.Report(&media.SenderReport{Track: 0, NTP: media.NTP(c.zero.Add(ts)), RTP: uint32(ticks(ts, videoRate)), Arrival: c.now()})
			})
		},
		"layers": func(t *testing.T, c *crowd) {
			c.a.Leave()
			c.layers = make([]simulated, 3)
			c.join(t)
			c.steps(func(i int) {
				for l := range 3 {
					if (i/60+l)%3 != 0 {
						c.sized(trackOf(l), (i/5+l)%2 == 0, i%5 == 0, c.at)
					}
				}
				c.frame(1, sound(c.at))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t)
			life(t, c)
			c.a.Leave()
			t.Logf("%d Periods, %d recordings, %d left out, gaps %v", len(c.periods), c.recordings+1, c.leftOut, c.causes)
			if c.causes[CauseLimit] == follows[name] || (c.leftOut == 0) != follows[name] {
				t.Errorf("%d frames left out, with gaps of %v", c.leftOut, c.causes)
			}
			if from, to := c.tooMany(); to > 0 {
				t.Errorf("Periods at %v", c.periods[from:to])
			}
			if len(c.foreign) > 0 {
				t.Errorf("%d samples cannot be decoded: %s", len(c.foreign), strings.Join(c.foreign[:min(3, len(c.foreign))], ", "))
			}
		})
	}
}
