package chaos

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
)

// fixed is how many scenarios every test run has, the first seeds; few is how many
// the race detector gets.
const (
	fixed = 50
	few   = 4
)

// mended are seeds of long runs that had findings once: failures of storage that left
// files (100045) and Periods that were not whole (100612), the same within a standstill
// (101101) and with a clock that was set meanwhile (102094), and crashes that took what
// the ledger was to tell (100871, 101458, 102430). And time that was wrong: after a
// standstill with one track (100424), or with one that was new (100712), and after other
// SSRCs of layers (198). Sound that waited and was thrown away at a jump (113621, 901048),
// a track that came late of a sender of whole seconds (900218), a hole that was listed once
// more after a crash (113191), tracks in the recording before theirs (900784), and sound
// beyond the end of its Period (901109). And what the judge took for wrong: two key frames
// that are the same, right after each other (930220, 940040),
// copies of a picture that the ledger calls filled (6201988), and ends of Periods that a
// player was said not to show (600174). Sound that ran ahead of its first picture
// (6202018), or was left behind by two Periods at once (6300404), a layer's hole that was
// not listed after a crash (5901926), recordings of which nothing had come before one
// (6200707, 6202293), and pictures that were given up for a copy, although their sender
// ignores requests for key frames (5901571). And a Period too short for a packet of sound,
// which had none (8101332), and new SSRCs in a standstill that their sender did not outlast
// (8101738, 6300424), and a packet sent again right before one (5603035).
// And a layer that came for the first time shortly before a crash (9100504).
var mended = []uint64{
	198, 100045, 100424, 100612, 100712, 100871, 101101, 101458, 102094, 102430, 113191, 113621, 900218, 900784, 901048, 901109,
	930220, 940040, 6202018, 6300404, 5901926, 6200707, 6202293, 6201988, 600174, 5901571, 8101332,
	8101738, 6300424, 5603035, 9100504,
}

// attempt lets a scenario happen and judges what is left; the second result is the log
func attempt(t *testing.T, sc *Scenario) (j *judge, log string) {
	for _, l := range sc.Lives { // before the simulated time begins
		for _, name := range append(audioOf(&l), l.Video...) {
			source(t, name)
		}
	}
	dirs := &folders{make: t.TempDir}
	var w *world
	synctest.Test(t, func(t *testing.T) { w = run(t, sc, dirs) })
	return w.judge(t, dirs.last()), w.log.String()
}

// TestFew is what the race detector gets of it.
func TestFew(t *testing.T) {
	for seed := range uint64(few) {
		one(t, seed)
	}
}

// one is the run of a seed.
func one(t *testing.T, seed uint64) bool {
	return t.Run(fmt.Sprint(seed), func(t *testing.T) {
		sc := Generate(seed)
		j, log := attempt(t, sc)
		for _, f := range j.faults {
			t.Error(f)
		}
		if os.Getenv("CHAOS_SHRINK") != "" && t.Failed() {
			sc = shrink(t, sc, j.faults[0].class)
			j, log = attempt(t, sc)
			for _, f := range j.faults {
				t.Logf("with less: %s", f)
			}
		}
		if os.Getenv("CHAOS_SEED") != "" {
			t.Logf("%s\n%s\n%s", sc, log, j.describe())
		} else if t.Failed() {
			t.Logf("again: %s\n%s", command(seed), sc)
		}
	})
}
