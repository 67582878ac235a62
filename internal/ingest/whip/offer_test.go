package whip

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/fault"
)

// offerOf makes an offer with one video m-line of the given formats and lines.
func offerOf(formats []string, lines ...string) string {
	return crlf("v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF " + strings.Join(formats, " ") + "\nc=IN IP4 0.0.0.0\n" +
		"a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuv\na=fingerprint:sha-256 AA:BB\na=setup:actpass\n" +
		"a=mid:0\na=sendonly\na=rtcp-mux\n" + strings.Join(lines, "\n") + "\n")
}

// paddedFormats are different texts of the same few payload types.
func paddedFormats(n int) []string {
	var out []string
	for width := 1; len(out) < n; width++ {
		for pt := range 128 {
			if f := fmt.Sprintf("%0*d", width, pt); len(f) == width && len(out) < n {
				out = append(out, f)
			}
		}
	}
	return out
}

func repeat(line string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = line
	}
	return out
}

// TestOffersCostLittle: what a client sends must not cost many times its size.
func TestOffersCostLittle(t *testing.T) {
	var rids, layers []string
	for i := range 2000 {
		rids = append(rids, fmt.Sprintf("r%x", i))
		layers = append(layers, "a=rid:"+rids[i]+" send")
	}
	all := paddedFormats(118) // with one digit and two: all of them payload types
	tests := map[string]string{
		"feedback for all": offerOf(paddedFormats(1000), append(repeat("a=rtcp-fb:* x", 3000), "a=rtpmap:0 VP8/90000")...),
		"allowed feedback": offerOf(all, append(repeat("a=rtcp-fb:* nack", maxAttributes-8), "a=rtpmap:0 VP8/90000")...),
		"layers":           offerOf([]string{"96"}, append(layers, "a=simulcast:send "+strings.Join(rids, ";"))...),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if len(text) > maxBody {
				t.Fatalf("%d bytes: such an offer is not read", len(text))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := parseOffer(text, publishing)
			runtime.ReadMemStats(&after)
			if err != nil && fault.KindOf(err) != fault.Invalid {
				t.Errorf("parseOffer: %v", err)
			}
			if cost := after.TotalAlloc - before.TotalAlloc; cost > 1<<20 {
				t.Errorf("%d bytes of SDP cost %d bytes of memory", len(text), cost)
			}
		})
	}
}

func TestOfferLimits(t *testing.T) {
	manyLayers := func(n int) []string {
		var names, lines []string
		for i := range n {
			names = append(names, fmt.Sprintf("r%d", i))
			lines = append(lines, "a=rid:"+names[i]+" send")
		}
		return append(lines, "a=simulcast:send "+strings.Join(names, ";"))
	}
	const vp8 = "a=rtpmap:96 VP8/90000"
	for name, tt := range map[string]struct{ text, says string }{
		"layers":              {offerOf([]string{"96"}, append(manyLayers(maxLayers), vp8)...), ""},
		"a layer too many":    {offerOf([]string{"96"}, append(manyLayers(maxLayers+1), vp8)...), "9 simulcast layers"},
		"a layer twice":       {offerOf([]string{"96"}, vp8, "a=rid:h send", "a=simulcast:send h;~h"), `"h"`},
		"attributes":          {offerOf([]string{"96"}, repeat(vp8, maxAttributes-7)...), ""},
		"too many attributes": {offerOf([]string{"96"}, repeat(vp8, maxAttributes-6)...), "1001 attributes"},
		"too many of session": {strings.Replace(offerOf([]string{"96"}, vp8), "a=group", strings.Repeat("a=x\r\n", maxAttributes)+"a=group", 1), "1001 attributes of the session"},
		"too many formats":    {offerOf(paddedFormats(maxFormats+1), "a=rtpmap:0 VP8/90000"), "129 formats"},
		"too many m-lines":    {offerOf([]string{"96"}, append([]string{vp8}, repeat("m=application 9 UDP/DTLS/SCTP x", maxSections)...)...), "17 m-lines"},
	} {
		_, err := parseOffer(tt.text, publishing)
		switch {
		case tt.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.says != "" && (fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: error %v, want one with %q", name, err, tt.says)
		}
	}
}

// TestPayloadTypesHaveOneName: 096 is not 96.
func TestPayloadTypesHaveOneName(t *testing.T) {
	o, err := parseOffer(offerOf([]string{"096", "96", "128", "+97"},
		"a=rtpmap:096 VP9/90000", "a=rtpmap:96 VP8/90000", "a=rtpmap:128 H264/90000", "a=rtpmap:+97 AV1/90000",
		"a=rtcp-fb:* nack", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtcp-fb:* goog-remb"), publishing)
	if err != nil {
		t.Fatal(err)
	}
	codecs := o.sections[0].codecs
	if len(codecs) != 1 || codecs[0].name != "VP8" || strings.Join(codecs[0].feedback, ",") != "nack,nack pli" {
		t.Errorf("codecs %+v", codecs)
	}
}

// TestOfferOfFFmpeg: ffmpeg 8 insists on being the DTLS server.
func TestOfferOfFFmpeg(t *testing.T) {
	offer, err := os.ReadFile("testdata/ffmpeg-8.sdp")
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, Options{})
	res, answer := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(string(offer)))
	if res.StatusCode != http.StatusCreated || strings.Count(answer, "a=setup:active") != 2 ||
		!strings.Contains(answer, "a=rtpmap:106 H264/90000") || !strings.Contains(answer, "a=rtpmap:111 opus/48000/2") {
		t.Errorf("%d %s", res.StatusCode, answer)
	}
}

// TestPassivePublisher: media flows where the node is the DTLS client.
func TestPassivePublisher(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	video := p.send(h264, "video")
	offer := strings.ReplaceAll(p.offer(), "a=setup:actpass", "a=setup:passive")
	res, answer := n.do(http.MethodPost, "/whip/cam", typeSDP, offer)
	if res.StatusCode != http.StatusCreated || !strings.Contains(answer, "a=setup:active") {
		t.Fatalf("%d %s", res.StatusCode, answer)
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	p.wait(webrtc.PeerConnectionStateConnected)
	l := n.listen("cam")
	want := script(20)
	write(t, video, want)
	l.until("media", func() bool { return len(l.packets) == len(want) })
	if !bytes.Equal(l.packets[0].Payload, want[0].payload) {
		t.Error("the payload has changed")
	}
}

// TestViewerOfNothingIsNotRead: the offer of a viewer is not looked at before
// there is something to view.
func TestViewerOfNothingIsNotRead(t *testing.T) {
	n := newNode(t, Options{})
	if res, text := n.do(http.MethodPost, "/whep/nothing", typeSDP, strings.Repeat("a", maxBody+1)); res.StatusCode != http.StatusNotFound {
		t.Errorf("%d %s, want 404", res.StatusCode, text)
	}
}

func TestViewerThatSendsIsRefused(t *testing.T) {
	if _, err := parseOffer(crlf(goodOffer), viewing); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "recvonly") {
		t.Errorf("parseOffer: %v, want an error with recvonly", err)
	}
}
