package eventlog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/media"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// told is a page as lines, the newest event first.
func told(p Page) string {
	var lines []string
	for _, e := range p.Events {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(e.Type, " ", e.Level, " ", e.Stream, " ", e.Node, " ", e.Place, " ", e.Status, " ", e.Cause)), " "))
	}
	return strings.Join(lines, "\n")
}

// TestBounds floods the log with one kind: no more is kept than may be, and of the others
// nothing is lost.
func TestBounds(t *testing.T) {
	l := New(nil)
	l.Add(Entry{Kind: Server, Type: NodeDown, Text: strings.Repeat("é", maxText)})
	l.Add(Entry{Kind: "other"})
	for i := range 3 * maxSessions {
		l.Add(Entry{Kind: Sessions, Type: SessionCame, Session: fmt.Sprint(i)})
	}
	p := l.List(Query{})
	if n := len(p.Events); n != maxSessions+1 || p.More {
		t.Fatalf("%d events, more: %v", n, p.More)
	}
	if e := p.Events[0]; e.Session != fmt.Sprint(3*maxSessions-1) {
		t.Errorf("the newest is %+v", e)
	}
	if e := p.Events[maxSessions]; e.Type != NodeDown || len(e.Text) > maxText+len("…") || !strings.HasSuffix(e.Text, "é…") {
		t.Errorf("the oldest is %+v", e)
	}
	for range 2 * maxRecordings {
		l.Add(Entry{Kind: Recordings, Type: RecordingStarted})
		l.Add(Entry{Kind: Server, Type: NodeUp})
	}
	if n := len(l.List(Query{}).Events); n != maxRecordings+maxSessions+maxServer {
		t.Errorf("%d events", n)
	}
}

// TestQuery selects by everything that there is to select by, and goes on page by page.
func TestQuery(t *testing.T) {
	l := New(func() time.Time { return noon })
	l.Add(Entry{Kind: Recordings, Type: RecordingStarted, Stream: "a"})
	l.Add(Entry{Kind: Recordings, Type: RecordingEnded, Stream: "b", Level: Warning})
	l.Add(Entry{Kind: Server, Type: NodeDown, Level: Error})
	l.Add(Entry{Kind: Sessions, Type: SessionCame, Stream: "a"})
	for name, c := range map[string]struct {
		q    Query
		want []int64
		more bool
	}{
		"all":     {Query{}, []int64{4, 3, 2, 1}, false},
		"kind":    {Query{Kind: Recordings}, []int64{2, 1}, false},
		"level":   {Query{Least: Warning}, []int64{3, 2}, false},
		"stream":  {Query{Stream: "a"}, []int64{4, 1}, false},
		"limit":   {Query{Limit: 2}, []int64{4, 3}, true},
		"exactly": {Query{Limit: 4}, []int64{4, 3, 2, 1}, false},
		"next":    {Query{Limit: 2, Before: 3}, []int64{2, 1}, false},
		"allowed": {Query{Allow: func(e Entry) bool { return e.Stream == "b" }}, []int64{2}, false},
	} {
		p := l.List(c.q)
		var got []int64
		for _, e := range p.Events {
			got = append(got, e.Seq)
		}
		if !slices.Equal(got, c.want) || p.More != c.more || !p.Since.Equal(noon) {
			t.Errorf("%s: %v, more: %v", name, got, p.More)
		}
	}
}

