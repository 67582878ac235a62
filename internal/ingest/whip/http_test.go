package whip

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/testkit/await"
)

// goodOffer is a publisher's offer, in the shape that Chrome gives it.
const goodOffer = `v=0
o=- 4327261771880257373 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:AbCd
a=ice-pwd:0123456789abcdefghijklmn
a=ice-options:trickle
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:stream audio
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=ssrc:1001 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 102 103 104 105 45 46 116 117
c=IN IP4 0.0.0.0
a=ice-ufrag:AbCd
a=ice-pwd:0123456789abcdefghijklmn
a=ice-options:trickle
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:1
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=sendonly
a=msid:stream video
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 transport-cc
a=rtcp-fb:98 ccm fir
a=rtcp-fb:98 nack
a=rtcp-fb:98 nack pli
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:102 H264/90000
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:104 H264/90000
a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:105 rtx/90000
a=fmtp:105 apt=104
a=rtpmap:45 AV1/90000
a=fmtp:45 level-idx=5;profile=0;tier=0
a=rtpmap:46 rtx/90000
a=fmtp:46 apt=45
a=rtpmap:116 red/90000
a=rtpmap:117 ulpfec/90000
a=ssrc-group:FID 2001 2002
a=ssrc:2001 cname:x
a=ssrc:2002 cname:x
`

const dataSection = `m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:AbCd
a=ice-pwd:0123456789abcdefghijklmn
a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
a=setup:actpass
a=mid:2
a=sctp-port:5000
`

// edit replaces text in the good offer; it must be there.
func edit(t *testing.T, pairs ...string) string {
	t.Helper()
	o := goodOffer
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(o, pairs[i]) {
			t.Fatalf("the offer has no %q", pairs[i])
		}
		o = strings.ReplaceAll(o, pairs[i], pairs[i+1])
	}
	return o
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// section cuts the m-line of a kind out of an SDP.
func sectionOf(sdp, kind string) string {
	_, s, _ := strings.Cut(sdp, "m="+kind)
	s, _, _ = strings.Cut(s, "\r\nm=")
	return s
}

func TestAnswer(t *testing.T) {
	tests := []struct {
		name, offer, video string
		formats            string // of the video m-line
	}{
		{"Chrome: VP8 comes last", goodOffer, "VP9", "98 99"},
		{"the publisher's order", edit(t, " 98 99 102 103", " 102 103 98 99"), "H264", "102 103"},
		{"VP8 when there is nothing else", edit(t, " 98 99 102 103 104 105 45 46 116 117", ""), "VP8", "96 97"},
		{"H264 single NAL unit mode", edit(t, " 96 97 98 99 102 103 104 105 45 46 116 117", " 104"), "H264", "104"},
		{"AV1 where the publisher prefers it", edit(t, " 96 97 98 99 102", " 45 46 96 97 102"), "AV1", "45 46"},
		{"what can be recorded before what cannot", edit(t, "SAVPF 111 63 9 0", "SAVPF 9 0 111 63"), "VP9", "98 99"},
		{"without ssrc lines", edit(t, "a=ssrc-group:FID 2001 2002\na=ssrc:2001 cname:x\na=ssrc:2002 cname:x\n", ""), "VP9", "98 99"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, Options{})
			res, answer := n.do(http.MethodPost, "/whip/cam", "application/sdp; charset=utf-8", crlf(tt.offer))
			if res.StatusCode != http.StatusCreated {
				t.Fatalf("status %d: %s", res.StatusCode, answer)
			}
			st, err := n.streams.Get("cam")
			if err != nil {
				t.Fatal(err)
			}
			if info := st.Info(); len(info.Tracks) != 2 || info.Tracks[0].Codec != "opus" || info.Tracks[1].Codec != tt.video {
				t.Errorf("tracks %+v, want opus and %s", info.Tracks, tt.video)
			}
			video, audio := sectionOf(answer, "video"), sectionOf(answer, "audio")
			if want := " 9 UDP/TLS/RTP/SAVPF " + tt.formats + "\r\n"; !strings.HasPrefix(video, want) {
				t.Errorf("video m-line %q, want %q", strings.SplitN(video, "\r\n", 2)[0], want)
			}
			if !strings.HasPrefix(audio, " 9 UDP/TLS/RTP/SAVPF 111\r\n") {
				t.Errorf("audio m-line %q", strings.SplitN(audio, "\r\n", 2)[0])
			}
			for _, want := range []string{"a=ice-lite", "a=group:BUNDLE 0 1", "a=setup:passive", "a=recvonly", "typ host", "a=end-of-candidates", "stereo=1"} {
				if !strings.Contains(answer, want) {
					t.Errorf("the answer lacks %s", want)
				}
			}
			for _, no := range []string{"a=sendrecv", "video-orientation", "playout-delay", "ulpfec", "red/", "toffset", "a=setup:active"} {
				if strings.Contains(answer, no) {
					t.Errorf("the answer has %s", no)
				}
			}
			if t.Failed() {
				t.Log(answer)
			}
		})
	}
}

