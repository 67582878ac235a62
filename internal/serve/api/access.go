package api

import (
	"context"
	"net/http"
	"path"
	"sync/atomic"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// access says who may use a route. The zero value lets nobody in.
type access uint8

const (
	denied          access = iota
	public                 // everybody
	publishStream          // right publish, for the stream of the path
	subscribeStream        // right subscribe, for the stream of the path
	asSession              // right publish or subscribe, as the session of the path
	anyStream              // any right, for the stream of the path
	known                  // any valid credentials
	listStreams            // any right; the answer is about the streams that the grant is for
	viewStream             // right view, for the stream of the path
	viewObject             // right view, for the stream that the object of {path...} is of
	viewRecording          // right view, for the stream that the recording of {record_dir...} is of; of GET, its object may be there
	listRecorded           // right view; the answer is about the streams that the grant is for
	viewAll                // right view, for all streams
	statusStream           // right view or record, for the stream of the path
	recordStream           // right record, for the stream of the path
	deleteRecording        // right delete, for the stream that the recording of {record_dir...} is of
	deleteAll              // right delete, for all streams
	adminStream            // right admin, for the stream of the path
	adminAll               // right admin, for all streams
	registerNode           // the registration token of a manager, or as adminAll
	signedObject           // a signed {token} for the recording that the object of {path...} is in, or for its span
)

// subject is what a right has to be for.
type subject uint8

const (
	theStream    subject = iota // the path value "stream"
	theSession                  // the path value "session" of that stream
	theObject                   // the stream of the recording that the path value "path" is an object of
	theRecording                // the stream of the recording in the folder "record_dir"
	nothing                     // whoever it is
	someStreams                 // whichever: the handler leaves out what the grant is not for
	allStreams
)

// rule is what an access means: one of rights for its subject.
type rule struct {
	of     subject
	rights []auth.Right
}

// rules has all accesses but denied, public and signedObject.
var rules = map[access]rule{
	publishStream:   {theStream, []auth.Right{auth.Publish}},
	subscribeStream: {theStream, []auth.Right{auth.Subscribe}},
	asSession:       {theSession, []auth.Right{auth.Publish, auth.Subscribe}},
	anyStream:       {theStream, auth.Rights()},
	known:           {nothing, nil},
	listStreams:     {someStreams, auth.Rights()},
	viewStream:      {theStream, []auth.Right{auth.View}},
	viewObject:      {theObject, []auth.Right{auth.View}},
	viewRecording:   {theRecording, []auth.Right{auth.View}},
	listRecorded:    {someStreams, []auth.Right{auth.View}},
	viewAll:         {allStreams, []auth.Right{auth.View}},
	statusStream:    {theStream, []auth.Right{auth.View, auth.Record}},
	recordStream:    {theStream, []auth.Right{auth.Record}},
	deleteRecording: {theRecording, []auth.Right{auth.Delete}},
	deleteAll:       {allStreams, []auth.Right{auth.Delete}},
	adminStream:     {theStream, []auth.Right{auth.Admin}},
	adminAll:        {allStreams, []auth.Right{auth.Admin}},
	registerNode:    {allStreams, []auth.Right{auth.Admin}},
}

// gate decides who may use a route.
type gate struct {
	auth atomic.Pointer[auth.Auth] // see API.SetAuth
	// recordingOf is Playback.RecordingOf; nil where there are no recordings.
	recordingOf func(ctx context.Context, key string) (media.Recording, error)
	// sessionRight is WHIP.SessionRight; nil where there are no sessions.
	sessionRight func(stream, session string) (publisher, ok bool)
	// registration is the token that lets nodes register; empty: there is none.
	registration string
}

// authorize decides whether r may use a route with access to, and checks the
// path values that the decision is about: handlers find them valid. The grant is
// nil where nobody is asked who they are.
func (g *gate) authorize(to access, r *http.Request) (*auth.Grant, error) {
	if to == public {
		return nil, nil //nolint:nilnil // see above
	}
	if to == signedObject {
		return g.checkLink(r)
	}
	if to == registerNode {
		if ok, err := g.auth.Load().Presents(r, g.registration); ok {
			return nil, err // it may do this and nothing else
		}
	}
	grant, err := g.auth.Load().Authenticate(r)
	if err != nil {
		return nil, err
	}
	needed, ok := rules[to]
	if !ok {
		return nil, fault.New(fault.Forbidden, "nobody may do this")
	}
	return grant, g.check(grant, needed, r)
}

// checkLink wants a token that was signed for the very folder of the object, and
// for the recording that is in it now, or for the very span that the path has.
func (g *gate) checkLink(r *http.Request) (*auth.Grant, error) {
	key := r.PathValue("path")
	if err := media.CheckPath(key); err != nil {
		return nil, err
	}
	if grant, ok := g.checkSpanLink(r); ok {
		return grant, nil
	}
	link, err := g.auth.Load().CheckLink(r.PathValue("token"), path.Dir(key))
	if err != nil {
		return nil, err
	}
	if g.recordingOf == nil {
		return nil, errNoPlayback
	}
	rec, err := g.recordingOf(r.Context(), key)
	switch {
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return nil, err
	case err != nil, !link.IsFor(identify(rec)) && !link.IsFor(identifyEmpty(rec)):
		return nil, errGone // whether or not another has come in its place
	}
	return link.Grant(), nil
}

func (g *gate) check(grant *auth.Grant, needed rule, r *http.Request) error {
	switch needed.of {
	case nothing:
		return nil
	case someStreams:
		return grant.HasAny(needed.rights...)
	case allStreams:
		return grant.AllowsAny("", needed.rights...)
	case theObject:
		return g.checkObject(r.Context(), grant, needed, r.PathValue("path"), "")
	case theRecording:
		dir := r.PathValue("record_dir")
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && isObjectPath(dir) {
			return g.checkObject(r.Context(), grant, needed, dir, "")
		}
		return g.checkObject(r.Context(), grant, needed, dir, "/"+manifestName)
	}
	stream := r.PathValue("stream")
	if err := media.CheckStreamID(stream); err != nil {
		return err
	}
	if needed.of == theSession {
		return g.checkSession(grant, stream, r.PathValue("session"))
	}
	return grant.AllowsAny(stream, needed.rights...)
}

// checkObject finds out which stream key is of. manifest is what makes a
// record_dir the key of one of its objects.
func (g *gate) checkObject(ctx context.Context, grant *auth.Grant, needed rule, key, manifest string) error {
	if err := media.CheckPath(key); err != nil {
		return err
	}
	if err := grant.HasAny(needed.rights...); err != nil {
		return err
	}
	if g.recordingOf == nil || grant.AllowsAny("", needed.rights...) == nil {
		return nil // for all streams: no need to find out which
	}
	rec, err := g.recordingOf(ctx, key+manifest)
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		return errNotTheirs
	case err != nil:
		return err
	case grant.AllowsAny(rec.Stream, needed.rights...) != nil:
		return errNotTheirs
	}
	return nil
}

