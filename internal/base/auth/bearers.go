package auth

import (
	"net/http"
	"time"
)

// How much guessing of static tokens is possible, by the address that it comes from.
// What is signed cannot be guessed, and is not slowed.
const (
	freeTokens, longestByToken = 20, time.Minute
	// maxTokens bounds the tokens that are remembered as good; a configuration has few.
	maxTokens = 1000
)

// bearers slows down those who guess static tokens. While an address has to wait, only
// tokens that were valid before are let in, so a right guess looks like a wrong one.
// Others at that address who have used their tokens notice nothing. Safe for concurrent
// use.
type bearers struct {
	failing *throttle
	good    *recent // tokens that were valid, by their digests
}

func newBearers(now func() time.Time) *bearers {
	return &bearers{failing: newThrottle(freeTokens, longestByToken, now), good: newRecent(maxTokens)}
}

// check returns nil for a token that is valid and may be used now, ErrInvalid for one
// that is not valid, which is counted, and a *fault.WaitError if the address has to
// wait.
func (b *bearers) check(r *http.Request, token string, valid bool) error {
	key := nameKey(token, "")
	if valid && b.good.has(key) {
		return nil
	}
	source := sourceOf(r.RemoteAddr)
	switch {
	case source == "": // this machine: a reverse proxy, and so anybody
	case valid:
		if wait := b.failing.wait(source); wait > 0 {
			return tooMany(wait)
		}
	default:
		if wait, ok := b.failing.begin(source); !ok {
			return tooMany(wait)
		}
	}
	if !valid {
		return ErrInvalid
	}
	b.good.add(key)
	return nil
}
