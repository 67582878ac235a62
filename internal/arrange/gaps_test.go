package arrange

import (
	"log/slog"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// filled notes how much of the sound is called filled, and how much is.
type filled struct {
	*script
	last Gap
	told time.Duration // of all gaps but the last
	gaps int
	is   time.Duration
}

func (f *filled) Sample(l Lane, s Sample) {
	if l.Kind == media.Audio && s.Filler {
		f.is += s.Duration.Duration(audioRate)
	}
}

// Gap takes the place of the last one if it begins where that does.
func (f *filled) Gap(l Lane, g Gap) {
	if l.Kind != media.Audio || !g.Filled {
		return
	}
	if g.Start != f.last.Start {
		f.told += f.last.End - f.last.Start
		f.gaps++
	}
	f.last = g
}

// Silence is told of before it is written. Sound that the network has held up, in longer
// packets, comes when that has just begun: no more is called filled than is.
func TestToldIsFilled(t *testing.T) {
	const packet = 120 * time.Millisecond
	for hole := 9 * time.Millisecond; hole < packet/2; hole += 10 * time.Millisecond {
		for held := fillLag; held < fillLag+200*time.Millisecond; held += soundEvery {
			f := &filled{script: newScript(t)}
			f.a = New(Options{SegmentDuration: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}, f)
			f.join(t)
			f.heldUp(packet, hole, held)
			if f.told > f.is+time.Duration(f.gaps)*packet {
				t.Errorf("sound with a hole of %v is held up for %v: %v are called filled, %v are", hole, held, f.told, f.is)
			}
		}
	}
}

// heldUp plays a publication whose sound has a hole, and is held up for some time.
func (f *filled) heldUp(packet, hole, held time.Duration) {
	f.play(4980 * time.Millisecond)
	from := f.at + hole
	f.audio = false
	f.play(held)
	for at := from; at < f.at; at += packet {
		p := sound(at)
		p.Duration = media.TicksOf(packet, audioRate)
		f.frame(1, p)
	}
	f.audio = true
	f.play(3 * time.Second)
	f.a.Leave()
	f.told += f.last.End - f.last.Start
}
