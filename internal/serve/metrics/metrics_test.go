package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/spool"
)

func scrape(t *testing.T, n *Node, s Sources) string {
	t.Helper()
	w := httptest.NewRecorder()
	n.Handler(s).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestHandler(t *testing.T) {
	n := NewNode()
	n.Request("GET /api/streams", http.MethodGet, 200, time.Millisecond)
	n.Call(time.Millisecond)
	text := scrape(t, n, Sources{
		Streams:   func() (int, int) { return 2, 3 },
		Traffic:   func() (int64, int64) { return 5, 6 },
		PerStream: func() []live.StreamTraffic { return []live.StreamTraffic{{Stream: "s", Packets: 9, Bytes: 900}} },
		Sessions:  func() map[Session]int { return map[Session]int{{"viewer", "connected"}: 4} },
		Failures:  func() map[string]int64 { return map[string]int64{"dtls": 2} },
		Free:      func() map[string]int64 { return map[string]int64{"storage": 1000} },
		Failed:    func() int64 { return 1 },
		LeftOut:   func() int64 { return 8 },
		Recordings: func() []media.Recording {
			return []media.Recording{{
				Stream: `a"b`, RecordDir: "a/1", Duration: 12, DurableThrough: 6, Bytes: 1000,
				Tracks: []media.RecordingTrack{{Kind: "video", Layer: 1, PacketsLost: 7, FramesDropped: 2}},
			}}
		},
		Spool: func() spool.Status {
			return spool.Status{WaitingObjects: 4, OldestWaiting: 90 * time.Second, Failing: true, UploadedBytes: 77, Retries: 3}
		},
	})
	for _, want := range []string{
		"live777_received_bytes_total 5\n", "live777_sent_bytes_total 6\n", "live777_streams_publishing 2\n", "live777_viewers 3\n",
		"live777_recorder_left_out_packets_total 8\n", "live777_recordings_active 1\n", "live777_recordings_paused 0\n", "live777_recording_failures_total 1\n",
		`live777_stream_received_packets_total{stream="s"} 9` + "\n", `live777_stream_received_bytes_total{stream="s"} 900` + "\n",
		`live777_sessions{side="viewer",state="connected"} 4` + "\n", `live777_session_failures_total{cause="dtls"} 2` + "\n",
		`live777_disk_free_bytes{disk="storage"} 1000` + "\n", `live777_recordings_total{reason="error",status="failed"} 0` + "\n",
		`live777_recording_media_seconds{stream="a\"b"} 12` + "\n", `live777_recording_durable_seconds{stream="a\"b"} 6` + "\n",
		`live777_stream_lost_packets_total{kind="video",layer="1",stream="a\"b"} 7` + "\n",
		`live777_stream_dropped_frames_total{kind="video",layer="1",stream="a\"b"} 2` + "\n",
		"live777_spool_waiting_objects 4\n", "live777_spool_oldest_waiting_seconds 90\n", "live777_spool_failing 1\n",
		"live777_uploaded_bytes_total 77\n", `live777_uploads_total{result="failed"} 3` + "\n", "go_goroutines ",
		`live777_requests_total{code="200",method="GET",route="/api/streams"} 1` + "\n", "live777_database_seconds_count 1\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if text := scrape(t, NewNode(), Sources{}); strings.Contains(text, prefix) {
		t.Errorf("without sources:\n%s", text)
	}
}
