package recorder

import (
	"testing"
	"time"
)

// That somebody has stopped a recording is known for as long as its publisher stays,
// and until it is started again.
func TestStopped(t *testing.T) {
	g := newRig(t, func(o *Options) { o.AutoStreams = []string{"auto"} })
	for _, stream := range []string{"camera", "auto"} {
		s := g.publish(stream, source(t, "opus_mono.ogg"))
		expect := func(what string, want bool) {
			t.Helper()
			if got := g.recorder.Stopped(stream); got != want {
				t.Errorf("%s: %s is stopped: %v", stream, what, got)
			}
		}
		expect("at first", false)
		if _, stopped, err := g.recorder.Stop(t.Context(), "nobody"); stopped || err != nil {
			t.Error(stopped, err)
		}
		g.start(stream, "")
		s.send(3 * time.Second)
		expect("while it is recorded", false)
		g.stop(stream)
		expect("after it was stopped", true)
		g.start(stream, "")
		expect("after it was started again", false)
		s.send(3 * time.Second)
		g.stop(stream)
		expect("after it was stopped again", true)
		s.leave()
		expect("without a publisher", false)
		s = g.publish(stream, source(t, "opus_mono.ogg"))
		expect("with another publisher", false)
		s.leave()
	}
}