func TestAnswerHeaders(t *testing.T) {
	n := newNode(t, Options{ICEServers: []ICEServer{
		{URLs: []string{"stun:stun.example.org:3478"}},
		{URLs: []string{"turn:turn.example.org:3478?transport=udp"}, Username: "u", Credential: `p"\`},
	}})
	res, _ := n.do(http.MethodPost, "/whip/a%20b", "application/sdp", crlf(goodOffer))
	for header, want := range map[string]string{
		"Content-Type": `^application/sdp$`,
		"Location":     `^/session/a%20b/[0-9a-f]{32}$`,
		"ETag":         `^"[^"]+"$`,
	} {
		if got := res.Header.Get(header); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q, want %s", header, got, want)
		}
	}
	links := strings.Join(res.Header.Values("Link"), "\n")
	want := `<stun:stun.example.org:3478>; rel="ice-server"` + "\n" +
		`<turn:turn.example.org:3478?transport=udp>; rel="ice-server"; username="u"; credential="p\"\\"; credential-type="password"`
	if links != want {
		t.Errorf("Link:\n%s\nwant\n%s", links, want)
	}
	session := strings.TrimPrefix(res.Header.Get("Location"), "/session/a%20b/")
	if publisher, ok := n.whip.SessionRight("a b", session); !publisher || !ok {
		t.Errorf("SessionRight = %v, %v, want true, true", publisher, ok)
	}
	if _, ok := n.whip.SessionRight("other", session); ok {
		t.Error("a session is found under another stream")
	}
	res, _ = n.do(http.MethodOptions, "/whip/cam", "", "")
	if res.StatusCode != http.StatusNoContent || res.Header.Get("Accept-Post") != "application/sdp" || len(res.Header.Values("Link")) > 0 {
		t.Errorf("OPTIONS: %d %v", res.StatusCode, res.Header)
	}
}

func TestDataChannelIsRejectedInAnswer(t *testing.T) {
	audio, video, _ := strings.Cut(goodOffer, "m=video")
	session, audio, _ := strings.Cut(audio, "m=audio")
	session = strings.Replace(session, "BUNDLE 0 1", "BUNDLE 2 0 1", 1)
	n := newNode(t, Options{})
	res, answer := n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(session+dataSection+"m=audio"+audio+"m=video"+video))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("status %d: %s", res.StatusCode, answer)
	}
	var kinds []string
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "m=") {
			kinds = append(kinds, strings.Join(strings.Fields(line)[:2], " "))
		}
	}
	if got := strings.Join(kinds, ", "); got != "m=application 0, m=audio 9, m=video 9" {
		t.Errorf("m-lines %s", got)
	}
	if !strings.Contains(answer, "a=group:BUNDLE 0 1\r\n") {
		t.Errorf("the rejected m-line is bundled:\n%s", answer)
	}
}