// TestWatch has problems begin, get worse and end.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(nil)
		var are atomic.Pointer[[]Condition]
		are.Store(new([]Condition))
		ctx, cancel := context.WithCancel(t.Context())
		go l.Watch(ctx, time.Second, func() []Condition { return *are.Load() })
		step := func(after time.Duration, next ...Condition) {
			are.Store(&next)
			time.Sleep(after)
			synctest.Wait()
		}
		minor := health.Problem{Place: "storage", Text: "slow", Since: time.Now()}
		serious := health.Problem{Place: "storage", Text: "full", Code: "storage_full", Since: time.Now(), Serious: true}
		step(0)
		step(time.Second, Problem("", minor), Problem("", minor))
		step(5*time.Second, Problem("", minor))
		step(2*time.Second, Problem("", serious))
		step(2 * time.Second)
		step(2*time.Second, Problem("n1", minor))
		cancel()
		synctest.Wait()
		want := "problem.began warning n1 storage\nproblem.ended info storage\nproblem.began error storage\nproblem.ended info storage\nproblem.began warning storage"
		p := l.List(Query{})
		if got := told(p); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		if s := p.Events[3].Seconds; s < 6 || s > 8 {
			t.Errorf("the first lasted %v s", s)
		}
	})
}

// feed is a Catalogue that is told what changes.
type feed struct {
	had     []media.Recording
	changes []media.Change
	err     error
}

func (f *feed) LastSeq(context.Context) (int64, error) { return 0, f.err }
func (f *feed) Watch() (<-chan struct{}, func())       { return make(chan struct{}), func() {} }
func (f *feed) ListPage(context.Context, media.RecordingQuery) (media.RecordingPage, error) {
	return media.RecordingPage{Recordings: f.had}, f.err
}

func (f *feed) Follow(_ context.Context, c media.Cursor, limit int) ([]media.Change, media.Cursor, error) {
	rest := f.changes[c.Seq:]
	rest = rest[:min(len(rest), limit)]
	return rest, media.Cursor{Seq: c.Seq + int64(len(rest))}, f.err
}

// TestFollow tells each thing of a recording once, however often it changes.
func TestFollow(t *testing.T) {
	end := noon.Add(-time.Minute)
	rec := func(dir string, status media.Status, change ...func(*media.Recording)) *media.Recording {
		r := media.Recording{Stream: "cam", RecordDir: dir, Start: noon.Add(-10 * time.Minute), Status: status, Duration: 540}
		if status != media.StatusRecording {
			r.End = &end
		}
		for _, c := range change {
			c(&r)
		}
		return &r
	}
	lossy := func(r *media.Recording) { r.Tracks = []media.RecordingTrack{{PacketsLost: 3}} }
	old := func(r *media.Recording) {
		long := noon.Add(-48 * time.Hour)
		r.Start, r.End = long, &long
	}
	f := &feed{had: []media.Recording{*rec("cam/2", media.StatusRecording), *rec("cam/1", media.StatusFailed)}}
	for _, r := range []*media.Recording{
		rec("cam/2", media.StatusRecording), rec("cam/2", media.StatusRecording, lossy), rec("cam/2", media.StatusRecording, lossy),
		rec("cam/2", media.StatusDegraded, lossy), rec("cam/2", media.StatusDegraded, func(r *media.Recording) { r.Protected = true }),
		rec("cam/1", media.StatusFailed), rec("cam/0", media.StatusComplete, old), rec("cam/3", media.StatusComplete),
	} {
		f.changes = append(f.changes, media.Change{RecordDir: r.RecordDir, Stream: r.Stream, Recording: r})
	}
	f.changes = append(f.changes, media.Change{RecordDir: "cam/1", Stream: "cam", Deleted: true})
	l := New(func() time.Time { return noon })
	fo := &follower{log: l, from: f, show: func(r media.Recording) media.Recording { r.Node = "n1"; return r }, known: map[string]known{}}
	f.err = fault.New(fault.Unavailable, "the database is away")
	fo.catchUp(t.Context())
	f.err = nil
	for range 3 {
		fo.catchUp(t.Context())
	}
	want := `recording.deleted info cam n1
recording.ended info cam n1 complete
recording.started info cam n1
recording.ended warning cam n1 degraded loss
recording.degraded warning cam n1 loss
recording.ended error cam n1 failed
recording.started info cam n1
recording.started info cam n1`
	if got := told(l.List(Query{})); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	l.now = func() time.Time { return noon.Add(2 * time.Hour) }
	fo.forget()
	if len(fo.known) != 0 {
		t.Errorf("remembered: %v", fo.known)
	}
}
