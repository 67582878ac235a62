package auth

import "bytes"

// Next returns an Auth with o's rules for a server that goes on, which is to use it in the
// place of a from now on. Who has logged in to an account that is the same in o stays
// logged in; who has failed to log in, or guessed tokens, is still known. Sessions of
// other accounts are over, though nothing that they have begun ends.
func (a *Auth) Next(o Options) *Auth {
	next := New(o)
	next.cookieName, next.sessions, next.bearers = a.cookieName, a.sessions, a.bearers
	as := next.accounts
	as.byAddress, as.byNames, as.known, as.turns = a.accounts.byAddress, a.accounts.byNames, a.accounts.known, a.accounts.turns
	for _, account := range as.list {
		if old := a.accounts.byName[account.Name]; old != nil && old.PasswordHash == account.PasswordHash {
			account.key = old.key
		}
	}
	for name, old := range a.accounts.byName {
		if kept := as.byName[name]; kept == nil || !bytes.Equal(kept.key, old.key) {
			a.sessions.drop(name)
		}
	}
	return next
}

// drop forgets the sessions of an account, and ends nothing that was opened by them.
func (s *sessions) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.running[name] {
		delete(s.byTag, r.tag)
	}
	delete(s.running, name)
}
