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

// getSpan answers with what a span of a stream has by the name that the path ends with.
func (a *API) getSpan(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	stream, from, to, name := r.PathValue("stream"), r.PathValue("from"), r.PathValue("to"), r.PathValue("name")
	if name == media.TimeName {
		return a.getPlaybackTime(w, r)
	}
	s, err := media.ParseTimeSpan(from, to, a.now(), nil)
	if err != nil {
		return err
	}
	if s.Live && strings.HasPrefix(from, "-") {
		// Else it would begin later each time that a player asks what is new.
		if !media.IsManifest(name) && !media.IsFile(name) {
			return fault.New(fault.NotFound, "segments are beside a manifest whose URL has the time at which it begins")
		}
		location := url.URL{RawQuery: r.URL.RawQuery}
		w.Header().Set("Location", prefixOf(r)+spanPath(stream, s)+url.PathEscape(name)+location.String())
		w.WriteHeader(http.StatusTemporaryRedirect)
		return nil
	}
	until, _ := grantOf(r).Expires()
	return a.o.Playback.Span(w, r, stream, s, name, until)
}

// spanPath returns the path of a span below which its objects are, which means the same
// whenever it is asked for.
func spanPath(stream string, s media.TimeSpan) string {
	from, to := spanTexts(s)
	return "/api/archive/" + url.PathEscape(stream) + "/" + from + "/" + to + "/"
}

// spanTexts returns the ends of a span as URLs have them.
func spanTexts(s media.TimeSpan) (from, to string) {
	if s.Live {
		return unixText(s.From), "now"
	}
	return unixText(s.From), unixText(s.To)
}

// unixText returns a time as Unix seconds, to the nanosecond and as short as it can be.
func unixText(t time.Time) string {
	text := strconv.FormatInt(t.Unix(), 10)
	if n := t.Nanosecond(); n > 0 {
		text += strings.TrimRight("."+strconv.Itoa(1e9 + n)[1:], "0")
	}
	return text
}

// signSpan answers with a URL that plays a span without credentials.
func (a *API) signSpan(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	ttl, err := readTTL(w, r)
	if err != nil {
		return err
	}
	s, err := media.ParseTimeSpan(r.PathValue("from"), r.PathValue("to"), a.now(), nil)
	if err != nil {
		return err
	}
	stream := r.PathValue("stream")
	from, to := spanTexts(s)
	expires := a.linkEnd(grantOf(r), ttl)
	token := a.Auth().SignLink(grantOf(r), linkedSpan(stream, from, to), linkedStream(stream), expires)
	a.answerSigned(w, prefixOf(r)+playPrefix+token+"/"+url.PathEscape(stream)+"/"+from+"/"+to+"/", expires)
	return nil
}

// linkedSpan is what stands for a span where a signed URL has the folder of a recording,
// which has no control characters.
func linkedSpan(stream, from, to string) string {
	return "span\x00" + stream + "\x00" + from + "\x00" + to
}

// linkedStream is what stands for the recording of a signed URL of a span.
func linkedStream(stream string) string { return "span of\x00" + stream }

// checkSpanLink reports whether r has a token that was signed for the span in its path,
// which is "stream/from/to/name". The handler finds its parts as path values.
func (g *gate) checkSpanLink(r *http.Request) (grant *auth.Grant, ok bool) {
	parts := strings.SplitN(r.PathValue("path"), "/", 4)
	if len(parts) < 4 {
		return nil, false
	}
	link, err := g.auth.Load().CheckLink(r.PathValue("token"), linkedSpan(parts[0], parts[1], parts[2]))
	if err != nil || !link.IsFor(linkedStream(parts[0])) {
		return nil, false
	}
	for i, value := range []string{"stream", "from", "to", "name"} {
		r.SetPathValue(value, parts[i])
	}
	return link.Grant(), true
}

// getSigned answers a request with a signed URL, of an object or of a span.
func (a *API) getSigned(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("name") != "" {
		return a.getSpan(w, r)
	}
	return a.getObject(w, r)
}

// isObjectPath reports whether a path below the recordings is one of an object, and not of
// a recording.
func isObjectPath(p string) bool { return media.IsServedName(path.Base(p)) && strings.Contains(p, "/") }

// getRecordingOrObject answers with a recording, or with what is below it.
func (a *API) getRecordingOrObject(w http.ResponseWriter, r *http.Request) error {
	if p := r.PathValue("record_dir"); isObjectPath(p) {
		r.SetPathValue("path", p)
		return a.getObject(w, r)
	}
	return a.getRecordingByDir(w, r)
}
