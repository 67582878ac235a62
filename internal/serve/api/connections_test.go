package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDescriptors: however few there are, some are left for recording.
func TestDescriptors(t *testing.T) {
	for _, tt := range []struct {
		descriptors uint64
		c, want     Connections
	}{
		{256, Connections{}, Connections{64, 16}},
		{1024, Connections{}, Connections{384, 96}},
		{20_000, Connections{}, Connections{7500, 1875}},
		{1 << 40, Connections{}, Connections{maxConnections, maxConnections / 4}},
		{20, Connections{}, Connections{minConnections, minConnections}},
		{1024, Connections{10, 5}, Connections{10, 5}},
		{1024, Connections{Max: 400}, Connections{400, 100}},
	} {
		if got := tt.c.within(tt.descriptors); got != tt.want {
			t.Errorf("%+v within %d is %+v, want %+v", tt.c, tt.descriptors, got, tt.want)
		}
	}
	if descriptors() == 0 {
		t.Error("there are no descriptors")
	}
}

// limitedServer serves on loopback with limits; each request to /slow waits for the end.
func limitedServer(t *testing.T, c Connections, proxies ...string) (addr string, refused func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	counts := map[string]int{}
	end := make(chan struct{})
	n := newNode(t, func(o *Options) {
		o.TrustedProxies = proxies
		o.Refused = func(of, limit string) {
			mu.Lock()
			defer mu.Unlock()
			counts[of+" "+limit]++
		}
		o.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				_ = http.NewResponseController(w).Flush() // it is being answered
				<-end
			}
		})
	})
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(n.API)
	go func() { _ = s.Serve(n.Limit(l, c)) }()
	t.Cleanup(func() { _ = s.Close() })
	t.Cleanup(func() { close(end) })
	return l.Addr().String(), func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return counts
	}
}

// ask sends a request on a connection and returns the status, 0 where the connection
// was closed instead.
func ask(t *testing.T, c net.Conn, path string) int {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		return 0
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // ends with the connection
	if err != nil {
		return 0
	}
	if resp.StatusCode >= 400 && resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d without Retry-After", resp.StatusCode)
	}
	return resp.StatusCode
}

// TestIdleConnections: who opens connections and waits keeps nobody out.
func TestIdleConnections(t *testing.T) {
	addr, refused := limitedServer(t, Connections{Max: 4, PerAddress: 100})
	first := dial(t, addr)
	for range 40 {
		dial(t, addr)
	}
	if got := ask(t, dial(t, addr), "/"); got != http.StatusOK {
		t.Errorf("a client after 40 idle ones: %d", got)
	}
	if got := ask(t, first, "/"); got != 0 {
		t.Errorf("the oldest idle connection is answered %d", got)
	}
	if n := refused(); len(n) > 0 {
		t.Errorf("refused: %v", n)
	}
}

// TestBusyConnections: those that are answered are not closed, and what is one too many
// is told when to come again.
func TestBusyConnections(t *testing.T) {
	for name, tt := range map[string]struct {
		limit   Connections
		proxies []string
		want    int
		refused string
	}{
		"of all":                 {Connections{Max: 3, PerAddress: 100}, nil, http.StatusServiceUnavailable, "node connections"},
		"of one address":         {Connections{Max: 100, PerAddress: 3}, nil, http.StatusTooManyRequests, "address connections"},
		"of one that is a proxy": {Connections{Max: 100, PerAddress: 3}, []string{"127.0.0.1"}, http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			addr, refused := limitedServer(t, tt.limit, tt.proxies...)
			for range 3 {
				if got := ask(t, dial(t, addr), "/slow"); got != http.StatusOK {
					t.Fatalf("a connection below the limit: %d", got)
				}
			}
			if got := ask(t, dial(t, addr), "/"); got != tt.want {
				t.Errorf("one more: %d, want %d", got, tt.want)
			}
			if n := refused(); tt.refused != "" && n[tt.refused] == 0 {
				t.Errorf("counted: %v", n)
			}
		})
	}
}

func TestAddressOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8::1:2:3:4]:80": "2001:db8::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "@": "@",
	} {
		if got := addressOf(in); got != want {
			t.Errorf("addressOf(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestPace: an address that sends too much waits, and others do not.
func TestPace(t *testing.T) {
	p := pace{rate: 10}
	now := time.Unix(1000, 0)
	for i := range 20 {
		if _, ok := p.take("a", now); !ok {
			t.Fatalf("request %d is refused", i)
		}
	}
	if wait, ok := p.take("a", now); ok || wait != 100*time.Millisecond {
		t.Errorf("one more: %v, after %v", ok, wait)
	}
	if _, ok := p.take("b", now); !ok {
		t.Error("another address is refused")
	}
	if _, ok := p.take("a", now.Add(100*time.Millisecond)); !ok {
		t.Error("later: refused")
	}
}

// TestPaceIsBounded: addresses cost nothing once they have sent nothing for a while, and
// those that find no place share one.
func TestPaceIsBounded(t *testing.T) {
	p := pace{rate: 10}
	now := time.Unix(1000, 0)
	refused := 0
	for i := range maxCounted + 100 {
		if _, ok := p.take(strconv.Itoa(i), now); !ok {
			refused++
		}
	}
	if len(p.addresses) != maxCounted || refused != 80 {
		t.Errorf("%d addresses are kept, want %d; %d are refused, want 80", len(p.addresses), maxCounted, refused)
	}
	if _, ok := p.take("new", now.Add(3*time.Second)); !ok || len(p.addresses) != 1 {
		t.Errorf("later: %v, %d addresses", ok, len(p.addresses))
	}
}

// TestTooManyRequests holds what is answered, for API and page.
func TestTooManyRequests(t *testing.T) {
	counted := 0
	n := newNode(t, func(o *Options) {
		o.RequestsPerAddress = 1
		o.Refused = func(of, limit string) {
			if of == "address" && limit == "requests" {
				counted++
			}
		}
	})
	expect(t, n.do(t, http.MethodGet, "/api/time", ""), http.StatusOK)
	expect(t, n.do(t, http.MethodGet, "/", ""), http.StatusOK)
	for _, path := range []string{"/api/time", "/", "/whip/cam"} {
		w := n.do(t, http.MethodGet, path, "")
		expect(t, w, http.StatusTooManyRequests)
		if w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), "1 requests a second") {
			t.Errorf("%s: Retry-After %q, %s", path, w.Header().Get("Retry-After"), w.Body)
		}
	}
	if counted != 3 {
		t.Errorf("%d are counted, want 3", counted)
	}
}
