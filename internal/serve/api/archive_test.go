package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/media"
)

type fakeArchive struct{ *fakes }

func (f fakeArchive) Timeline(_ context.Context, q media.TimelineQuery) (media.Timeline, error) {
	from := "the beginning"
	if !q.Span.From.IsZero() {
		from = q.Span.From.Format(time.RFC3339Nano)
	}
	return media.Timeline{
		Stream: q.Stream, From: q.Span.From, To: q.Span.To, Resolution: 60,
		Spans: []media.TimelineSpan{
			{From: q.Span.From, To: q.Span.To, Kind: media.SpanGap, Cause: media.CauseNone},
			{From: q.Span.From, To: q.Span.To, Kind: media.SpanMedia, RecordDir: "room/1", Recordings: 1, Status: media.StatusDegraded,
				Tracks:  []media.TimelineTrack{{Kind: "video", Codec: "H264", Width: 1280, Height: 720}},
				Missing: []media.MissingMedia{{Kind: "video", Cause: "loss", Seconds: 0.5, Count: 1}}},
		},
	}, f.call("timeline(%s,%s,%s,%d)", q.Stream, from, q.Span.To.Format(time.RFC3339Nano), q.Buckets)
}

func (f fakeArchive) Streams(ctx context.Context, q media.StreamQuery) (page []media.ArchiveStream, err error) {
	found, err := fakePlayback(f).Streams(ctx, q)
	for _, s := range found {
		page = append(page, media.ArchiveStream{StreamSummary: s, Running: true})
	}
	return page, err
}

func TestGetArchive(t *testing.T) {
	manager := newManager(t, func(o *ManagerOptions) {
		o.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC) }
	})
	for _, n := range []*node{newNode(t, nil), manager} {
		for query, want := range map[string]string{
			"":                         "the beginning,2026-01-02T03:04:05.006Z,300",
			"?to=2026-01-01T00:00:00Z": "the beginning,2026-01-01T00:00:00Z,300",
			"?from=1767312000.5":       "2026-01-02T00:00:00.5Z,2026-01-02T03:04:05.006Z,300",
			"?from=1767312000&to=+30s": "2026-01-02T00:00:00Z,2026-01-02T00:00:30Z,300",
			"?from=-1h&to=now":         "2026-01-02T02:04:05.006Z,2026-01-02T03:04:05.006Z,300",
			"?from=-30&buckets=2000":   "2026-01-02T03:03:35.006Z,2026-01-02T03:04:05.006Z,2000",
			"?from=2026-01-01 00:00:00 01:00&buckets=1": "2025-12-31T23:00:00Z,2026-01-02T03:04:05.006Z,1",
		} {
			n.calls = nil
			expect(t, n.do(t, http.MethodGet, "/api/archive/room"+strings.ReplaceAll(query, " ", "%20"), ""), http.StatusOK)
			if got := n.called(); got != "timeline(room,"+want+")" {
				t.Errorf("%q: %s, want %s", query, got, want)
			}
		}
		for query, want := range map[string]string{
			"from=yesterday": "no time", "from=10&to=5": "to is before from", "to=+30s": "say with from", "to=%2B30s": "say with from",
			"buckets=0": "buckets", "buckets=2001": "buckets", "buckets=x": "buckets", "from=2099-01-01T00:00:00Z": "in the future",
		} {
			w := n.do(t, http.MethodGet, "/api/archive/room?"+query, "")
			if expect(t, w, http.StatusBadRequest); !strings.Contains(w.Body.String(), want) {
				t.Errorf("%q: %s, want %q", query, w.Body, want)
			}
		}
	}
}

// TestArchiveLists: the list has the streams that the token is for, in pages, and others
// cannot be asked for.
func TestArchiveLists(t *testing.T) {
	n := newNode(t, withAuth)
	for _, id := range []string{"hall", "room-1", "room-2", "room-3", "yard"} {
		n.summaries = append(n.summaries, media.StreamSummary{Stream: id})
	}
	as := []string{"Authorization", "Bearer " + jwtFor(t, []string{"room-*"}, auth.View)}
	w := n.do(t, http.MethodGet, "/api/archive?limit=2", "", as...)
	if got := w.Header().Get("Link"); w.Code != http.StatusOK || got != `</api/archive?after=room-2&limit=2>; rel="next"` || strings.Count(w.Body.String(), "room-") != 2 {
		t.Errorf("the first page: %d, Link %q, %s", w.Code, got, w.Body)
	}
	w = n.do(t, http.MethodGet, "/api/archive?limit=2&after=room-2", "", as...)
	if got := w.Header().Get("Link"); w.Code != http.StatusOK || got != "" || !strings.Contains(w.Body.String(), "room-3") || strings.Contains(w.Body.String(), "yard") {
		t.Errorf("the last page: %d, Link %q, %s", w.Code, got, w.Body)
	}
	expect(t, n.do(t, http.MethodGet, "/api/archive/room-1", "", as...), http.StatusOK)
	expect(t, n.do(t, http.MethodGet, "/api/archive/hall", "", as...), http.StatusForbidden)
	expect(t, n.do(t, http.MethodGet, "/api/archive/room-1", ""), http.StatusUnauthorized)
	expect(t, n.do(t, http.MethodGet, "/api/archive/room%2F1", "", as...), http.StatusBadRequest)
}
