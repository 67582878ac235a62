package whip

import (
	"bytes"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/media"
)

func TestSimulcast(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{
		codecs:     []webrtc.RTPCodecParameters{h264, h264RTX},
		extensions: []string{extensionMID, extensionRID, extensionRepairedRID},
	})
	tracks := p.simulcast("l", "h")
	p.connect("/whip/cam")
	l := n.listen("cam")
	if got := l.describe(); got != "video H264 l, video H264 h" {
		t.Fatalf("tracks %s", got)
	}
	if !strings.Contains(p.answer, "a=simulcast:recv l;h") {
		t.Errorf("answer:\n%s", p.answer)
	}
	v := n.peer(peerOptions{codecs: allCodecs})
	v.receive(webrtc.RTPCodecTypeVideo)
	got := watch(v)
	v.connect("/whep/cam")
	for i := range 1000 {
		for j, track := range tracks {
			err := track.WriteRTP(p.layerPacket(i, track.RID(), bytes.Repeat([]byte{byte('0' + j)}, 20+200*j)))
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	l.until("both layers", func() bool { return len(l.byTrack(0)) > 500 && len(l.byTrack(1)) > 500 })
	for id, want := range []byte("01") {
		for _, pkt := range l.byTrack(media.TrackID(id)) {
			if pkt.Payload[0] != want {
				t.Fatalf("track %d has a packet of layer %c", id, pkt.Payload[0])
			}
		}
	}
	var last *rtp.Packet
	for len(got) > 0 {
		pkt := <-got
		if last != nil && pkt.SequenceNumber != last.SequenceNumber+1 {
			t.Fatalf("the viewer's sequence goes from %d to %d", last.SequenceNumber, pkt.SequenceNumber)
		}
		last = pkt
	}
	if last == nil || last.Payload[0] != '1' {
		t.Error("the viewer did not get the big layer")
	}
	st, err := n.streams.Get("cam")
	if err != nil {
		t.Fatal(err)
	}
	if s := st.Info().Subscribe.Sessions; len(s) != 1 {
		t.Errorf("viewers %+v", s)
	}
}

// simulcast adds one track with several layers.
func (p *peer) simulcast(rids ...string) []*webrtc.TrackLocalStaticRTP {
	p.n.t.Helper()
	var tracks []*webrtc.TrackLocalStaticRTP
	var sender *webrtc.RTPSender
	for _, rid := range rids {
		track, err := webrtc.NewTrackLocalStaticRTP(h264.RTPCodecCapability, "video", "stream", webrtc.WithRTPStreamID(rid))
		if err != nil {
			p.n.t.Fatal(err)
		}
		tracks = append(tracks, track)
		if sender == nil {
			sender, err = p.pc.AddTrack(track)
		} else {
			err = sender.AddEncoding(track)
		}
		if err != nil {
			p.n.t.Fatal(err)
		}
	}
	return tracks
}

// layerPacket makes a packet with the header extensions of a simulcast layer.
func (p *peer) layerPacket(i int, rid string, payload []byte) *rtp.Packet {
	p.n.t.Helper()
	pkt := &rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(i * 3000), Marker: true},
		Payload: payload,
	}
	transceiver := p.pc.GetTransceivers()[0]
	for _, e := range transceiver.Sender().GetParameters().HeaderExtensions {
		value := transceiver.Mid()
		if e.URI == extensionRID {
			value = rid
		}
		if e.URI == extensionRepairedRID {
			continue
		}
		if err := pkt.SetExtension(uint8(e.ID), []byte(value)); err != nil {
			p.n.t.Fatal(err)
		}
	}
	return pkt
}

// describe lists the tracks of the first publication.
func (l *listener) describe() string {
	l.t.Helper()
	l.until("a publication", func() bool { return len(l.joined) > 0 })
	var names []string
	for _, t := range l.joined[0].Tracks() {
		names = append(names, strings.TrimSpace(t.Kind.String()+" "+t.Codec+" "+t.RID))
	}
	return strings.Join(names, ", ")
}

// TestSimulcastCodec: layers are asked for in a codec of which browsers make them in
// the sizes that they were told. The offer is Firefox's, with the smallest layer first.
func TestSimulcastCodec(t *testing.T) {
	text, err := os.ReadFile("testdata/offers/firefox-simulcast.sdp")
	if err != nil {
		t.Fatal(err)
	}
	firefox := string(text)
	h264 := strings.NewReplacer("SAVPF 120 124 121", "SAVPF 120 124 97 121", "a=rtpmap:120 VP8", "a=rtpmap:97 H264/90000\r\na=rtpmap:120 VP8").Replace(firefox)
	only := strings.NewReplacer("a=rtpmap:120 VP8", "a=rtpmap:120 X", "a=rtpmap:99 AV1", "a=rtpmap:99 X").Replace(firefox)
	plain := strings.Replace(firefox, "a=simulcast:send", "a=x:", 1)
	for name, tt := range map[string]struct{ offer, want string }{
		"as it is":     {firefox, "VP8"},
		"with H264":    {h264, "H264"},
		"VP9 only":     {only, "VP9"},
		"no simulcast": {plain, "VP9"},
	} {
		o, err := parseOffer(tt.offer, publishing)
		if err != nil {
			t.Fatal(err)
		}
		cs, err := chooseForPublisher(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := cs[1].row.Name; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestSIMGroup: simulcast as browsers offered it before it had RIDs is layers, too.
func TestSIMGroup(t *testing.T) {
	sim := "a=ssrc-group:SIM 2001 2003 2005\na=ssrc-group:FID 2001 2002\na=ssrc-group:FID 2003 2004\na=ssrc-group:FID 2005 2006\n" +
		"a=ssrc:2003 cname:x\na=ssrc:2004 cname:x\na=ssrc:2005 cname:x\na=ssrc:2006 cname:x\n"
	n := newNode(t, Options{})
	res, answer := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(edit(t, "a=ssrc-group:FID 2001 2002\n", sim)))
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", res.StatusCode, answer)
	}
	if got := n.listen("cam").describe(); got != "audio opus, video H264 sim0, video H264 sim1, video H264 sim2" {
		t.Errorf("tracks %s", got)
	}
	many := "a=ssrc-group:SIM 1 2 3 4 5 6 7 8 9\na=ssrc-group:FID 2001 2002\n"
	if res, text := n.do(http.MethodPost, "/whip/b", typeSDP, crlf(edit(t, "a=ssrc-group:FID 2001 2002\n", many))); res.StatusCode != http.StatusBadRequest || !strings.Contains(text, "9 layers") {
		t.Errorf("nine layers: %d %s", res.StatusCode, text)
	}
	var ssrcs strings.Builder
	for i := range 900 {
		ssrcs.WriteString("a=ssrc:" + strconv.Itoa(3000+i) + " cname:x\n")
	}
	if res, text := n.do(http.MethodPost, "/whip/c", typeSDP, crlf(edit(t, "a=ssrc-group:FID 2001 2002\n", ssrcs.String()))); res.StatusCode != http.StatusCreated {
		t.Errorf("900 sources: %d %s", res.StatusCode, text)
	}
}
