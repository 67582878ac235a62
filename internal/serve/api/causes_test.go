package api

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestCauses(t *testing.T) {
	var c causes
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := func(cause string, more int, ok bool) {
		t.Helper()
		if gotMore, got := c.next(cause, now); got != ok || gotMore != more {
			t.Errorf("%s: %d, %v, want %d, %v", cause, gotMore, got, more, ok)
		}
	}
	want("a", 0, true)
	want("a", 0, false)
	want("b", 0, true)
	now = now.Add(causeEvery - 1)
	want("a", 0, false)
	now = now.Add(1)
	want("a", 2, true)
	passed := 0
	for i := range 100 * maxCauses {
		if _, ok := c.next("flood "+strconv.Itoa(i), now); ok {
			passed++
		}
		if len(c.last) > maxCauses+1 {
			t.Fatalf("%d causes are remembered", len(c.last))
		}
	}
	if passed > maxCauses {
		t.Errorf("%d of a flood were let through", passed)
	}
	now = now.Add(causeEvery)
	want("new", 0, true)
	want("c", 0, true)
}

// TestLoginFloodIsALine: who tries passwords fills no disk.
func TestLoginFloodIsALine(t *testing.T) {
	n := newNode(t, withAccounts)
	for range 100 {
		n.do(t, http.MethodPost, "/api/login", `{"name":"eve","password":"wrong"}`, "X-Forwarded-For", "9.9.9.9")
	}
	log := n.logs.String()
	if strings.Count(log, "reason=wrong") != 1 || strings.Count(log, "has to wait") != 1 || strings.Count(log, "http.trusted_proxies") != 2 {
		t.Errorf("the log:\n%s", log)
	}
}

// TestGuessedTokens: bearer tokens are not to be guessed, nor that of registration.
func TestGuessedTokens(t *testing.T) {
	n := newNode(t, withAuth)
	for i := range 30 {
		w := n.do(t, http.MethodGet, "/api/streams", "", "Authorization", "Bearer guess-"+strconv.Itoa(i))
		switch {
		case i < 21:
			expect(t, w, http.StatusUnauthorized)
		default:
			expect(t, w, http.StatusTooManyRequests)
			if w.Header().Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
	}
}
