package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
)

// featureAccounts is in Info.Features where people can log in.
const featureAccounts = "accounts"

// identity says who somebody is and what they may do.
type identity struct {
	Kind    auth.Kind    `json:"kind"`
	Name    string       `json:"name"`
	Rights  []auth.Right `json:"rights"`
	Streams []string     `json:"streams"`
	Expires time.Time    `json:"expires,omitzero"`
}

func identityOf(g *auth.Grant) identity {
	i := identity{Kind: g.Kind(), Name: g.Name(), Rights: g.Rights(), Streams: g.Streams()}
	if i.Streams == nil {
		i.Streams = []string{}
	}
	if t, ok := g.Expires(); ok {
		i.Expires = t.UTC()
	}
	return i
}

func (a *API) getMe(w http.ResponseWriter, r *http.Request) error {
	a.writeJSON(w, http.StatusOK, identityOf(grantOf(r)))
	return nil
}

// login answers with a session, in a cookie for the page and in the body for
// other clients.
func (a *API) login(w http.ResponseWriter, r *http.Request) error {
	// Nobody is to be logged in to somebody else's account by a foreign page.
	if err := a.Auth().CheckOrigin(r); err != nil {
		return err
	}
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if body.Name == "" || body.Password == "" {
		return fault.New(fault.Invalid, `name and password are needed: {"name": "...", "password": "..."}`).Coded("login_incomplete")
	}
	s, err := a.Auth().Login(r.Context(), body.Name, body.Password, r.RemoteAddr)
	if err != nil {
		a.loginFailed(r, err)
		return err
	}
	a.log.Info("logged in", "account", body.Name, "remote", r.RemoteAddr)
	a.Auth().SetCookie(w, r, s)
	a.writeJSON(w, http.StatusOK, struct {
		Token string `json:"token"`
		identity
	}{s.Token, identityOf(s.Grant)})
	return nil
}

// loginFailed logs it, without the name: people type passwords into the wrong field.
func (a *API) loginFailed(r *http.Request, err error) {
	reason := "wrong"
	if wait := (*fault.WaitError)(nil); errors.As(err, &wait) {
		reason = "has to wait"
	} else if !errors.Is(err, auth.ErrLogin) {
		return
	}
	more, ok := a.causes.next("login "+reason+" "+hostOf(r), a.now())
	if !ok {
		return
	}
	a.log.Warn("a login failed", "reason", reason, "remote", r.RemoteAddr, "unlogged", more)
	if r.Header.Get("X-Forwarded-For")+r.Header.Get("Forwarded") != "" && !a.proxies.trusts(r.RemoteAddr) {
		a.log.Warn("a proxy tells of its clients and is not believed, so that they are slowed together: put its address into http.trusted_proxies", "remote", r.RemoteAddr)
	}
}

func (a *API) logout(w http.ResponseWriter, r *http.Request) error {
	if err := a.Auth().CheckOrigin(r); err != nil {
		return err
	}
	if err := a.Auth().Logout(r); err != nil {
		return err
	}
	a.Auth().ClearCookie(w, r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
