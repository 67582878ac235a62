package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestNext replaces the rules of a server that goes on.
func TestNext(t *testing.T) {
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	account := func(name string) Account {
		return Account{Name: name, PasswordHash: hash, Rights: []Right{View}, Streams: []string{"*"}}
	}
	const first, second = "first-token-of-all", "second-token-of-all"
	old := New(Options{Tokens: []string{first}, Accounts: []Account{account("anna"), account("bert")}})
	sessions := map[string]*Session{}
	for _, name := range []string{"anna", "bert"} {
		if sessions[name], err = old.Login(t.Context(), name, "correct horse", "192.0.2.1:1"); err != nil {
			t.Fatal(err)
		}
	}
	more := account("anna")
	more.Rights = []Right{View, Record}
	next := old.Next(Options{Tokens: []string{second}, Accounts: []Account{more}})
	may := func(a *Auth, token string, right Right) error {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return a.Authorize(r, right, "camera")
	}
	if may(next, first, Admin) == nil || may(next, second, Admin) != nil {
		t.Error("the tokens are not those of the new rules")
	}
	if err := may(next, sessions["anna"].Token, Record); err != nil {
		t.Errorf("who has logged in has to do it again, or has the rights of before: %v", err)
	}
	if may(next, sessions["bert"].Token, View) == nil {
		t.Error("an account that is gone is still logged in")
	}
	select {
	case <-sessions["bert"].Grant.Ended():
		t.Error("what a session has begun ends with its account")
	default:
	}
	again := next.Next(Options{Accounts: []Account{account("anna"), account("bert")}})
	if may(again, sessions["bert"].Token, View) == nil {
		t.Error("a session that was over has come back")
	}
	link := next.SignLink(sessions["anna"].Grant, "camera/1", "recording", time.Now().Add(time.Hour))
	if _, err := next.CheckLink(link, "camera/1"); err != nil {
		t.Errorf("a link of a session that went on: %v", err)
	}
}
