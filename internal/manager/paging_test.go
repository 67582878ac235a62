//go:build !norecorder

package manager

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// recordingPages follows a list of recordings to its last page.
func (s *server) recordingPages(path string) (all []media.Recording, pages int) {
	s.t.Helper()
	for after := ""; ; pages++ {
		var page struct {
			Total      int
			Recordings []media.Recording
			Next       string
		}
		if code := s.call(http.MethodGet, path+"&after="+url.QueryEscape(after), "", &page); code != http.StatusOK {
			s.t.Fatalf("%s: %d", path, code)
		}
		all = append(all, page.Recordings...)
		if pages > 1000 {
			s.t.Fatalf("%s does not end: %d pages", path, pages)
		}
		if after = page.Next; after == "" {
			if page.Total != len(all) {
				s.t.Errorf("%s has %d recordings on all pages, and says %d", path, len(all), page.Total)
			}
			return all, pages + 1
		}
	}
}

// streamPages follows the links of the list of streams to its last page.
func (s *server) streamPages(path string) (all []media.StreamSummary, pages int) {
	s.t.Helper()
	for ; path != ""; pages++ {
		resp, body := s.request(http.MethodGet, path, "")
		var page []media.StreamSummary
		if err := json.Unmarshal([]byte(body), &page); err != nil || resp.StatusCode != http.StatusOK {
			s.t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
		if all = append(all, page...); pages > 1000 {
			s.t.Fatalf("the list of streams does not end: %d pages", pages)
		}
		path = strings.TrimPrefix(strings.TrimSuffix(resp.Header.Get("Link"), `>; rel="next"`), "<")
	}
	return all, pages
}

// fill makes the catalogue of a node that is not running yet: of a stream as many
// recordings, an hour each, of which all nodes use the same folders, and one of each
// of as many other streams.
func fill(t *testing.T, dir, alias string, recordings, streams int) {
	t.Helper()
	db, err := catalogue.Open(t.Context(), "sqlite://"+filepath.Join(dir, "live777.db"))
	if err != nil {
		t.Fatal(err)
	}
	var all []media.Recording
	add := func(stream string, hours int) {
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(hours) * time.Hour)
		end := start.Add(time.Hour)
		r := media.Recording{Stream: stream, RecordID: fmt.Sprint(start.Unix()), Node: alias, Start: start, End: &end, Status: media.StatusComplete}
		r.RecordDir = stream + "/" + r.RecordID
		r.MPDPath = r.RecordDir + "/manifest.mpd"
		all = append(all, r)
	}
	for i := range recordings {
		add("cam", i)
	}
	for i := range streams {
		add(fmt.Sprintf("%s room&%02d", alias, i), i)
	}
	if err := db.PutAll(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPages: over HTTP the pages of a node's lists, and of a manager's over what
// several nodes have, show everything once and in order.
func TestPages(t *testing.T) {
	t.Parallel()
	const recordings, streams = 300, 9
	nodes := map[string]*server{}
	for _, alias := range []string{"a", "b"} {
		dir := t.TempDir()
		fill(t, dir, alias, recordings, streams)
		nodes[alias] = startNode(t, alias, dir, nil)
	}
	m := startManager(t, t.TempDir(), nodes, nil)
	until(t, "the manager knows all", func() bool {
		var page struct{ Total int }
		m.call(http.MethodGet, "/api/playback/cam", "", &page)
		all, _ := m.streamPages("/api/playback")
		return page.Total == 2*recordings && len(all) == 2*streams+1
	})
	check := func(s *server, from, to, limit, nodes int) {
		t.Helper()
		path := fmt.Sprintf("/api/playback/cam?limit=%d", limit)
		if to > 0 {
			zero := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
			path += fmt.Sprintf("&from=%d&to=%d", zero+int64(from)*3600, zero+int64(to)*3600)
		} else {
			to = recordings
		}
		all, pages := s.recordingPages(path)
		want := nodes * (to - from)
		if len(all) != want || pages != (want+min(limit, api.MaxPage)-1)/min(limit, api.MaxPage) {
			t.Errorf("%s: %d recordings on %d pages, want %d", path, len(all), pages, want)
		}
		seen := map[string]bool{}
		for i, r := range all {
			if seen[r.Node+" "+r.RecordDir] || i > 0 && r.Start.After(all[i-1].Start) || !strings.HasPrefix(r.RecordDir, "cam/") {
				t.Errorf("%s: %s %s comes twice or out of order", path, r.Node, r.RecordDir)
			}
			seen[r.Node+" "+r.RecordDir] = true
		}
	}
	for s, count := range map[*server]int{nodes["a"]: 1, m: 2} {
		check(s, 0, 0, 7, count)
		check(s, 0, 0, 150, count)
		check(s, 0, 0, 5000, count) // is taken as the most there may be
		check(s, 20, 120, 9, count)
		all, pages := s.streamPages("/api/playback?limit=5")
		if want := streams*count + 1; len(all) != want || pages != (want+4)/5 {
			t.Errorf("%d streams on %d pages, want %d", len(all), pages, want)
		}
		for i := range all[1:] {
			if all[i].Stream >= all[i+1].Stream {
				t.Errorf("stream %q comes before %q", all[i].Stream, all[i+1].Stream)
			}
		}
		for path, says := range map[string]string{
			"/api/playback/cam?offset=1001": "after", "/api/playback/cam?after=x": "earlier answer", "/api/playback?after=a%2Fb": "after",
		} {
			if resp, body := s.request(http.MethodGet, path, ""); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, says) {
				t.Errorf("%s: %d %s", path, resp.StatusCode, body)
			}
		}
	}
}
