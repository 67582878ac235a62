package follow

import (
	"strconv"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
)

// TestIndexIsBounded: a page of the index of an original is refused if it is too long.
func TestIndexIsBounded(t *testing.T) {
	t.Parallel()
	long := "[" + strings.Repeat("null,", maxIndex) + "null]"
	if err := peer.Decode([]byte(long), new(sessionList)); err == nil || !strings.Contains(err.Error(), "more than 10000 recordings") {
		t.Errorf("%v", err)
	}
}

// TestManyFolders: which have been seen on a walk is known without their names.
func TestManyFolders(t *testing.T) {
	t.Parallel()
	var none *dirSet
	s := newDirSet()
	for i := range 1000 {
		s.add("cam/" + strconv.Itoa(i%500))
	}
	if none.len() != 0 || s.len() != 500 || !s.has("cam/7") || s.has("cam/500") {
		t.Errorf("%d folders", s.len())
	}
}

func TestOriginalSessions(t *testing.T) {
	at := func(us int64) *int64 { return &us }
	for name, tt := range map[string]struct {
		s      OriginalRecording
		status media.Status
		dir    string
		ok     bool
	}{
		"runs":       {OriginalRecording{Stream: "a", StartTS: 1, MPDPath: "a/1796092806/manifest.mpd", Status: "Active"}, media.StatusRecording, "a/1796092806", true},
		"completed":  {OriginalRecording{Stream: "a", StartTS: 1, EndTS: at(2), DurationMS: at(1), MPDPath: "/x/y/manifest.mpd", Status: "Completed"}, media.StatusDegraded, "x/y", true},
		"taken":      {OriginalRecording{Stream: "a", StartTS: 1, MPDPath: "x/manifest.mpd", Status: "Acked"}, media.StatusDegraded, "x", true},
		"failed":     {OriginalRecording{Stream: "a", StartTS: 1, EndTS: at(2), MPDPath: "x/manifest.mpd", Status: "Failed"}, media.StatusFailed, "x", true},
		"no folder":  {OriginalRecording{Stream: "a", MPDPath: "manifest.mpd", Status: "Active"}, "", "", false},
		"no path":    {OriginalRecording{Stream: "a", Status: "Active"}, "", "", false},
		"a way out":  {OriginalRecording{Stream: "a", MPDPath: "../b/manifest.mpd", Status: "Active"}, "", "", false},
		"no stream":  {OriginalRecording{MPDPath: "a/b/manifest.mpd", Status: "Active"}, "", "", false},
		"other file": {OriginalRecording{Stream: "a", MPDPath: "a/b/index.m3u8", Status: "Active"}, "", "", false},
	} {
		r, ok := tt.s.Recording()
		if ok != tt.ok || ok && (r.Status != tt.status || r.RecordDir != tt.dir || r.MPDPath != tt.dir+"/manifest.mpd" || (r.End == nil) != (r.Status == media.StatusRecording)) {
			t.Errorf("%s: %+v, %v", name, r, ok)
		}
	}
}

func TestXSSeconds(t *testing.T) {
	for s, want := range map[string]float64{
		"PT20.100S": 20.1, "PT1H2M3S": 3723, "PT90M": 5400, "PT0S": 0, "P1D": 0, "": 0, "PT": 0, "20": 0, "PT-1S": 0, "PT1e9S": 0, "PT999999999S": 0,
	} {
		if got := xsSeconds(s); got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
}
