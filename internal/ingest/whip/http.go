package whip

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// maxBody bounds an offer or a fragment, in bytes. Browsers' offers have ten
// kilobytes.
const maxBody = 64 << 10

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"
)

// viewerRetryAfter is how long a viewer of a stream without a publisher should
// wait, in seconds.
const viewerRetryAfter = "2"

// Publish handles POST /whip/{stream}: an SDP offer becomes a publisher's
// session (RFC 9725 section 4.2).
func (s *Server) Publish(w http.ResponseWriter, r *http.Request) error {
	stream := r.PathValue("stream")
	if err := s.checkDraining(w); err != nil {
		return err
	}
	o, err := readOffer(w, r, stream, publishing)
	if err != nil {
		return err
	}
	cs, err := chooseForPublisher(o)
	if err != nil {
		return err
	}
	release, err := s.admit(r)
	if err != nil {
		return err
	}
	defer release()
	if err := s.makeWay(w, r, stream); err != nil {
		return err
	}
	ticket, err := s.take(r, stream, quota.Publishers)
	if err != nil {
		return err
	}
	se, err := s.newSession(stream, o, cs, publishing)
	if err != nil {
		ticket.Release()
		return err
	}
	se.owner, se.client, se.ticket, se.lease = ownerOf(r), clientAddress(r), ticket, live.ClientOf(r.Context()).Lease
	in := newIngest(se, cs)
	if err := se.conn.setOffer(se.remote); err != nil {
		se.abandon()
		return err
	}
	in.pub, err = s.o.Streams.Publish(stream, se.info(), tracksOf(cs), in)
	if err != nil {
		se.abandon()
		return err
	}
	se.attach(publication{in.pub, in.discarded})
	if err := s.start(se); err != nil {
		se.abandon()
		return err
	}
	in.start()
	return se.respond(w, r)
}

// wantsSmallest reports whether a viewer asks for the smallest layer of a simulcast, as
// pages do that show many streams at once.
func wantsSmallest(r *http.Request) (bool, error) {
	switch layer := r.URL.Query().Get("layer"); layer {
	case "", "biggest":
		return false, nil
	case "smallest":
		return true, nil
	default:
		return false, fault.Errorf(fault.Invalid, `layer %.40q is neither "biggest" nor "smallest"`, layer)
	}
}

// Subscribe handles POST /whep/{stream}: an SDP offer becomes a viewer's
// session.
func (s *Server) Subscribe(w http.ResponseWriter, r *http.Request) error {
	stream := r.PathValue("stream")
	st, pub, err := s.published(w, stream) // before the work of reading the offer
	if err != nil {
		return err
	}
	smallest, err := wantsSmallest(r)
	if err != nil {
		return err
	}
	o, err := readOffer(w, r, stream, viewing)
	if err != nil {
		return err
	}
	cs, err := chooseForViewer(o, pub.Tracks())
	if err != nil {
		return err
	}
	release, err := s.admit(r)
	if err != nil {
		return err
	}
	defer release()
	ticket, err := s.take(r, stream, quota.Viewers)
	if err != nil {
		return err
	}
	se, err := s.newSession(stream, o, cs, viewing)
	if err != nil {
		ticket.Release()
		return err
	}
	se.owner, se.client, se.ticket, se.lease = ownerOf(r), clientAddress(r), ticket, live.ClientOf(r.Context()).Lease
	e, err := newEgress(se, st, cs, pub.Tracks(), smallest)
	if err == nil {
		err = se.conn.setOffer(se.remote)
	}
	if err == nil {
		info := se.info()
		e.sub, err = st.Subscribe(live.SubscribeOptions{
			Session: &info,
			OnClose: func() { se.end("the stream ended") },
		})
	}
	if err != nil {
		se.abandon()
		return err
	}
	se.attach(e.sub)
	if err := s.start(se); err != nil {
		se.abandon()
		return err
	}
	e.start()
	return se.respond(w, r)
}

// published finds a stream that has a publisher.
func (s *Server) published(w http.ResponseWriter, stream string) (*live.Stream, *live.Publication, error) {
	if err := media.CheckStreamID(stream); err != nil {
		return nil, nil, err
	}
	st, err := s.o.Streams.Get(stream)
	if err != nil {
		return nil, nil, err
	}
	pub, ok := st.Publication()
	if !ok {
		w.Header().Set("Retry-After", viewerRetryAfter)
		return nil, nil, fault.Errorf(fault.Conflict, "stream %q has no publisher now: try again later", stream).Coded("publisher_away", "stream", stream)
	}
	return st, pub, nil
}

// readOffer checks a POST and reads its offer.
func readOffer(w http.ResponseWriter, r *http.Request, stream string, s side) (*offer, error) {
	check := media.CheckStreamID
	if s == publishing {
		check = media.CheckNewStreamID
	}
	if err := check(stream); err != nil {
		return nil, err
	}
	if err := checkType(r, typeSDP); err != nil {
		return nil, err
	}
	text, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return parseOffer(text, s)
}

