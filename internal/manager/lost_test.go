//go:build !norecorder

package manager

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/media"
)

// holed is a recording of which the storage has lost the second segment.
var holed = sound{"camera/1", 0, 4, "opus", nil, []int{1}}

// checkLost looks at what a request for an object, by its name, is answered with: something
// stands for the lost segment, and files leave it out.
func checkLost(t *testing.T, ask func(name string) (status int, h http.Header, body string)) {
	t.Helper()
	status, h, body := ask("a_seg_0002.m4s")
	if status != http.StatusOK || h.Get(playback.StandInHeader) == "" || len(body) < 100 || h.Get("Cache-Control") != "no-cache" {
		t.Errorf("the lost segment: %d, %d bytes, %v", status, len(body), h)
	}
	status, _, body = ask(media.FileName)
	if status != http.StatusOK || !strings.Contains(body, holed.frames(0, 1)) || !strings.Contains(body, holed.frames(2, 4)) || strings.Contains(body, holed.packet(1, 0)) {
		t.Errorf("the file: %d, %d bytes", status, len(body))
	}
}

// A segment that a node's own storage has lost plays through a manager as it does there.
func TestLostSegmentOfNode(t *testing.T) {
	t.Parallel()
	n := startSounds(t, "a", holed)
	m := startManager(t, t.TempDir(), map[string]*server{"a": n}, nil)
	until(t, "the manager has the recording", func() bool { return len(m.recordings("camera")) == 1 })
	checkLost(t, func(name string) (int, http.Header, string) {
		a, body := m.request(http.MethodGet, "/api/record/object/camera/1/"+name, "")
		return a.StatusCode, a.Header, body
	})
	span := fmt.Sprintf("/api/archive/camera/%d/+8s/", archived.Unix())
	checkLost(t, func(name string) (int, http.Header, string) {
		if !media.IsFile(name) {
			name = segmentOf(t, m, span, name)
		}
		a, body := m.request(http.MethodGet, span+name, "")
		return a.StatusCode, a.Header, body
	})
	saysLost(t, func() (line media.Timeline) {
		m.call(http.MethodGet, fmt.Sprintf("/api/archive/camera?from=%d&to=%d&buckets=100", archived.Unix(), archived.Unix()+8), "", &line)
		return line
	})
}

// segmentOf returns under which name a span's HLS and DASH have a segment.
func segmentOf(t *testing.T, m *server, span, name string) string {
	t.Helper()
	_, index := m.request(http.MethodGet, span+media.IndexName, "")
	list := regexp.MustCompile(`(?m)^[^#\n]*\.m3u8$|URI="([^"]*\.m3u8)"`).FindString(index)
	list = strings.TrimSuffix(strings.TrimPrefix(list, `URI="`), `"`)
	_, segments := m.request(http.MethodGet, span+list, "")
	found := regexp.MustCompile(`(?m)^.*` + regexp.QuoteMeta(name) + `$`).FindString(segments)
	_, mpd := m.request(http.MethodGet, span+media.ManifestName, "")
	folder := strings.TrimSuffix(found, name)
	if found == "" || !strings.Contains(mpd, folder) || !strings.Contains(mpd, `r="3"`) {
		t.Fatalf("the playlists do not have %s:\n%s\n%s\n%s", name, index, segments, mpd)
	}
	return found
}

// A segment that shared storage has lost plays through a manager, also through one that
// sends players to the storage for what is there.
func TestLostSegmentOfSharedStorage(t *testing.T) {
	for _, sign := range []bool{false, true} {
		l := newTestLibrary(t, sign)
		holed.store(t, "edge", l.store, l.db)
		checkLost(t, func(name string) (int, http.Header, string) {
			w := httptest.NewRecorder()
			if err := l.Object(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+name, nil), "camera/1/"+name, time.Time{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return w.Code, w.Header(), w.Body.String()
		})
		if status, _ := l.get(http.MethodGet, "camera/1/a_seg_0003.m4s"); status != map[bool]int{false: http.StatusOK, true: http.StatusFound}[sign] {
			t.Errorf("a segment that is there: %d", status)
		}
		saysLost(t, func() media.Timeline {
			q := media.TimelineQuery{Stream: "camera", Span: media.TimeSpan{From: archived, To: archived.Add(8 * time.Second)}, Buckets: 100}
			line, err := l.archive.Timeline(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			return line
		})
	}
}

// saysLost waits until a timeline of the recording says what the storage has lost.
func saysLost(t *testing.T, timeline func() media.Timeline) {
	t.Helper()
	until(t, "the timeline says what is lost", func() bool {
		for _, s := range timeline().Spans {
			from, to := s.From.Sub(archived), s.To.Sub(archived)
			if s.Kind == media.SpanGap && s.Cause == "storage" && from == 2*time.Second && to == 4*time.Second {
				return true
			}
		}
		return false
	})
}
