package whip

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/testkit/await"
)

// withLease has the node take requests for those of credentials that are good for lease.
func (n *node) withLease(lease *live.Lease) {
	n.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routes(n.whip).ServeHTTP(w, r.WithContext(live.WithClient(r.Context(), live.Client{Owner: "me", Lease: *lease})))
	})
}

// leased makes a publisher's session, which never connects.
func (n *node) leased(stream string) (se *session, etag string) {
	n.t.Helper()
	res, _ := n.do(http.MethodPost, "/whip/"+stream, typeSDP, crlf(goodOffer))
	location := res.Header.Get("Location")
	se, ok := n.whip.session(stream, location[strings.LastIndex(location, "/")+1:])
	if res.StatusCode != http.StatusCreated || !ok {
		n.t.Fatalf("%d, %q", res.StatusCode, location)
	}
	return se, res.Header.Get("ETag")
}

func awaitEnd(t *testing.T, se *session, why string) {
	t.Helper()
	select {
	case <-se.ctx.Done():
	case <-time.After(time.Minute):
		t.Fatalf("it goes on: %s", why)
	}
}

// TestSessionEndsWithItsCredentials: with a logout at once, with their time after the
// grace, and not if they are renewed.
func TestSessionEndsWithItsCredentials(t *testing.T) {
	lease := live.Lease{Ended: make(chan struct{})}
	var log logtest.Buffer
	n := newNode(t, Options{ConnectTimeout: time.Hour, Grace: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	n.withLease(&lease)

	ended := make(chan struct{})
	lease = live.Lease{Expires: time.Now().Add(time.Hour), Ended: ended}
	se, _ := n.leased("logout")
	close(ended)
	awaitEnd(t, se, "somebody has logged out")

	lease = live.Lease{Expires: time.Now().Add(-time.Hour)}
	n.do(http.MethodPost, "/whip/over", typeSDP, crlf(goodOffer))
	await.Until(t, "the time and the grace are over", func() bool {
		n.whip.mu.Lock()
		defer n.whip.mu.Unlock()
		return len(n.whip.sessions) == 0
	})

	lease = live.Lease{Expires: time.Now().Add(-time.Minute)}
	se, etag := n.leased("renewed")
	next := make(chan struct{})
	lease = live.Lease{Ended: next}
	res, _ := n.do(http.MethodPatch, "/session/renewed/"+se.id, typeFragment, "a=ice-ufrag:"+se.ufrag+"\r\na=ice-pwd:"+se.password+"\r\n", "If-Match", etag)
	if res.StatusCode != http.StatusNoContent || se.currentLease() != lease || se.ctx.Err() != nil {
		t.Errorf("a newer token: %d, %+v", res.StatusCode, se.currentLease())
	}
	lease = live.Lease{Expires: time.Now()}
	n.do(http.MethodPatch, "/session/renewed/"+se.id, typeFragment, "a=ice-ufrag:"+se.ufrag+"\r\na=ice-pwd:"+se.password+"\r\n", "If-Match", etag)
	if !se.currentLease().Expires.IsZero() {
		t.Error("an older token makes the time shorter")
	}
	close(next)
	awaitEnd(t, se, "who has renewed it has logged out")
	if strings.Count(log.String(), "its credentials were taken back") != 2 || strings.Count(log.String(), "its credentials have expired") != 1 {
		t.Errorf("they ended otherwise:\n%s", log.String()) // what does not connect ends by itself
	}
}
