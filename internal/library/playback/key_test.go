package playback

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// Key frames are listed of so many recordings at most; the answer says from when on.
func TestKeysOfManyRecordings(t *testing.T) {
	f := setup(t, nil)
	start := time.Date(2026, 11, 30, 13, 0, 0, 0, time.UTC)
	for i := range maxKeyRecordings + 1 {
		end := start.Add(time.Duration(i+1) * time.Second)
		r := media.Recording{
			Stream: "busy", RecordDir: fmt.Sprintf("busy/%d", i), MPDPath: fmt.Sprintf("busy/%d/manifest.mpd", i),
			Start: end.Add(-time.Second), End: &end, Duration: 1, Status: media.StatusComplete,
		}
		if err := f.db.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	q := media.KeyFramesQuery{Stream: "busy", Span: media.TimeSpan{From: start, To: start.Add(time.Hour)}, Count: 10}
	if _, err := f.KeyFrames(t.Context(), q); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "from 2026-11-30T13:00:01Z on") {
		t.Errorf("more than %d recordings: %v", maxKeyRecordings, err)
	}
	q.Span.From = start.Add(1100 * time.Millisecond)
	if list, err := f.KeyFrames(t.Context(), q); err != nil || len(list.KeyFrames) != 0 {
		t.Errorf("as many as there may be: %d key frames, %v", len(list.KeyFrames), err)
	}
}
