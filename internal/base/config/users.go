package config

import (
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/media"
)

// User is somebody who logs in to the page, or to the API, by name and password.
type User struct {
	Name string `toml:"name"`
	// PasswordHash is what hash-password prints: Argon2id or bcrypt.
	PasswordHash Secret `toml:"password_hash"`
	// Rights are of those that tokens have.
	Rights []string `toml:"rights"`
	// Streams are path.Match patterns.
	Streams []string `toml:"streams"`
}

// maxUserName is the longest name of a user, in bytes.
const maxUserName = 100

func (l *loader) checkUsers(users []User) {
	seen := make(map[string]int)
	for i, u := range users {
		at := element("auth.users", i)
		switch other, twice := seen[u.Name]; {
		case u.Name == "":
			l.fail(at+".name", "is missing")
		case twice:
			l.fail(at+".name", "%q is the name of auth.users[%d] too", u.Name, other)
		case len(u.Name) > maxUserName || strings.TrimSpace(u.Name) != u.Name || strings.ContainsFunc(u.Name, media.IsHidden):
			l.fail(at+".name", "%q is no name; use up to %d bytes without control and format characters, and no space at the ends", u.Name, maxUserName)
		}
		seen[u.Name] = i
		if u.PasswordHash == "" {
			l.fail(at+".password_hash", "is missing; %s hash-password makes one", l.program.name)
		} else if u.PasswordHash != mask {
			if err := auth.CheckHash(string(u.PasswordHash)); err != nil {
				l.fail(at+".password_hash", "%v", err)
			}
		}
		l.checkMask(at+".password_hash", u.PasswordHash)
		l.checkRights(at+".rights", u.Rights)
		if len(u.Streams) == 0 {
			l.fail(at+".streams", `is missing; write ["*"] for all streams, ["room-*"] for some`)
		}
		l.checkPatterns(at+".streams", u.Streams)
	}
}

func (l *loader) checkRights(at string, rights []string) {
	var known []string
	for _, r := range auth.Rights() {
		known = append(known, string(r))
	}
	if len(rights) == 0 {
		l.fail(at, "is missing; use some of %s", strings.Join(known, ", "))
	}
	for i, r := range rights {
		if !slices.Contains(known, r) {
			l.fail(element(at, i), "%q is no right; use %s", r, orList(known))
		}
	}
}

// Options returns what package auth has to know.
func (a *Auth) Options() auth.Options {
	o := auth.Options{Secret: string(a.Secret), Anonymous: a.Anonymous}
	for _, t := range a.Tokens {
		o.Tokens = append(o.Tokens, string(t))
	}
	for _, u := range a.Users {
		account := auth.Account{Name: u.Name, PasswordHash: string(u.PasswordHash), Streams: u.Streams}
		for _, r := range u.Rights {
			account.Rights = append(account.Rights, auth.Right(r))
		}
		o.Accounts = append(o.Accounts, account)
	}
	return o
}
