package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/spool"
)

func scrape(t *testing.T, s Sources) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(s).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestHandler(t *testing.T) {
	text := scrape(t, Sources{
		Streams: func() (int, int) { return 2, 3 },
		Traffic: func() (int64, int64) { return 5, 6 },
		LeftOut: func() int64 { return 8 },
		Recordings: func() []media.Recording {
			return []media.Recording{{
				Stream: `a"b`, RecordDir: "a/1", Duration: 12, DurableThrough: 6, Bytes: 1000,
				Tracks: []media.RecordingTrack{{Kind: "video", Layer: 1, PacketsLost: 7, FramesDropped: 2}},
			}}
		},
		Spool: func() spool.Status {
			return spool.Status{WaitingObjects: 4, OldestWaiting: 90 * time.Second, Failing: true, UploadedBytes: 77}
		},
	})
	for _, want := range []string{
		"live777_received_bytes_total 5\n", "live777_sent_bytes_total 6\n", "live777_streams_publishing 2\n", "live777_viewers 3\n", "live777_recorder_left_out_packets_total 8\n", "live777_recordings 1\n", "live777_recordings_paused 0\n",
		`live777_recording_media_seconds{record_dir="a/1",stream="a\"b"} 12` + "\n",
		`live777_recording_durable_seconds{record_dir="a/1",stream="a\"b"} 6` + "\n",
		`live777_recording_packets_lost{kind="video",layer="1",record_dir="a/1",stream="a\"b"} 7` + "\n",
		"live777_spool_waiting_objects 4\n", "live777_spool_oldest_waiting_seconds 90\n", "live777_spool_failing 1\n",
		"live777_spool_uploaded_bytes_total 77\n", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if text := scrape(t, Sources{}); strings.Contains(text, prefix) {
		t.Errorf("without sources:\n%s", text)
	}
}
