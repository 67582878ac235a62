//go:build !norecorder && !race

package node

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange/arrangetest"
	"github.com/live777/recorder/internal/testkit/load"
)

const (
	advanced = 200 * ms // how often the recorder looks at the clock
	onTheWay = 5 * ms
	resent   = 60 * ms // until a packet that was lost has been asked for and sent again
)

// listedCases are those of which all commands are written down.
var listedCases = []string{"pause-8s", "loss-2-final-vp9", "size-change-vp9", "reconnect-other-codec", "rotation-audio-late", "skew-6000ppm"}

// TestFidelityCommands holds what the arranger decides in the cases of TestFidelity, with a
// network that takes no time, against what it decided before: an arranger that was changed
// inside, and in nothing that it does, decides the same.
func TestFidelityCommands(t *testing.T) {
	var sums strings.Builder
	for _, c := range fidelityCases(testFiles(t)) {
		desk, err := c.rehearse()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		fmt.Fprintf(&sums, "%s %s\n", c.name, desk.Sum())
		if slices.Contains(listedCases, c.name) {
			arrangetest.Golden(t, "commands_"+c.name, desk.Listing())
		}
	}
	arrangetest.Golden(t, "commands", sums.String())
}

// rehearsed is a case without a network.
type rehearsed struct {
	desk  *arrangetest.Desk
	base  time.Time
	began time.Duration // when the publisher did
	way   []*arrival    // in the order of their times
	looks int           // at the clock
}

// arrival is something that is on its way.
type arrival struct {
	at     time.Duration
	packet *media.Packet
	report *media.SenderReport
}

// rehearse has all publishers of a case send to a desk.
func (c *fidelityCase) rehearse() (*arrangetest.Desk, error) {
	cfg := config.Recorder{Segment: 2}
	if c.node != nil {
		c.node(&cfg)
	}
	r := &rehearsed{base: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	var publisher *load.Rehearsal
	r.desk = arrangetest.New(arrangetest.Options{
		Segment: time.Duration(cfg.Segment) * time.Second, MaxRecording: time.Duration(cfg.MaxRecording) * time.Second,
		RequestKeyFrame: func(id media.TrackID) { publisher.RequestKeyFrame(int(id)) },
	})
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(c.name))
	at := time.Duration(0)
	for _, o := range c.send {
		if o.Seed == 0 {
			o.Seed = seed.Sum64()
		}
		p, err := load.Rehearse(o, r.leaves)
		if err != nil {
			return nil, err
		}
		publisher, r.began = p, at
		if err := r.publish(p); err != nil {
			return nil, err
		}
		at = r.until() + drain
		r.advance(at)
		r.desk.Leave(r.base.Add(at))
		at += c.between
	}
	return r.desk, nil
}

// publish has a publisher send all that it has.
func (r *rehearsed) publish(p *load.Rehearsal) error {
	if err := r.desk.Join(r.base.Add(r.began), p.Tracks()); err != nil {
		return err
	}
	for {
		at, ok := p.Next()
		if !ok {
			return nil
		}
		r.advance(r.began + at)
		if err := p.Step(at); err != nil {
			return err
		}
	}
}

// leaves puts what leaves a publisher on its way.
func (r *rehearsed) leaves(l load.Leaving) {
	a := &arrival{at: r.began + l.At + onTheWay}
	if l.Lost {
		a.at += resent
	}
	arrives := r.base.Add(a.at)
	if l.RTP == nil {
		a.report = &media.SenderReport{Track: media.TrackID(l.Track), SSRC: l.SSRC, NTP: l.NTP, RTP: l.TS, Arrival: arrives}
	} else {
		a.packet = &media.Packet{
			Track: media.TrackID(l.Track), SSRC: l.SSRC, Seq: l.RTP.SequenceNumber, Timestamp: l.RTP.Timestamp, Marker: l.RTP.Marker,
			Payload: l.RTP.Payload, Arrival: arrives,
		}
	}
	i, _ := slices.BinarySearchFunc(r.way, a.at, func(a *arrival, at time.Duration) int {
		if a.at <= at {
			return -1 // behind what comes at the same time
		}
		return 1
	})
	r.way = slices.Insert(r.way, i, a)
	if l.Twice {
		r.way = slices.Insert(r.way, i, a)
	}
}

// until returns when the last of what is on its way arrives.
func (r *rehearsed) until() time.Duration {
	if len(r.way) == 0 {
		return r.began
	}
	return r.way[len(r.way)-1].at
}

// advance has arrive what does until a time.
func (r *rehearsed) advance(until time.Duration) {
	for {
		look := time.Duration(r.looks+1) * advanced
		switch {
		case len(r.way) > 0 && r.way[0].at <= min(look, until):
			a := r.way[0]
			r.way = r.way[1:]
			if a.packet != nil {
				p := *a.packet
				r.desk.Packet(&p)
			} else {
				r.desk.Report(a.report)
			}
		case look <= until:
			r.desk.Advance(r.base.Add(look))
			r.looks++
		default:
			return
		}
	}
}
