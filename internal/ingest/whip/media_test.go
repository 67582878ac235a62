package whip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/media"
)

// sent is a packet as the client wrote it.
type sent struct {
	seq     uint16
	ts      uint32
	marker  bool
	payload []byte
}

// script makes n packets with random payloads, in frames of three packets, and
// sequence numbers and timestamps that wrap.
func script(n int) []sent {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	out := make([]sent, n)
	for i := range out {
		payload := make([]byte, 1+r.IntN(1100))
		for j := range payload {
			payload[j] = byte(r.Uint32())
		}
		out[i] = sent{seq: uint16(65500 + i), ts: uint32(0xffff_ff00 + i/3*3000), marker: i%3 == 2, payload: payload}
	}
	return out
}

func write(t *testing.T, track *webrtc.TrackLocalStaticRTP, packets []sent) {
	t.Helper()
	for i, p := range packets {
		err := track.WriteRTP(&rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: p.seq, Timestamp: p.ts, Marker: p.marker},
			Payload: p.payload,
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%20 == 19 {
			time.Sleep(time.Millisecond) // the kernel's buffers are finite
		}
	}
}

// byTrack returns the collected packets of one track. The caller is in until.
func (l *listener) byTrack(id media.TrackID) []*media.Packet {
	var out []*media.Packet
	for _, p := range l.packets {
		if p.Track == id {
			out = append(out, p)
		}
	}
	return out
}

func same(got []*media.Packet, want []sent) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d packets, want %d", len(got), len(want))
	}
	for i, p := range got {
		w := want[i]
		if p.Seq != w.seq || p.Timestamp != w.ts || p.Marker != w.marker || !bytes.Equal(p.Payload, w.payload) {
			return fmt.Errorf("packet %d is seq %d ts %d marker %v with %d bytes, want seq %d ts %d marker %v with %d bytes",
				i, p.Seq, p.Timestamp, p.Marker, len(p.Payload), w.seq, w.ts, w.marker, len(w.payload))
		}
	}
	return nil
}

func TestPublishIsBitExact(t *testing.T) {
	for _, c := range []webrtc.RTPCodecParameters{h264, vp9, vp8} {
		t.Run(c.MimeType, func(t *testing.T) {
			n := newNode(t, Options{})
			p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{c, opus}})
			video, audio := p.send(c, "video"), p.send(opus, "audio")
			p.connect("/whip/cam")
			l := n.listen("cam")
			v, a := script(400), script(200)
			write(t, video, v)
			write(t, audio, a)
			l.until("all packets", func() bool { return len(l.packets) == len(v)+len(a) })
			tracks := l.joined[0].Tracks()
			if len(tracks) != 2 || tracks[0].Kind != media.Video || tracks[1].Codec != "opus" || tracks[1].Channels != 2 {
				t.Fatalf("tracks %+v", tracks)
			}
			if err := same(l.byTrack(0), v); err != nil {
				t.Errorf("video: %v", err)
			}
			if err := same(l.byTrack(1), a); err != nil {
				t.Errorf("audio: %v", err)
			}
			if s := l.joined[0].Session(); s.State != "connected" {
				t.Errorf("state %q, want connected", s.State)
			}
		})
	}
}

func TestSenderReports(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	l := n.listen("cam")
	write(t, video, script(3))
	l.until("media", func() bool { return len(l.packets) == 3 })
	ssrc := uint32(p.pc.GetSenders()[0].GetParameters().Encodings[0].SSRC)
	want := rtcp.SenderReport{SSRC: ssrc, NTPTime: 0xe000_0000_8000_0000, RTPTime: 12345}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_ = p.pc.WriteRTCP([]rtcp.Packet{&want})
			}
		}
	}()
	l.until("a report", func() bool { return len(l.reports) > 0 })
	got := l.reports[0]
	if got.NTP != want.NTPTime || got.RTP != want.RTPTime || got.Track != 0 || got.SSRC != ssrc || got.Arrival.IsZero() {
		t.Errorf("report %+v, want %+v", got, want)
	}
}

// What a publisher sent right before its DELETE has arrived, and is handed on. A busy
// machine may let nothing move for longer than the node waits, but not most times.
func TestLastPackets(t *testing.T) {
	n := newNode(t, Options{})
	packets := script(300)
	var missing []error
	for i := range 5 {
		if err := lastPackets(t, n, fmt.Sprintf("cam%d", i), packets); err != nil {
			missing = append(missing, err)
		}
	}
	if len(missing) > 2 {
		t.Error(errors.Join(missing...))
	}
}

// lastPackets publishes packets, deletes the session at once and says what is missing.
func lastPackets(t *testing.T, n *node, stream string, packets []sent) error {
	t.Helper()
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	video := p.send(h264, "video")
	p.connect("/whip/" + stream)
	l := n.listen(stream)
	write(t, video, packets[:3])
	l.until("media", func() bool { return len(l.packets) == 3 })
	write(t, video, packets[3:])
	if res, body := n.do(http.MethodDelete, p.location, "", ""); res.StatusCode != http.StatusOK {
		t.Fatalf("DELETE: %d %s", res.StatusCode, body)
	}
	l.until("the end", func() bool { return l.left == 1 })
	l.mu.Lock()
	defer l.mu.Unlock()
	return same(l.byTrack(0), packets)
}

// A session that is deleted waits for packets as long as some come, and not for ever.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ packets, least, most time.Duration }{
			{0, drainQuiet, drainQuiet},
			{5 * drainQuiet, 5 * drainQuiet, 7 * drainQuiet},
			{time.Minute, drainMax, drainMax},
		} {
			se := &session{publisher: true, connected: true, ctx: t.Context()}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for sent := time.Duration(0); sent < tt.packets && ctx.Err() == nil; sent += drainQuiet / 3 {
					time.Sleep(drainQuiet / 3)
					se.received.Add(1)
				}
			}()
			start := time.Now()
			se.drain(ctx)
			if took := time.Since(start); took < tt.least || took > tt.most {
				t.Errorf("while packets come for %v it waits %v", tt.packets, took)
			}
			cancel()
			<-ended
		}
	})
}
