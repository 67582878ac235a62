package signalling

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/ingest/live"
)

// fakePlaces is what managers note together.
type fakePlaces struct {
	mu     sync.Mutex
	placed map[string]string
	err    error
}

func (p *fakePlaces) Place(_ context.Context, stream, alias, instead string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if is := p.placed[stream]; p.err == nil && (is == "" || is == instead) {
		p.placed[stream] = alias
	}
	return p.placed[stream], p.err
}

func (p *fakePlaces) Placed(_ context.Context, stream string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.placed[stream], p.err
}

func (p *fakePlaces) Displace(_ context.Context, stream, alias string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.placed[stream] == alias {
		delete(p.placed, stream)
	}
	return p.err
}

// TestManagersAgree: managers that know nothing of each other's publishers yet send those
// of one stream to one node, and go on to the same one when it does not take them.
func TestManagersAgree(t *testing.T) {
	up := func(alias string, publishers int) Candidate {
		return Candidate{Alias: alias, Up: true, Publishers: publishers}
	}
	for _, tt := range []struct {
		name    string
		answers map[string]Answer
		first   string   // where another manager has sent a publisher
		away    bool     // the database is
		want    []string // who is asked
		placed  string   // then
	}{
		{"nobody was first", map[string]Answer{"a": created("s")}, "", false, []string{"a"}, "a"},
		{"another manager was first", map[string]Answer{"a": created("s"), "b": created("s")}, "b", false, []string{"b"}, "b"},
		{"its node is gone", map[string]Answer{"a": created("s")}, "gone", false, []string{"a"}, "a"},
		{"its node does not take it", map[string]Answer{"a": created("s")}, "b", false, []string{"b", "a"}, "a"},
		{"nobody takes it", map[string]Answer{}, "b", false, []string{"b", "a", "c"}, ""},
		{"the database is away", map[string]Answer{"a": created("s")}, "b", true, []string{"a"}, "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			places := &fakePlaces{placed: map[string]string{"cam": tt.first}}
			if tt.away {
				places.err = errors.New("it is away")
			}
			f := &fakeFleet{nodes: []Candidate{up("a", 0), up("b", 1), up("c", 2)}, answers: tt.answers}
			s := newServer(t, f, func(o *Options) { o.Places = places })
			_, _ = do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{}) // what it answers, other tests look at
			var asked []string
			for _, one := range f.asked {
				asked = append(asked, strings.Fields(one)[1])
			}
			if !slices.Equal(asked, tt.want) || places.placed["cam"] != tt.placed {
				t.Errorf("asked %v, want %v; placed at %q, want %q", asked, tt.want, places.placed["cam"], tt.placed)
			}
		})
	}
}

// TestViewerOfAnotherManagersPublisher: who watches does not have to wait until the node
// tells of a publisher that another manager has sent there.
func TestViewerOfAnotherManagersPublisher(t *testing.T) {
	places := &fakePlaces{placed: map[string]string{"cam": "b"}}
	f := &fakeFleet{nodes: []Candidate{{Alias: "a", Up: true}, {Alias: "b", Up: true}}, answers: map[string]Answer{"b": created("s")}}
	s := newServer(t, f, func(o *Options) { o.Places = places })
	if w, err := do(t, s.Subscribe, http.MethodPost, "/whep/cam", live.Lease{}); err != nil || w.Code != http.StatusCreated {
		t.Errorf("%d %v", w.Code, err)
	}
}

// TestDeletedPublisherIsDisplaced: a publisher that has left may come back anywhere.
func TestDeletedPublisherIsDisplaced(t *testing.T) {
	places := &fakePlaces{placed: map[string]string{}}
	f := &fakeFleet{nodes: []Candidate{{Alias: "a", Up: true}}, answers: map[string]Answer{"a": created("s")}}
	s := newServer(t, f, func(o *Options) { o.Places = places })
	if _, err := do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{}); err != nil {
		t.Fatal(err)
	}
	f.answers["a"] = Answer{Status: http.StatusOK}
	if _, err := do(t, s.DeleteSession, http.MethodDelete, "/session/cam/a~s", live.Lease{}); err != nil || len(places.placed) > 0 {
		t.Errorf("%v, placed %v", err, places.placed)
	}
}

// TestRedirectsAgree: a publisher that is sent to a node counts, too.
func TestRedirectsAgree(t *testing.T) {
	f := &fakeFleet{nodes: []Candidate{{Alias: "a", Up: true, URL: "http://a"}, {Alias: "b", Up: true, URL: "http://b", Publishers: 1}},
		answers: map[string]Answer{"a": {Status: http.StatusNoContent}, "b": {Status: http.StatusNoContent}}}
	s := newServer(t, f, func(o *Options) { o.Mode, o.Places = Redirect, &fakePlaces{placed: map[string]string{"cam": "b"}} })
	for range 2 {
		if w, err := do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{}); err != nil || w.Header().Get("Location") != "http://b/whip/cam" {
			t.Errorf("%v %v", w.Header(), err)
		}
	}
}
