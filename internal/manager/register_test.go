//go:build !norecorder

package manager

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/serve/api"
)

// identifying answers who has sent a request, by its token, and notes the tokens
// that it was sent.
type identifying struct {
	*httptest.Server
	anonymous bool
	rights    map[string]string // by token, JSON

	mu   sync.Mutex
	sent map[string]bool
}

func newIdentifying(t *testing.T, rights map[string]string) *identifying {
	s := &identifying{rights: rights, sent: map[string]bool{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *identifying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	s.sent[token] = true
	s.mu.Unlock()
	rights, ok := s.rights[token]
	switch {
	case r.URL.Path != "/api/me":
		http.NotFound(w, r)
	case s.anonymous:
		_, _ = fmt.Fprint(w, `{"kind":"anonymous","name":"","rights":["admin"],"streams":["*"]}`)
	case !ok:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		_, _ = fmt.Fprintf(w, `{"kind":"jwt","name":"",%s}`, rights)
	}
}

func (s *identifying) wasSent(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[token]
}

const allRights = `"rights":["view","admin"],"streams":["*"]`

// Who has the registration token takes no other node's place: what is known of it
// changes for who shows to be it, and for administrators.
func TestRegistrationIsBound(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	edge := newIdentifying(t, map[string]string{
		"first": allRights, "renewed": allRights, "viewer": `"rights":["view"],"streams":["*"]`, "of a stream": `"rights":["admin"],"streams":["cam"]`,
	})
	evil := newIdentifying(t, map[string]string{"": allRights, "evil": allRights, "first": allRights})
	register := func(server *identifying, token string, local, admin bool) error {
		_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "edge", URL: server.URL, Token: token, LocalStorage: local}, admin)
		return err
	}
	is := func(what string, server *identifying, token string, local bool) {
		t.Helper()
		saved, err := db.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := f.node("edge")
		if len(saved) != 1 || saved[0].URL != server.URL || saved[0].Token != token || saved[0].Local != local ||
			n == nil || n.client.Base != server.URL || n.client.Token() != token || n.local != local {
			t.Errorf("%s: the node is %+v", what, saved)
		}
	}
	if err := register(edge, "first", false, false); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, server *identifying, token string, local bool) {
		t.Helper()
		before := f.node("edge").client.Token()
		err := register(server, token, local, false)
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "DELETE /api/nodes/edge") || strings.Contains(fault.Text(err), "127.0.0.1") {
			t.Errorf("%s: %v", what, err)
		}
		is(what, edge, before, false)
	}
	refused("another place and a token of its own", evil, "evil", false)
	refused("another place and no token", evil, "", false)
	refused("a token that the node refuses", edge, "evil", false)
	refused("no token any more", edge, "", false)
	refused("a token with too few rights", edge, "viewer", false)
	refused("a token for some streams", edge, "of a stream", false)
	refused("another storage", edge, "evil", true)
	for _, token := range []string{"first", "renewed"} { // a token that is renewed
		if err := register(edge, token, false, false); err != nil {
			t.Error(err)
		}
		is("a token that is renewed", edge, token, false)
	}
	if evil.wasSent("first") || evil.wasSent("renewed") {
		t.Error("a token of the node was sent elsewhere")
	}
	moved := newIdentifying(t, map[string]string{"renewed": allRights, "first": allRights})
	if err := register(moved, "renewed", false, false); err != nil {
		t.Errorf("a node that moved and brings its token: %v", err)
	}
	is("a node that moved", moved, "renewed", false)
	if err := register(edge, "first", true, false); err != nil {
		t.Errorf("a node that moved and brings a token that its old place takes: %v", err)
	}
	is("a node that moved back", edge, "first", true)
	if err := register(edge, "first", false, false); err != nil {
		t.Error(err)
	}

	// A manager that was restarted and has not read yet whom it knows.
	fresh := newFleet(f.o)
	defer fresh.close()
	if _, _, err := fresh.Register(t.Context(), api.NodeRegistration{Alias: "edge", URL: evil.URL, Token: "evil"}, false); fault.KindOf(err) != fault.Conflict {
		t.Errorf("before the nodes are loaded: %v", err)
	}

	edge.Close()
	refused("another place, with the node down", evil, "evil", false)
	if err := register(evil, "evil", false, true); err != nil {
		t.Errorf("an administrator: %v", err)
	}
	is("an administrator's word", evil, "evil", false)
	if err := f.Remove(t.Context(), "edge"); err != nil {
		t.Fatal(err)
	}
	if err := register(moved, "first", false, false); err != nil {
		t.Errorf("an alias that is free again: %v", err)
	}
}

// A node that asks nobody cannot show who it is, and keeps its place.
func TestRegistrationOfAnonymousNode(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	edge, evil := newIdentifying(t, nil), newIdentifying(t, nil)
	edge.anonymous, evil.anonymous = true, true
	register := func(url, token string, local bool) fault.Kind {
		_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "edge", URL: url, Token: token, LocalStorage: local}, false)
		if err == nil {
			return 255
		}
		return fault.KindOf(err)
	}
	for i, tt := range []struct {
		url, token string
		local      bool
		want       fault.Kind
	}{
		{edge.URL, "", false, 255}, {edge.URL, "", false, 255}, {evil.URL, "", false, fault.Conflict}, {evil.URL, "x", false, fault.Conflict},
		{edge.URL, "", true, fault.Conflict}, {edge.URL, "x", false, 255}, // which it takes as it takes any
	} {
		if got := register(tt.url, tt.token, tt.local); got != tt.want {
			t.Errorf("%d: kind %d, want %d", i, got, tt.want)
		}
	}
	if n := f.node("edge"); n.client.Base != edge.URL || n.local {
		t.Error("the node was replaced")
	}
}

// What the configuration says of a node holds, whoever registers.
func TestRegistrationOfConfiguredNode(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	f.opened = make(chan struct{}) // this test opens it
	nodes := []config.Node{{Alias: "edge", URL: "http://127.0.0.1:1", Token: "t"}}
	f.load(nodes)
	if _, err := f.known(t.Context(), nodes); err != nil { // as at the start
		t.Fatal(err)
	}
	for _, admin := range []bool{false, true} {
		for _, url := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2"} {
			_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "edge", URL: url, Token: "t"}, admin)
			if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "[[nodes]]") {
				t.Errorf("%s, administrator %v: %v", url, admin, err)
			}
		}
	}
	if saved, err := db.Nodes(t.Context()); err != nil || len(saved) != 1 || saved[0] != (catalogue.Node{Alias: "edge", URL: "http://127.0.0.1:1"}) {
		t.Errorf("%+v, %v", saved, err)
	}
}

// However many register, few nodes are asked at the same time who they are.
func TestProvingIsBounded(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	for range maxProving {
		f.proving <- struct{}{}
	}
	for i, want := range []fault.Kind{255, fault.Unavailable} {
		_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "edge", URL: fmt.Sprintf("http://127.0.0.1:%d", i+1), Token: fmt.Sprint(i)}, false)
		if err == nil && want != 255 || err != nil && fault.KindOf(err) != want {
			t.Errorf("%d: %v", i, err)
		}
	}
}
