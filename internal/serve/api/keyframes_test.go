package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/media"
)

// Pictures are asked for by time and size, and kept by their validator.
func TestKeyFrames(t *testing.T) {
	n := newNode(t, nil)
	w := n.do(t, http.MethodGet, "/api/archive/room/at/2026-01-02T03:04:05.5Z/key.mp4?height=360", "")
	expect(t, w, http.StatusOK)
	if w.Body.String() != "picture" || w.Header().Get("Content-Type") != "video/mp4" || w.Header().Get(KeyTimeHeader) != "2026-01-02T03:04:05.5Z" || w.Header().Get(nodeHeader) != "n1" {
		t.Errorf("%q, %v", w.Body, w.Header())
	}
	expect(t, n.do(t, http.MethodGet, "/api/archive/room/at/now/key.mp4", "", "If-None-Match", `"e"`), http.StatusNotModified)
	w = n.do(t, http.MethodGet, "/api/archive/room/keys?from=-90s&to=now&count=7", "")
	expect(t, w, http.StatusOK)
	var list media.KeyFrameList
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || list.Stream != "room" || len(list.KeyFrames) != 1 {
		t.Errorf("%s, %v", w.Body, err)
	}
	if called := n.called(); !strings.Contains(called, "key(room,2026-01-02T03:04:05.5Z,false,360)") ||
		!strings.Contains(called, "key(room,2026-01-02T03:04:05.006Z,true,0)") || !strings.Contains(called, "keys(room,1m30s,7,0)") {
		t.Errorf("called %s", called)
	}
	for _, path := range []string{"at/yesterday/key.mp4", "at/now/key.mp4?height=x", "keys", "keys?from=1&to=2&count=0", "keys?from=1&to=2&height=-1"} {
		expect(t, n.do(t, http.MethodGet, "/api/archive/room/"+path, ""), http.StatusBadRequest)
	}
}
