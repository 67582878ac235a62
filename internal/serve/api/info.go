package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
)

func (a *API) getInfo(w http.ResponseWriter, _ *http.Request) error {
	info := a.o.Info
	if a.Auth().HasAccounts() {
		info.Features = append(slices.Clone(info.Features), featureAccounts)
	}
	a.writeJSON(w, http.StatusOK, info)
	return nil
}

// getHealth answers those who decide whether to send requests here, and restart
// what does not answer at all.
func (a *API) getHealth(w http.ResponseWriter, _ *http.Request) error {
	var away error
	if a.ready != nil {
		away = a.ready()
	}
	if away == nil {
		a.writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	} else { // not an error of this request, which would be logged each time
		a.writeJSON(w, http.StatusServiceUnavailable, bodyOf(fault.Unavailable, away))
	}
	return nil
}

// getMetrics answers a scrape of Prometheus.
func (a *API) getMetrics(w http.ResponseWriter, r *http.Request) error {
	a.o.Metrics.ServeHTTP(w, r)
	return nil
}

// getOpenAPI answers with the description of this API.
func (a *API) getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(a.document) // a client that left needs none
	return nil
}

// getReference answers with the page that draws the description of this API.
func (a *API) getReference(w http.ResponseWriter, r *http.Request) error {
	a.o.Page.ServeHTTP(w, r)
	return nil
}

// configuration is the answer of GET /api/config.
type configuration struct {
	TOML string `json:"toml"`
}

// getConfig answers with the configuration in effect, secrets masked.
func (a *API) getConfig(w http.ResponseWriter, _ *http.Request) error {
	var text strings.Builder
	if a.o.Config != nil {
		if err := a.o.Config(&text); err != nil {
			return err
		}
	}
	a.writeJSON(w, http.StatusOK, configuration{text.String()})
	return nil
}

// getTime answers in the format of DASH's urn:mpeg:dash:utc:http-xsdate:2014
// (ISO/IEC 23009-1 5.8.4.11).
func (a *API) getTime(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(a.now().UTC().Format("2006-01-02T15:04:05.000Z"))) // a client that left needs no time
	return nil
}

// getPlaybackTime is getTime for players of recordings.
func (a *API) getPlaybackTime(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	return a.getTime(w, r)
}
