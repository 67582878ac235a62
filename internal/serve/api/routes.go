package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
)

// route is one row of docs/api.md.
type route struct {
	method, path string // of http.ServeMux; GET is HEAD too
	access       access
	handle       func(w http.ResponseWriter, r *http.Request) error
}

// routes are those of a node.
func (a *API) routes() []route {
	return slices.Concat(a.signallingRoutes(), a.streamRoutes(), a.recordingRoutes(), a.commonRoutes())
}

// commonRoutes are those that nodes and managers have alike.
func (a *API) commonRoutes() []route {
	return []route{
		{http.MethodGet, "/api/record/object/{path...}", viewObject, a.getObject},
		{http.MethodGet, "/api/playback", listRecorded, a.listRecorded},
		{http.MethodGet, "/api/playback/{stream}", viewStream, a.listRecordings},
		{http.MethodGet, "/api/archive", listRecorded, a.listArchives},
		{http.MethodGet, "/api/archive/{stream}", viewStream, a.getArchive},
		{http.MethodGet, "/api/archive/{stream}/at/{time}/key.mp4", viewStream, a.getKeyFrame},
		{http.MethodGet, "/api/archive/{stream}/keys", viewStream, a.listKeyFrames},
		{http.MethodPost, "/api/sign/{record_dir...}", viewRecording, a.signRecording},
		{http.MethodGet, "/api/play/{token}/{path...}", signedObject, a.getSigned},
		{http.MethodGet, "/api/archive/{stream}/{from}/{to}/{name...}", viewStream, a.getSpan},
		{http.MethodPost, "/api/archive/{stream}/{from}/{to}/sign", viewStream, a.signSpan},
		{http.MethodGet, "/api/archive/{stream}/{from}/{to}/time", public, a.getPlaybackTime},
		// Beside the recordings, where their manifests find it whatever is before their
		// URLs; {mount} is where a manager has those of a node.
		{http.MethodGet, "/api/record/object/time", public, a.getPlaybackTime},
		{http.MethodGet, "/api/record/object/{mount}/time", public, a.getPlaybackTime},
		{http.MethodGet, "/api/play/{token}/time", public, a.getPlaybackTime},
		{http.MethodGet, "/api/play/{token}/{mount}/time", public, a.getPlaybackTime},

		{http.MethodGet, "/api/recordings", viewAll, a.listChanges},
		{http.MethodGet, "/api/sse/recordings", viewAll, a.watchRecordings},
		{http.MethodGet, "/api/recordings/{record_dir...}", viewRecording, a.getRecordingOrObject},
		{http.MethodPatch, "/api/recordings/{record_dir...}", deleteRecording, a.patchRecording},
		{http.MethodDelete, "/api/recordings/{record_dir...}", deleteRecording, a.deleteRecording},
		{http.MethodGet, "/api/deletions", deleteAll, a.listDeletions},

		{http.MethodPost, "/api/login", public, a.login},
		{http.MethodPost, "/api/logout", public, a.logout},
		{http.MethodGet, "/api/me", known, a.getMe},

		{http.MethodGet, "/healthz", public, a.getAlive},
		{http.MethodGet, "/readyz", public, a.getReady},
		{http.MethodGet, "/debug/pprof/{profile}", adminAll, a.getProfile},
		{http.MethodGet, "/api/problems", viewAll, a.getProblems},
		{http.MethodGet, "/api/events/log", listRecorded, a.listEvents},
		{http.MethodGet, "/api/config", adminAll, a.getConfig},
		{http.MethodGet, "/api/webhooks", adminAll, a.getWebhooks},
		{http.MethodGet, "/api/webhooks/deliveries", adminAll, a.listDeliveries},
		{http.MethodGet, "/api/info", public, a.getInfo},
		{http.MethodGet, "/api/time", public, a.getTime},
		{http.MethodGet, "/api/openapi.json", public, a.getOpenAPI},
		{http.MethodGet, "/api/docs", public, a.getReference},
	}
}