func checkType(r *http.Request, want string) error {
	header := r.Header.Get("Content-Type")
	if got, _, err := mime.ParseMediaType(header); err != nil || got != want {
		return fault.Errorf(fault.UnsupportedMedia, "the Content-Type is %q: it must be %s", header, want)
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", fault.Errorf(fault.TooLarge, "the body has more than %d bytes", tooLarge.Limit)
	case err != nil:
		return "", fault.New(fault.Invalid, "the body did not come whole") // err has addresses, of a proxy perhaps
	}
	return string(body), nil
}

// respond completes the negotiation of a session that runs already.
func (se *session) respond(w http.ResponseWriter, r *http.Request) error {
	se.ice.Lock()
	answer, err := se.conn.answer(r.Context())
	etag := se.etag
	se.ice.Unlock()
	if err != nil {
		se.end("the negotiation failed")
		return err
	}
	withRejected(answer, se.offered, se.rejected)
	body, err := answer.Marshal()
	if err != nil {
		se.end("the negotiation failed")
		return fmt.Errorf("write answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", typeSDP)
	h.Set("Location", live.ClientOf(r.Context()).Prefix+"/session/"+url.PathEscape(se.stream)+"/"+se.id)
	h.Set("ETag", etag)
	for _, link := range se.server.iceLinks {
		h.Add("Link", link)
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body) // a client that is gone never connects: the session times out
	se.log.Info("session starts", "publisher", se.publisher, "client", r.RemoteAddr, "media", se.server.Media().String())
	return nil
}

// PatchSession handles PATCH /session/{stream}/{session}: an ICE restart (RFC 9725
// section 4.3), or trickle ICE, which an ICE-lite agent does not need and answers all
// the same.
func (s *Server) PatchSession(w http.ResponseWriter, r *http.Request) error {
	se, err := s.sessionOf(r)
	if err != nil {
		return err
	}
	if err := checkType(r, typeFragment); err != nil {
		return err
	}
	tags := strings.Join(r.Header.Values("If-Match"), ",")
	if tags == "" {
		return fault.New(fault.PreconditionMissing, "the If-Match header is missing: send the ETag of the session")
	}
	text, err := readBody(w, r)
	if err != nil {
		return err
	}
	f, err := parseFragment(text)
	if err != nil {
		return err
	}
	se.ice.Lock()
	defer se.ice.Unlock()
	if !matches(tags, se.etag) {
		return fault.New(fault.PreconditionFailed, "the If-Match header is not the ETag of the session: its ICE was restarted meanwhile")
	}
	se.renew(live.ClientOf(r.Context()).Lease)
	known := f.ufrag == se.ufrag && f.password == se.password
	switch {
	case known && se.restarted != "" && matches(tags, "*"):
		// The restart again, by a client that has not got the answer, or it would
		// send the new ETag.
	case f.ufrag == "" || known:
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		if wait, ok := se.restarts.take(s.o.Now(), restartBurst, restartInterval); !ok {
			w.Header().Set("Retry-After", seconds(wait))
			return fault.New(fault.TooMany, "the session's ICE was restarted too often: try again later").Coded("ice_too_often")
		}
		if err := se.restart(f); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", typeFragment)
	w.Header().Set("ETag", se.etag)
	_, _ = io.WriteString(w, se.restarted)
	return nil
}

// matches evaluates If-Match (RFC 9110 section 13.1.1); weak tags never match.
func matches(tags, etag string) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

// DeleteSession handles DELETE /session/{stream}/{session}. When it returns, another
// publisher may come. The answer is the same if the session has just ended by itself,
// because clients close their DTLS connection before they send the DELETE. The status
// is 200, which clients want that look at more than 2xx (OBS), except for one that
// wants 204.
func (s *Server) DeleteSession(w http.ResponseWriter, r *http.Request) error {
	se, err := s.sessionOf(r)
	if err != nil {
		if _, ok := s.ended(r.PathValue("stream"), r.PathValue("session")); !ok {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	se.drain(r.Context())
	se.lost("the client deleted the session")
	s.forget(se)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) sessionOf(r *http.Request) (*session, error) {
	se, ok := s.session(r.PathValue("stream"), r.PathValue("session"))
	if !ok {
		return nil, fault.New(fault.NotFound, "no such session: it has ended or never was").Coded("session_unknown")
	}
	return se, nil
}

// Options handles OPTIONS for the endpoints and sessions. It needs no authorization, so
// it tells neither the ICE servers' credentials nor whether a session exists.
func (s *Server) Options(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("session") != "" {
		w.Header().Set("Accept-Patch", typeFragment)
	} else {
		w.Header().Set("Accept-Post", typeSDP)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// iceLinks renders the Link header values of RFC 9725 section 4.6.
func iceLinks(servers []ICEServer) ([]string, error) {
	var links []string
	for _, server := range servers {
		for _, u := range server.URLs {
			scheme, _, _ := strings.Cut(u, ":")
			if !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, scheme) || strings.ContainsAny(u, "<>\"\r\n") {
				return nil, fmt.Errorf("ICE server %q is not a stun:, stuns:, turn: or turns: URL", u)
			}
			link := "<" + u + ">; rel=\"ice-server\""
			if server.Username != "" {
				link += "; username=" + quoted(server.Username) + "; credential=" + quoted(server.Credential) + "; credential-type=\"password\""
			}
			links = append(links, link)
		}
	}
	return links, nil
}

// quoted writes a quoted-string (RFC 9110 section 5.6.4).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
