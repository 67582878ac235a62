package fmp4

import (
	"math/rand/v2"
	"testing"

	"github.com/live777/recorder/internal/media"
)

// made is a track that is made up: pictures of a size that varies by a half, packets of sound
// by an eighth, a key frame in each segment that is eight times as large, in chunks of half
// a second.
type made struct {
	timescale, rate int // samples a second
	bits            int // a second
	pictures        bool
	jitter          int // ticks that a duration varies by
}

// indexes returns how many bytes ten minutes in segments of two seconds have, and what says
// what is in them.
func (m made) indexes(random *rand.Rand) (content, says int64) {
	var x Index
	var sums Summaries
	frames := 2 * m.rate
	mean := m.bits / 8 / m.rate
	spread := mean / 4
	if m.pictures {
		mean = mean * frames / (frames + 7)
		spread = mean
	}
	time := media.Ticks(0)
	for number := 1; number <= 300; number++ {
		s := IndexedSegment{Number: number}
		for at := 0; at < frames; at += frames / 4 {
			t := Table{Time: time, Offset: s.Bytes + 112 + 8*int64(frames/4)}
			s.Bytes = t.Offset
			for i := range frames / 4 {
				e := Entry{Size: uint32(mean - spread/2 + random.IntN(spread)), Duration: uint32(m.timescale / m.rate), Key: !m.pictures}
				if m.pictures && at+i == 0 {
					e.Size, e.Key = 8*e.Size, true
				}
				if m.jitter > 0 {
					e.Duration += uint32(random.IntN(2*m.jitter+1) - m.jitter)
				}
				s.Bytes += int64(e.Size)
				time += media.Ticks(e.Duration)
				t.Samples = append(t.Samples, e)
			}
			s.Tables = append(s.Tables, t)
		}
		content += s.Bytes
		sums.Fit(Summarize(number, s.Tables))
		if x.Add(s); number%256 == 0 || number == 300 {
			says += int64(len(x.Bytes()))
			x = Index{}
		}
	}
	return content, says + int64(len(sums.Bytes()))
}

// TestIndexIsSmall: of 2 Mbit/s of pictures with sound, sample indexes and their summaries
// are less than a thousandth. What they cost is per sample: at lower rates it is more.
func TestIndexIsSmall(t *testing.T) {
	sound := made{timescale: 48000, rate: 50, bits: 64_000}
	for _, tt := range []struct {
		name  string
		video made
		most  float64 // of the media, in percent
	}{
		{"2 Mbit/s", made{90000, 30, 2_000_000, true, 0}, 0.075},
		{"2 Mbit/s, with jitter", made{90000, 30, 2_000_000, true, 90}, 0.09},
		{"2 Mbit/s, 60 pictures a second, with jitter", made{90000, 60, 2_000_000, true, 90}, 0.13},
		{"6 Mbit/s", made{90000, 30, 6_000_000, true, 90}, 0.035},
		{"500 kbit/s", made{90000, 30, 500_000, true, 0}, 0.25},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		content, says := tt.video.indexes(random)
		more, saysMore := sound.indexes(random)
		if got := 100 * float64(says+saysMore) / float64(content+more); got > tt.most || got < tt.most/2 {
			t.Errorf("%s: %.4f %% of the media, want less than %g %%", tt.name, got, tt.most)
		} else {
			t.Logf("%s: %.4f %%", tt.name, got)
		}
	}
}