func TestPostErrors(t *testing.T) {
	const secondVideo = "a=ssrc:2002 cname:x\n"
	_, video, _ := strings.Cut(goodOffer, "m=video")
	video = "m=video" + strings.Replace(video, "a=mid:1", "a=mid:2", 1)
	tests := []struct {
		name, path, contentType, body string
		want                          int
		says                          string
	}{
		{"content type", "/whip/cam", "application/json", goodOffer, 415, "application/sdp"},
		{"no content type", "/whip/cam", "", goodOffer, 415, ""},
		{"too large", "/whip/cam", "application/sdp", strings.Repeat("a", maxBody+1), 413, ""},
		{"empty", "/whip/cam", "application/sdp", "", 400, "no audio or video"},
		{"no SDP", "/whip/cam", "application/sdp", "hello", 400, "malformed"},
		{"no media", "/whip/cam", "application/sdp", "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n", 400, "no audio or video"},
		{"data channel only", "/whip/cam", "application/sdp", "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n" + dataSection, 400, "no audio or video"},
		{"no ice-ufrag", "/whip/cam", "application/sdp", edit(t, "a=ice-ufrag:AbCd\n", ""), 400, "ice-ufrag"},
		{"no fingerprint", "/whip/cam", "application/sdp", edit(t, "a=fingerprint:sha-256 ", "a=x:"), 400, "fingerprint"},
		{"bad fingerprint hash", "/whip/cam", "application/sdp", edit(t, "a=fingerprint:sha-256 ", "a=fingerprint:nonsense"), 400, "fingerprint"},
		{"recvonly", "/whip/cam", "application/sdp", edit(t, "a=sendonly", "a=recvonly"), 400, "sendonly"},
		{"inactive", "/whip/cam", "application/sdp", edit(t, "a=sendonly", "a=inactive"), 400, "sendonly"},
		{"setup holdconn", "/whip/cam", "application/sdp", edit(t, "a=setup:actpass", "a=setup:holdconn"), 400, "setup"},
		{"no rtcp-mux", "/whip/cam", "application/sdp", edit(t, "a=rtcp-mux\n", ""), 400, "rtcp-mux"},
		{"no mid", "/whip/cam", "application/sdp", edit(t, "a=mid:0\n", ""), 400, "mid"},
		{"same mid", "/whip/cam", "application/sdp", edit(t, "a=mid:0\n", "a=mid:1\n"), 400, "mid"},
		{"no bundle", "/whip/cam", "application/sdp", edit(t, "a=group:BUNDLE 0 1\n", ""), 400, "BUNDLE"},
		{"no DTLS", "/whip/cam", "application/sdp", edit(t, "UDP/TLS/RTP/SAVPF", "RTP/AVP"), 400, "SAVPF"},
		{"two videos", "/whip/cam", "application/sdp", edit(t, secondVideo, secondVideo+video), 400, "more than one video"},
		{"text m-line", "/whip/cam", "application/sdp", edit(t, "m=audio", "m=text"), 400, "text"},
		{"undeclared layer", "/whip/cam", "application/sdp", edit(t, "a=ssrc-group", "a=simulcast:send h;l\na=ssrc-group"), 400, `"h"`},
		{"no usable codec", "/whip/cam", "application/sdp", edit(t, " 96 97 98 99 102 103 104 105 45 46 116 117", " 116 117"), 422, "H264"},
		{"no usable audio codec", "/whip/cam", "application/sdp", edit(t, " 111 63 9 0 8 13", " 63"), 422, "opus"},
		{"bad stream id", "/whip/.hidden", "application/sdp", goodOffer, 400, "dot"},
		{"viewer of nothing", "/whep/nothing", "application/sdp", edit(t, "a=sendonly", "a=recvonly"), 404, "nothing"},
	}
	n := newNode(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := tt.body
			if strings.HasPrefix(body, "v=0") {
				body = crlf(body)
			}
			res, text := n.do(http.MethodPost, tt.path, tt.contentType, body)
			if res.StatusCode != tt.want || !strings.Contains(text, tt.says) {
				t.Errorf("%d %q, want %d and a text with %q", res.StatusCode, text, tt.want, tt.says)
			}
			if len(n.streams.List()) != 0 {
				t.Error("a refused offer left a stream")
			}
		})
	}
}

// TestSeveralFingerprints: aiortc offers that of its certificate by three hashes.
func TestSeveralFingerprints(t *testing.T) {
	n := newNode(t, Options{})
	for i, others := range []string{
		"a=fingerprint:sha-384 " + strings.Repeat("11:", 47) + "22\na=fingerprint:sha-512 " + strings.Repeat("33:", 63) + "44\na=fingerprint:sha-256 ",
		"a=fingerprint:SHA-256 ",
	} {
		res, answer := n.do(http.MethodPost, "/whip/"+strconv.Itoa(i), typeSDP, crlf(edit(t, "a=fingerprint:sha-256 ", others)))
		if res.StatusCode != http.StatusCreated {
			t.Errorf("%d %s", res.StatusCode, answer)
		}
	}
}

// TestViewerWithDataChannel: a player that offers a data channel beside what it watches,
// as whepfrom does, is told by its MID that there will be none.
func TestViewerWithDataChannel(t *testing.T) {
	n := newNode(t, Options{})
	n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(goodOffer))
	offer := edit(t, "a=sendonly", "a=recvonly", "BUNDLE 0 1", "BUNDLE 0 1 2") + dataSection
	res, answer := n.do(http.MethodPost, "/whep/cam", typeSDP, crlf(offer))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", res.StatusCode, answer)
	}
	if !strings.Contains(answer, crlf("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=mid:2\na=inactive\n")) ||
		!strings.Contains(answer, "a=group:BUNDLE 0 1\r\n") || strings.Count(answer, "a=sendonly") != 2 {
		t.Errorf("answer:\n%s", answer)
	}
}