// What is not there and what is somebody else's has the same answer: that something
// exists is not for those who may not see it.
var (
	errNotTheirs = fault.New(fault.NotFound, "there is no such recording among those that the token is for").Coded("recording_unknown")
	errGone      = fault.New(fault.NotFound, "the recording that this playback URL is for is not there any more").Coded("recording_gone")
	errNoSession = fault.New(fault.NotFound, "no such session: it has ended or never was").Coded("session_unknown")
)

// checkSession wants the right by which the session was made.
func (g *gate) checkSession(grant *auth.Grant, stream, session string) error {
	if err := grant.AllowsAny(stream, auth.Publish, auth.Subscribe); err != nil {
		return err // whatever the session
	}
	right := auth.Subscribe
	publisher, ok := g.sessionRight(stream, session)
	if publisher {
		right = auth.Publish
	}
	if !ok || grant.Allows(right, stream) != nil {
		return errNoSession
	}
	return nil
}

type grantKey struct{}

// withGrant returns r with the grant that grantOf finds.
func withGrant(r *http.Request, grant *auth.Grant) *http.Request {
	ctx := context.WithValue(r.Context(), grantKey{}, grant)
	client := live.ClientOf(ctx)
	client.Owner = grant.Owner()
	client.Lease.Ended = grant.Ended()
	client.Lease.Expires, _ = grant.Expires()
	return introduced(r.WithContext(live.WithClient(ctx, client)), grant)
}

// grantOf returns what the sender of r may do; nil on a public route.
func grantOf(r *http.Request) *auth.Grant {
	grant, _ := r.Context().Value(grantKey{}).(*auth.Grant)
	return grant
}

// mayKnow reports whether the sender of r has any right for stream.
func mayKnow(r *http.Request, stream string) bool {
	return grantOf(r).AllowsAny(stream, auth.Rights()...) == nil
}
