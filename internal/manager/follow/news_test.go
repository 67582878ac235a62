package follow

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// TestNewsOf: what a node tells is doubted if the manager has a final state or knows of
// a deletion, and not otherwise.
func TestNewsOf(t *testing.T) {
	end := time.Unix(1762842213, 0)
	final := media.Recording{Stream: "cam", RecordDir: "cam/1", Status: media.StatusComplete, Start: end.Add(-time.Minute), End: &end, Duration: 60, DurableThrough: 60}
	running := final
	running.Status, running.End = media.StatusRecording, nil
	shorter := final
	shorter.Duration = 30
	for name, test := range map[string]struct {
		told           media.Recording
		row            *media.Recording
		removed, again bool
		want           news
	}{
		"new":                    {final, nil, false, false, plausible},
		"new, of a known node":   {final, nil, false, true, deleted},
		"deleted":                {final, nil, true, false, deleted},
		"deleted, runs again":    {running, nil, true, true, plausible},
		"as it was":              {final, &final, false, true, plausible},
		"has gone on":            {final, &running, false, true, plausible},
		"is final, told to run":  {running, &final, false, true, changed},
		"is final, told shorter": {shorter, &final, false, false, changed},
	} {
		if got := newsOf(test.told, test.row, test.removed, test.again); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
