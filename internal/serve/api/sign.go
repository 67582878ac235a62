package api

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// manifestName is what every recording's manifest is called.
const manifestName = "manifest.mpd"

// playPrefix begins the paths whose next element is a secret.
const playPrefix = "/api/play/"

// signRecording answers with a URL that plays a recording without credentials.
// It never outlives the token that it was asked for with.
func (a *API) signRecording(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	ttl, err := readTTL(w, r)
	if err != nil {
		return err
	}
	// The name that no other recording has: what it was asked for by may mean another
	// one when a node joins or a recording is deleted.
	rec, err := a.o.Playback.RecordingOf(r.Context(), r.PathValue("record_dir")+"/"+manifestName)
	if err != nil {
		return err
	}
	dir := rec.RecordDir
	expires := a.linkEnd(grantOf(r), ttl)
	a.answerSigned(w, prefixOf(r)+playPrefix+a.Auth().SignLink(grantOf(r), dir, identify(rec), expires)+"/"+EscapePath(dir)+"/", expires)
	return nil
}

// readTTL reads how long a signed URL is to be valid from the body of r.
func readTTL(w http.ResponseWriter, r *http.Request) (time.Duration, error) {
	var body struct {
		TTL *int `json:"ttl_seconds"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return 0, err
	}
	if body.TTL == nil {
		return auth.DefaultLinkTTL, nil
	}
	const most = int(auth.MaxLinkTTL / time.Second)
	if *body.TTL < 1 || *body.TTL > most {
		return 0, fault.Errorf(fault.Invalid, "ttl_seconds %d is not from 1 to %d", *body.TTL, most).Coded("ttl_out_of_range", "most", most)
	}
	return time.Duration(*body.TTL) * time.Second, nil
}

// linkEnd returns until when a signed URL is valid that g has asked for.
func (a *API) linkEnd(g *auth.Grant, ttl time.Duration) time.Time {
	expires := a.now().Add(ttl).UTC().Truncate(time.Second)
	if end, ok := g.Expires(); ok && end.Before(expires) {
		return end.UTC()
	}
	return expires
}

// answerSigned answers with the signed URLs of the manifests in a folder.
func (a *API) answerSigned(w http.ResponseWriter, folder string, expires time.Time) {
	a.writeJSON(w, http.StatusOK, struct {
		URL     string    `json:"url"`
		HLS     string    `json:"hls_url"`
		Expires time.Time `json:"expires"`
	}{folder + manifestName, folder + media.IndexName, expires})
}

// identify tells a recording from others that were or will be in its folder: users
// may choose a folder again when its recording has been deleted.
func identify(rec media.Recording) string {
	if rec.Duration == 0 {
		return identifyEmpty(rec) // where its media begin is not settled yet
	}
	return identifyEmpty(rec) + "\x00" + strconv.FormatInt(rec.Start.UnixMilli(), 10)
}

// identifyEmpty is identify while the recording has no media.
func identifyEmpty(rec media.Recording) string { return rec.Stream }

// EscapePath encodes each element of a path for a URL.
func EscapePath(p string) string {
	elements := strings.Split(p, "/")
	for i, e := range elements {
		elements[i] = url.PathEscape(e)
	}
	return strings.Join(elements, "/")
}

// loggedPath returns the path of u as logs may have it: without the token of a
// signed URL, even of one that was mistyped. Nor is the query there, where
// somebody may have put one.
func loggedPath(u *url.URL) string {
	rest, ok := strings.CutPrefix(path.Clean(u.Path), playPrefix)
	if !ok {
		return u.Path
	}
	_, key, _ := strings.Cut(rest, "/")
	return playPrefix + "…/" + key
}
