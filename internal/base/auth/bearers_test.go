package auth

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// TestGuessedTokens: who guesses tokens waits, and is not told when one is right; others
// at the same address, whose tokens have been valid, notice nothing.
func TestGuessedTokens(t *testing.T) {
	at := now
	a := New(Options{Tokens: []string{"first-token-of-two", "other-token-of-two"}, Secret: secret, Accounts: testAccounts(), Now: func() time.Time { return at }})
	ask := func(address, token string) error {
		r := request(t, "Bearer "+token)
		r.RemoteAddr = address
		_, err := a.Authenticate(r)
		return err
	}
	waits := func(err error) bool {
		wait := (*fault.WaitError)(nil)
		return errors.As(err, &wait) && fault.KindOf(err) == fault.TooMany
	}
	const here = "203.0.113.5:1"
	if err := ask(here, "first-token-of-two"); err != nil {
		t.Fatal(err)
	}
	session, jwt := login(t, a).Token, mustSign(t, time.Hour)
	for i := range freeTokens + 1 {
		if err := ask(here, "guess"+strconv.Itoa(i)); !errors.Is(err, ErrInvalid) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	for what, token := range map[string]string{"a wrong guess": "guess", "a right guess": "other-token-of-two"} {
		if err := ask(here, token); !waits(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, token := range map[string]string{"a token that was used before": "first-token-of-two", "a session": session, "a JWT": jwt} {
		if err := ask(here, token); err != nil {
			t.Errorf("%s waits because of others: %v", what, err)
		}
	}
	if err := ask("203.0.113.6:1", "other-token-of-two"); err != nil {
		t.Errorf("another address waits: %v", err)
	}
	if err := ask(here, "other-token-of-two"); err != nil {
		t.Errorf("a token that was valid elsewhere: %v", err)
	}
	at = at.Add(2 * longestByToken)
	if err := ask(here, "guess"); !errors.Is(err, ErrInvalid) {
		t.Errorf("after the wait: %v", err)
	}
}

// TestNoGuesses: what is over or comes by itself does not count, nor what comes from this
// machine, where a reverse proxy stands for everybody.
func TestNoGuesses(t *testing.T) {
	at := now
	a := New(Options{Tokens: []string{"first-token-of-two"}, Secret: secret, Accounts: testAccounts(), Now: func() time.Time { return at }})
	s, jwt := login(t, a), mustSign(t, time.Minute)
	if err := a.Logout(request(t, "Bearer "+s.Token)); err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Hour)
	for range 2 * freeTokens {
		r := request(t, "Bearer "+jwt)
		r.RemoteAddr = "203.0.113.5:1"
		_, err := a.Authenticate(r)
		if !errors.Is(err, ErrInvalid) {
			t.Fatalf("a JWT whose time is over: %v", err)
		}
		r = fromPage(t, a, "GET", s)
		r.RemoteAddr = "203.0.113.5:1"
		if _, err = a.Authenticate(r); !errors.Is(err, ErrInvalid) {
			t.Fatalf("the cookie of a session that has ended: %v", err)
		}
		r = request(t, "Bearer guess")
		r.RemoteAddr = "127.0.0.1:1"
		if _, err = a.Authenticate(r); !errors.Is(err, ErrInvalid) {
			t.Fatalf("a guess of this machine: %v", err)
		}
	}
}

// TestPresents: the registration token is no easier to guess.
func TestPresents(t *testing.T) {
	a := New(Options{Tokens: []string{"first-token-of-two"}, Now: clock})
	const right = "registration-token"
	guess := func(token string) (bool, error) {
		r := request(t, "Bearer "+token)
		r.RemoteAddr = "203.0.113.5:1"
		ok, err := a.Presents(r, right)
		if !ok && err == nil {
			_, err = a.Authenticate(r)
		}
		return ok, err
	}
	for range freeTokens + 1 {
		if ok, err := guess("wrong"); ok || !errors.Is(err, ErrInvalid) {
			t.Fatalf("%v, %v", ok, err)
		}
	}
	if _, err := guess(right); fault.KindOf(err) != fault.TooMany {
		t.Errorf("a right guess: %v", err)
	}
	if ok, err := a.Presents(request(t), right); ok || err != nil {
		t.Errorf("no token: %v, %v", ok, err)
	}
	if ok, _ := a.Presents(request(t, "Bearer x"), ""); ok {
		t.Error("an empty token is presented")
	}
}

func mustSign(t *testing.T, ttl time.Duration) string {
	t.Helper()
	token, err := Sign(secret, now.Add(ttl), []string{"*"}, View)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