// signallingRoutes are those of WHIP and WHEP, which managers have as nodes do.
func (a *API) signallingRoutes() []route {
	if a.o.WHIP == nil {
		return []route{
			{http.MethodPost, "/whip/{stream}", public, noMedia},
			{http.MethodPost, "/whep/{stream}", public, noMedia},
		}
	}
	return []route{
		{http.MethodPost, "/whip/{stream}", publishStream, a.o.WHIP.Publish},
		{http.MethodOptions, "/whip/{stream}", public, a.o.WHIP.Options},
		{http.MethodGet, "/whip/{stream}", public, noContent},
		{http.MethodPost, "/whep/{stream}", subscribeStream, a.o.WHIP.Subscribe},
		{http.MethodOptions, "/whep/{stream}", public, a.o.WHIP.Options},
		{http.MethodGet, "/whep/{stream}", public, noContent},
		{http.MethodOptions, "/session/{stream}/{session}", public, a.o.WHIP.Options},
		{http.MethodGet, "/session/{stream}/{session}", public, noContent},
		{http.MethodPatch, "/session/{stream}/{session}", asSession, a.o.WHIP.PatchSession},
		{http.MethodDelete, "/session/{stream}/{session}", asSession, a.o.WHIP.DeleteSession},
	}
}

// streamRoutes are those of a node's streams and of how it fares.
func (a *API) streamRoutes() []route {
	return []route{
		{http.MethodGet, "/api/streams", listStreams, a.listStreams},
		{http.MethodGet, "/api/streams/{$}", listStreams, a.listStreams},
		{http.MethodGet, "/api/streams/{stream}", anyStream, a.getStream},
		{http.MethodPost, "/api/streams/{stream}", adminStream, a.createStream},
		{http.MethodDelete, "/api/streams/{stream}", adminStream, a.deleteStream},
		{http.MethodGet, "/api/sse/streams", listStreams, a.watchStreams},
		{http.MethodGet, "/metrics", viewAll, a.getMetrics},
		{http.MethodGet, "/api/load", viewAll, a.getLoad},
		{http.MethodPost, "/api/drain", adminAll, a.drain},
		{http.MethodDelete, "/api/drain", adminAll, a.drain},
		{http.MethodGet, "/api/strategy", viewAll, a.getStrategy},
		{http.MethodGet, "/api/strategy/{$}", viewAll, a.getStrategy},
	}
}

// recordingRoutes are those of a node's recorder.
func (a *API) recordingRoutes() []route {
	return []route{
		{http.MethodPost, "/api/record/{stream}", recordStream, a.startRecording},
		{http.MethodGet, "/api/record/{stream}", statusStream, a.getRecording},
		{http.MethodPatch, "/api/record/{stream}", recordStream, a.pauseRecording},
		{http.MethodDelete, "/api/record/{stream}", recordStream, a.stopRecording},
		{http.MethodPatch, "/api/recordings", viewAll, a.ackSessions},
		{http.MethodDelete, "/api/recordings", viewAll, a.dropSessions},
	}
}

// noContent answers GET and HEAD of WHIP's and WHEP's resources, which have
// nothing to show (RFC 9725 section 4), whether they exist or not.
func noContent(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkURL refuses paths that http.ServeMux would redirect to a cleaned form:
// what is asked for is then not what is meant. A slash at the end is allowed.
func checkURL(escaped string) error {
	elements := strings.Split(strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/"), "/")
	for _, e := range elements {
		plain, err := url.PathUnescape(e)
		if err != nil || plain == "" || plain == "." || plain == ".." {
			return fault.New(fault.Invalid, `the path has an element that is empty, "." or ".."`)
		}
	}
	return nil
}

// withoutSlash takes the slash at the end off a URL of WHIP or WHEP: people write them
// with one, and programs that join URLs do.
func withoutSlash(u *url.URL) {
	for _, prefix := range []string{"/whip/", "/whep/", "/session/"} {
		if strings.HasPrefix(u.Path, prefix) && len(u.Path) > len(prefix) {
			u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
		}
	}
}
