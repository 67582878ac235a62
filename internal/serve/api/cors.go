package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
)

// The headers of the Fetch standard's CORS protocol. Credentials in its sense,
// cookies, are never allowed: tokens travel in Authorization.
const (
	corsMethods = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
	corsRequest = "Authorization, Content-Type, If-Match, If-None-Match, Range"
	corsExposed = "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, Content-Range, Accept-Ranges, Date, X-Live777-Key-Time"
	corsMaxAge  = "600" // seconds; a browser asks again after changes of cors_origins
)

// origins are the origins whose pages may use the API.
type origins struct {
	all   bool
	exact []string // "https://host:port", as browsers send it
	hosts []string // "http://host", whatever the port
}

func newOrigins(list []string) *origins {
	o := new(origins)
	for _, s := range list {
		s = strings.ToLower(s)
		if host, ok := strings.CutSuffix(s, ":*"); ok {
			o.hosts = append(o.hosts, host)
		} else if s == "*" {
			o.all = true
		} else {
			o.exact = append(o.exact, s)
		}
	}
	return o
}

func (o *origins) allow(origin string) bool {
	origin = strings.ToLower(origin)
	if o.all || slices.Contains(o.exact, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	return slices.Contains(o.hosts, u.Scheme+"://"+strings.TrimSuffix(u.Host, ":"+u.Port()))
}

// checkOrigin does the server's part of CORS for a request of a page. It has
// answered preflights when done is true. What changes something and comes from
// a page that may not is an error: browsers send it without asking when it looks
// like a form's, and withhold no more than the answer.
func (a *API) checkOrigin(w http.ResponseWriter, r *http.Request) (done bool, err error) {
	h, cors := w.Header(), a.cors.Load()
	if !cors.all {
		h.Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false, nil
	}
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if !cors.allow(origin) {
		if sameOrigin(r, origin) || !preflight && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			return false, nil
		}
		return false, fault.Errorf(fault.Forbidden, "pages of %q may not use this node; add the origin to http.cors_origins", origin).Coded("origin_refused", "origin", origin)
	}
	allowed := origin
	if cors.all {
		allowed = "*"
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	h.Set("Access-Control-Expose-Headers", corsExposed)
	if !preflight {
		return false, nil
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsRequest)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		return false, nil // they have more to say to OPTIONS
	}
	w.WriteHeader(http.StatusNoContent)
	return true, nil
}

// sameOrigin reports whether the page was served by this node. Behind a proxy
// that changes the Host header only the browser's own word tells.
func sameOrigin(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) || r.Header.Get("Sec-Fetch-Site") == "same-origin"
}
