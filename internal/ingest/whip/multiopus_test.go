package whip

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// surround is multichannel Opus as browsers name it.
func surround(channels uint16, pt webrtc.PayloadType, fmtp string) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: "audio/multiopus", ClockRate: 48000, Channels: channels, SDPFmtpLine: fmtp,
		}, PayloadType: pt,
	}
}

const (
	fmtp51      = "channel_mapping=0,4,1,2,3,5;coupled_streams=2;minptime=10;num_streams=4;useinbandfec=1"
	fmtp51Other = "channel_mapping=0,1,4,5,2,3;coupled_streams=2;num_streams=4"
	fmtp71      = "channel_mapping=0,6,1,2,3,4,5,7;coupled_streams=3;num_streams=5"
)

// The parameters of multichannel Opus describe the stream: the answer repeats
// them, the track has them, and a viewer gets the stream that offers the same.
func TestMultiopus(t *testing.T) {
	n := newNode(t, Options{})
	five := surround(6, 112, fmtp51)
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{five, opus}})
	audio := p.send(five, "audio")
	p.connect("/whip/cam")
	if !strings.Contains(p.answer, "a=rtpmap:112 multiopus/48000/6\r\na=fmtp:112 "+fmtp51+"\r\n") || strings.Contains(p.answer, "opus/48000/2") {
		t.Errorf("the answer is\n%s", p.answer)
	}
	stop := pump(t, audio)
	defer stop()
	l := n.listen("cam")
	l.until("media", func() bool { return len(l.packets) > 0 })
	if got := l.joined[0].Tracks(); len(got) != 1 || got[0].Codec != "multiopus" || got[0].Channels != 6 || got[0].Fmtp != fmtp51 || got[0].ClockRate != 48000 {
		t.Errorf("tracks %+v", got)
	}

	for name, tc := range map[string]struct {
		offer []webrtc.RTPCodecParameters
		want  int
	}{
		"the same":        {[]webrtc.RTPCodecParameters{opus, surround(8, 113, fmtp71), surround(6, 115, fmtp51)}, http.StatusCreated},
		"another mapping": {[]webrtc.RTPCodecParameters{opus, surround(6, 113, fmtp51Other)}, http.StatusUnprocessableEntity},
		"stereo":          {[]webrtc.RTPCodecParameters{opus}, http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			v := n.peer(peerOptions{codecs: tc.offer})
			v.receive(webrtc.RTPCodecTypeAudio)
			got := watch(v)
			if tc.want != http.StatusCreated {
				if status := v.post("/whep/cam"); status != tc.want {
					t.Errorf("POST: %d, want %d: %s", status, tc.want, v.answer)
				}
				return
			}
			v.connect("/whep/cam")
			if !strings.Contains(v.answer, "a=rtpmap:115 multiopus/48000/6\r\na=fmtp:115 "+fmtp51+"\r\n") {
				t.Errorf("the answer is\n%s", v.answer)
			}
			if pkt := next(t, got); !bytes.HasPrefix(pkt.Payload, []byte("packet ")) || pkt.PayloadType != 115 {
				t.Errorf("packet %+v", pkt)
			}
		})
	}
}

func TestChooseMultiopus(t *testing.T) {
	for name, tc := range map[string]struct {
		offer []webrtc.RTPCodecParameters
		want  string // in the answer; "": refused
	}{
		"before stereo":    {[]webrtc.RTPCodecParameters{surround(8, 112, fmtp71), opus}, "a=rtpmap:112 multiopus/48000/8"},
		"after stereo":     {[]webrtc.RTPCodecParameters{opus, surround(8, 112, fmtp71)}, "a=rtpmap:111 opus/48000/2"},
		"malformed":        {[]webrtc.RTPCodecParameters{surround(8, 112, fmtp51), opus}, "a=rtpmap:111 opus/48000/2"},
		"malformed, alone": {[]webrtc.RTPCodecParameters{surround(8, 112, fmtp51)}, ""},
		"another order":    {[]webrtc.RTPCodecParameters{surround(6, 112, fmtp51Other)}, "a=fmtp:112 " + fmtp51Other},
	} {
		t.Run(name, func(t *testing.T) {
			p := newNode(t, Options{}).peer(peerOptions{codecs: tc.offer})
			p.send(tc.offer[0], "audio")
			status := p.post("/whip/cam")
			if tc.want == "" {
				if status != http.StatusUnprocessableEntity {
					t.Errorf("POST: %d: %s", status, p.answer)
				}
				return
			}
			if status != http.StatusCreated || !strings.Contains(p.answer, tc.want+"\r\n") {
				t.Errorf("POST: %d, want %q in\n%s", status, tc.want, p.answer)
			}
		})
	}
}