func TestSendrecvPublisherIsAccepted(t *testing.T) {
	n := newNode(t, Options{})
	res, answer := n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(edit(t, "a=sendonly", "a=sendrecv")))
	if res.StatusCode != http.StatusCreated || strings.Count(answer, "a=recvonly") != 2 {
		t.Errorf("%d %s", res.StatusCode, answer)
	}
}

func TestSecondPublisherIsRefused(t *testing.T) {
	n := newNode(t, Options{})
	res, _ := n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(goodOffer))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("first: %d", res.StatusCode)
	}
	location := res.Header.Get("Location")
	if res, _ := n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(goodOffer)); res.StatusCode != http.StatusConflict {
		t.Errorf("second: %d, want 409", res.StatusCode)
	}
	if res, _ := n.do(http.MethodDelete, location, "", ""); res.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %d, want 200", res.StatusCode)
	}
	if res, _ := n.do(http.MethodDelete, location, "", ""); res.StatusCode != http.StatusOK {
		t.Errorf("second DELETE: %d, want 200", res.StatusCode)
	}
	if res, _ := n.do(http.MethodDelete, location+"0", "", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("DELETE of a session that never was: %d, want 404", res.StatusCode)
	}
	if res, _ := n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(goodOffer)); res.StatusCode != http.StatusCreated {
		t.Errorf("after DELETE: %d, want 201", res.StatusCode)
	}
}

func TestViewerWithoutPublisher(t *testing.T) {
	n := newNode(t, Options{})
	if _, err := n.streams.Create("cam"); err != nil {
		t.Fatal(err)
	}
	res, _ := n.do(http.MethodPost, "/whep/cam", "application/sdp", crlf(edit(t, "a=sendonly", "a=recvonly")))
	if res.StatusCode != http.StatusConflict || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q, want 409 and a time", res.StatusCode, res.Header.Get("Retry-After"))
	}
}

func TestViewerWithoutTheCodec(t *testing.T) {
	n := newNode(t, Options{})
	n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(goodOffer)) // VP9
	offer := edit(t, "a=sendonly", "a=recvonly", " 98 99 102", " 102")
	res, text := n.do(http.MethodPost, "/whep/cam", "application/sdp", crlf(offer))
	if res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(text, "VP9") {
		t.Errorf("%d %q, want 422 that names VP9", res.StatusCode, text)
	}
}

func TestOptions(t *testing.T) {
	n := newNode(t, Options{})
	for path, want := range map[string][2]string{
		"/whip/cam":         {typeSDP, ""},
		"/session/cam/0123": {"", typeFragment},
	} {
		res, body := n.do(http.MethodOptions, path, "", "")
		got := [2]string{res.Header.Get("Accept-Post"), res.Header.Get("Accept-Patch")}
		if res.StatusCode != http.StatusNoContent || body != "" || got != want {
			t.Errorf("OPTIONS %s: %d %q, accepted %q, want %q", path, res.StatusCode, body, got, want)
		}
	}
}

func TestPatchErrors(t *testing.T) {
	n := newNode(t, Options{})
	res, _ := n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(goodOffer))
	location, etag := res.Header.Get("Location"), res.Header.Get("ETag")
	const candidate = "a=ice-ufrag:AbCd\r\na=ice-pwd:0123456789abcdefghijklmn\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n"
	tests := []struct {
		name, path, contentType, ifMatch, body string
		want                                   int
	}{
		{"trickle", location, typeFragment, etag, candidate, 204},
		{"trickle, any tag", location, typeFragment, "*", candidate, 204},
		{"trickle, list of tags", location, typeFragment, `"x", ` + etag, candidate, 204},
		{"no tag", location, typeFragment, "", candidate, 428},
		{"other tag", location, typeFragment, `"other"`, candidate, 412},
		{"weak tag", location, typeFragment, "W/" + etag, candidate, 412},
		{"content type", location, "application/sdp", etag, candidate, 415},
		{"unknown session", "/session/cam/0123", typeFragment, etag, candidate, 404},
		{"no fragment", location, typeFragment, etag, "nonsense", 400},
		{"ufrag alone", location, typeFragment, etag, "a=ice-ufrag:WxYz\r\n", 400},
		{"short password", location, typeFragment, etag, "a=ice-ufrag:WxYz\r\na=ice-pwd:1\r\n", 400},
		{"too large", location, typeFragment, etag, strings.Repeat("a=x\n", maxBody), 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var headers []string
			if tt.ifMatch != "" {
				headers = []string{"If-Match", tt.ifMatch}
			}
			res, text := n.do(http.MethodPatch, tt.path, tt.contentType, tt.body, headers...)
			if res.StatusCode != tt.want {
				t.Errorf("%d %q, want %d", res.StatusCode, text, tt.want)
			}
		})
	}
}

