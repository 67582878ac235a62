package whip

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// TestLayerOfViewers says which layer of a simulcast a viewer gets: the one with the most bytes or
// with the least, of those that are sent.
func TestLayerOfViewers(t *testing.T) {
	sizes := []int{1200, 400, 100}
	for name, c := range map[string]struct {
		smallest bool
		sent     []int // layers
		want     int
	}{
		"biggest":                       {false, []int{0, 1, 2}, 0},
		"smallest":                      {true, []int{0, 1, 2}, 2},
		"the smallest that is sent":     {true, []int{0, 1}, 1},
		"biggest, which begins later":   {false, []int{2, 1, 0}, 0},
		"smallest, which does not come": {true, []int{0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := layers{smallest: c.smallest}
			l.reset()
			for i := range sizes {
				l.add(media.TrackID(i))
			}
			begin := time.Unix(1_700_000_000, 0)
			last, switches := -1, 0
			for at := time.Duration(0); at < 4*layerWindow; at += layerWindow / 10 {
				for _, i := range c.sent {
					p := &media.Packet{Track: media.TrackID(i), Payload: make([]byte, sizes[i]), Arrival: begin.Add(at)}
					forward, switched := l.choose(p)
					if forward {
						last = i
					}
					if switched {
						switches++
					}
				}
			}
			if last != c.want || switches > 2 {
				t.Errorf("the viewer gets layer %d after %d switches, not %d", last, switches, c.want)
			}
		})
	}
	t.Run("goes on with another when the smallest ends", func(t *testing.T) {
		l := layers{smallest: true}
		l.reset()
		l.add(0)
		l.add(1)
		begin := time.Unix(1_700_000_000, 0)
		got := -1
		for i := range 60 {
			at := begin.Add(time.Duration(i) * layerWindow / 10)
			for track, size := range []int{1200, 100} {
				if track == 1 && i >= 30 {
					continue
				}
				if forward, _ := l.choose(&media.Packet{Track: media.TrackID(track), Payload: make([]byte, size), Arrival: at}); forward {
					got = track
				}
			}
			if i == 29 && got != 1 {
				t.Errorf("the viewer gets layer %d while the smallest is sent", got)
			}
		}
		if got != 0 {
			t.Errorf("the viewer gets layer %d after the smallest has ended", got)
		}
	})
}

// TestWantsSmallest reads the query of WHEP.
func TestWantsSmallest(t *testing.T) {
	for query, want := range map[string]bool{"": false, "?layer=biggest": false, "?layer=smallest": true} {
		if got, err := wantsSmallest(httptest.NewRequest(http.MethodPost, "/whep/cam"+query, nil)); err != nil || got != want {
			t.Errorf("%q: %v, %v", query, got, err)
		}
	}
	if _, err := wantsSmallest(httptest.NewRequest(http.MethodPost, "/whep/cam?layer=tiny", nil)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a layer that is none: %v", err)
	}
}
