package whip

import (
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/ingest/live"
)

// withOwner has the node take requests for those of an owner.
func (n *node) withOwner(owner *string) {
	n.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routes(n.whip).ServeHTTP(w, r.WithContext(live.WithClient(r.Context(), live.Client{Owner: *owner})))
	})
}

// TestTakeOver: an encoder that was killed, and is started anew at once, goes on in the
// place of its silent session. Nobody else does, and nothing that still sends is
// replaced.
func TestTakeOver(t *testing.T) {
	n := newNode(t, Options{})
	owner := "me"
	n.withOwner(&owner)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0") //nolint:noctx // a local socket
	if err != nil {
		t.Fatal(err)
	}
	cable := &mute{PacketConn: conn}
	mux := webrtc.NewICEUDPMux(nil, cable)
	defer mux.Close()
	p := n.peer(peerOptions{
		codecs:   []webrtc.RTPCodecParameters{h264},
		settings: func(se *webrtc.SettingEngine) { se.SetICEUDPMux(mux) },
	})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	pump(t, video)
	l := n.listen("cam")
	l.until("media", func() bool { return len(l.packets) > 20 })

	post := func() (int, int) {
		res, _ := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(goodOffer))
		after, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return res.StatusCode, after
	}
	if status, after := post(); status != http.StatusConflict || after != retryOwn {
		t.Errorf("one that sends: %d, Retry-After %d, want 409 and %d", status, after, retryOwn)
	}
	owner = "another"
	if status, after := post(); status != http.StatusConflict || after != retryOther {
		t.Errorf("of another: %d, Retry-After %d, want 409 and %d", status, after, retryOther)
	}
	owner = "me"
	cable.mu.Lock()
	cable.off = true // killed
	cable.mu.Unlock()
	start := time.Now()
	if status, _ := post(); status != http.StatusCreated {
		t.Fatalf("after its death: %d, want 201", status)
	}
	if d := time.Since(start); d < takeOverAfter-inFlight {
		t.Errorf("it was replaced after %v, want %v", d, takeOverAfter)
	}
	l.until("the next publication", func() bool { return len(l.joined) == 2 && l.left == 1 })
}

// TestTakeOverOfIdle: a publisher that sends no media is silent for longer when it is
// healthy.
func TestTakeOverOfIdle(t *testing.T) {
	now := time.Unix(1000, 0)
	l := link{now: func() time.Time { return now }, began: now}
	if _, flowed := l.silence(); flowed {
		t.Error("media flowed before anything came")
	}
	now = now.Add(10 * time.Second)
	l.hear(true)
	now = now.Add(2 * time.Second)
	if d, flowed := l.silence(); d != 2*time.Second || !flowed {
		t.Errorf("after media: silent for %v, flowed %v", d, flowed)
	}
	l.hear(false) // a check: it is alive, and has paused
	now = now.Add(3 * time.Second)
	if d, flowed := l.silence(); d != 3*time.Second || flowed {
		t.Errorf("after a pause: silent for %v, flowed %v", d, flowed)
	}
}