func TestPublisherThatNeverConnectsIsReaped(t *testing.T) {
	n := newNode(t, Options{ConnectTimeout: 50 * time.Millisecond})
	res, _ := n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(goodOffer))
	if res.StatusCode != http.StatusCreated {
		t.Fatal(res.StatusCode)
	}
	await.Until(t, "the stream is gone", func() bool { return len(n.streams.List()) == 0 })
	await.Until(t, "the session is gone", func() bool { return !n.has(res.Header.Get("Location")) })
	if f := n.whip.Failures(); f != (Failures{ICE: 1}) {
		t.Errorf("counted as %+v", f)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	streams := live.New(live.Options{})
	for name, o := range map[string]Options{
		"no streams": {Listen: "127.0.0.1:0"},
		"listen":     {Streams: streams, Listen: "nonsense"},
		"public IP":  {Streams: streams, Listen: "127.0.0.1:0", PublicIPs: []string{"example.org"}},
		"ICE server": {Streams: streams, Listen: "127.0.0.1:0", ICEServers: []ICEServer{{URLs: []string{"http://example.org"}}}},
	} {
		if s, err := New(o); err == nil {
			t.Errorf("%s: New gave %v, want an error", name, s)
		}
	}
}

func TestPublicIP(t *testing.T) {
	n := newNode(t, Options{PublicIPs: []string{"203.0.113.7"}})
	_, answer := n.do(http.MethodPost, "/whip/cam", "application/sdp", crlf(goodOffer))
	if !strings.Contains(answer, " 203.0.113.7 "+n.port()+" typ host") || strings.Contains(answer, " 127.0.0.1 "+n.port()) {
		t.Errorf("candidates:\n%s", answer)
	}
}

func TestUnspecifiedListenAddress(t *testing.T) {
	n := newNode(t, Options{Listen: "0.0.0.0:0"})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{opus}})
	p.send(opus, "audio")
	p.connect("/whip/cam")
}

// has reports whether a session is there.
func (n *node) has(location string) bool {
	parts := strings.Split(location, "/")
	_, ok := n.whip.session(parts[2], parts[3])
	return ok
}

// TestGoneSessionsAreBounded: the ones that ended first are forgotten.
func TestGoneSessionsAreBounded(t *testing.T) {
	n := newNode(t, Options{})
	for i := range maxGone + 10 {
		se := &session{stream: "cam", id: strconv.Itoa(i), publisher: true}
		n.whip.sessions[sessionKey{"cam", se.id}] = se
		n.whip.forget(se)
		n.whip.forget(se)
	}
	if len(n.whip.gone) != maxGone {
		t.Errorf("%d are kept, want %d", len(n.whip.gone), maxGone)
	}
	for id, want := range map[string]bool{"9": false, "10": true, strconv.Itoa(maxGone): true} {
		if publisher, ok := n.whip.SessionRight("cam", id); ok != want || publisher != want {
			t.Errorf("session %s: %v, %v, want %v", id, publisher, ok, want)
		}
	}
}

// TestRejectedSections: m-lines that are not used are answered with port 0 and their
// MID, whatever they are.
func TestRejectedSections(t *testing.T) {
	disabled := "m=video 0 UDP/TLS/RTP/SAVPF 96\nc=IN IP4 0.0.0.0\na=mid:old\na=inactive\n"
	old := "m=application 9 DTLS/SCTP 5000\nc=IN IP4 0.0.0.0\na=mid:data\na=sctpmap:5000 webrtc-datachannel 1024\n"
	n := newNode(t, Options{})
	res, answer := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(goodOffer+disabled+old))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("status %d: %s", res.StatusCode, answer)
	}
	for _, want := range []string{
		"m=video 0 UDP/TLS/RTP/SAVPF 96\nc=IN IP4 0.0.0.0\na=mid:old\na=inactive\n",
		"m=application 0 DTLS/SCTP 5000\nc=IN IP4 0.0.0.0\na=mid:data\na=inactive\n",
	} {
		if !strings.Contains(answer, crlf(want)) {
			t.Errorf("the answer lacks\n%s\n%s", want, answer)
		}
	}
}
