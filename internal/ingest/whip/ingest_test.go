package whip

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// testLine is an m-line of a made-up offer.
type testLine struct {
	kind    media.Kind
	pt, rtx uint8 // rtx 0: none
	rids    []string
	sim     []uint32
	lines   string // a= lines, such as "ssrc:1 cname:x"
	offered map[uint8]string
}

// newTestIngest makes an ingest whose packets come from the test instead of a
// network. items returns what its subscribers got.
func newTestIngest(t *testing.T, lines ...testLine) (in *ingest, items func() []live.Item) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	streams := live.New(live.Options{Logger: quiet})
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	se := &session{server: &Server{o: Options{Now: time.Now, Logger: quiet}, sockets: &sockets{paths: newPaths()}}, publisher: true, log: quiet, pc: pc}
	se.conn = stack{se}
	se.link.now, se.link.began = time.Now, time.Now()
	se.ctx, se.cancel = context.WithCancel(t.Context())
	var cs []chosen
	for i, l := range lines {
		name := map[media.Kind]string{media.Video: "H264", media.Audio: "opus"}[l.kind]
		row, _ := codec.Lookup(name)
		sec := &section{kind: l.kind, mid: strconv.Itoa(i), rids: l.rids, sim: l.sim, desc: new(sdp.MediaDescription)}
		for text := range strings.FieldsFuncSeq(l.lines, func(r rune) bool { return r == '\n' }) {
			key, value, _ := strings.Cut(text, ":")
			sec.desc.Attributes = append(sec.desc.Attributes, sdp.Attribute{Key: key, Value: value})
		}
		for pt, n := range l.offered {
			sec.codecs = append(sec.codecs, offeredCodec{payloadType: pt, name: n})
		}
		cs = append(cs, chosen{section: sec, row: row, codec: offeredCodec{
			payloadType: l.pt, name: name, rtx: l.rtx, hasRTX: l.rtx != 0, feedback: []string{"nack", "nack pli"},
		}})
	}
	in = newIngest(se, cs)
	if in.pub, err = streams.Publish("cam", live.SessionInfo{}, tracksOf(cs), in); err != nil {
		t.Fatal(err)
	}
	st, err := streams.Get("cam")
	if err != nil {
		t.Fatal(err)
	}
	sub, err := st.Subscribe(live.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sub.Close()
		in.pub.Close()
		_ = pc.Close()
	})
	var got []live.Item
	return in, func() []live.Item {
		t.Helper()
		in.discarded.tell(true)
		in.pub.WriteReport(&media.SenderReport{Track: -1}) // the end of what there is
		for {
			buf := make([]live.Item, 100)
			n, err := sub.Read(t.Context(), buf)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
			if last := got[len(got)-1]; last.Report != nil && last.Report.Track < 0 {
				got = got[:len(got)-1]
				return got
			}
		}
	}
}

// pkt is a packet that a client sends: track data or, with an original number, a
// retransmission.
type pkt struct {
	ssrc uint32
	pt   uint8
	seq  uint16
	osn  int // of a retransmission; -1: none
	exts map[uint8]string
	data string
}

func (in *ingest) send(t *testing.T, packets ...pkt) {
	t.Helper()
	for _, p := range packets {
		h := rtp.Header{Version: 2, SSRC: p.ssrc, PayloadType: p.pt, SequenceNumber: p.seq, Timestamp: uint32(p.seq) * 3000}
		for id, value := range p.exts {
			if err := h.SetExtension(id, []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
		b, err := h.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if p.osn >= 0 {
			b = append(b, byte(p.osn>>8), byte(p.osn))
		}
		in.takeRTP(append(b, p.data...))
	}
}

// run makes n packets of a source.
func run(ssrc uint32, pt uint8, seq uint16, n int) []pkt {
	var out []pkt
	for i := range n {
		out = append(out, pkt{ssrc: ssrc, pt: pt, seq: seq + uint16(i), osn: -1, data: "x"})
	}
	return out
}

// tally counts packets as "track/ssrc×number", in the order in which they come, and
// what was discarded as "number×cause".
func tally(items []live.Item) string {
	var names []string
	counts := map[string]int{}
	note := func(name string, n int) {
		if counts[name] == 0 {
			names = append(names, name)
		}
		counts[name] += n
	}
	for _, it := range items {
		switch {
		case it.Packet != nil:
			note(strconv.Itoa(int(it.Packet.Track))+"/"+strconv.Itoa(int(it.Packet.SSRC)), 1)
		case it.Discarded != nil:
			note(it.Discarded.Cause, int(it.Discarded.Packets))
		}
	}
	for i, n := range names {
		names[i] = strconv.Itoa(counts[n]) + " of " + n
	}
	return strings.Join(names, ", ")
}

// TestSSRCChanges: what comes of a source that the offer does not name belongs to the
// m-line of its payload type or MID, for each way in which clients make offers.
func TestSSRCChanges(t *testing.T) {
	const declaredAV = "ssrc:1 cname:x\nssrc:2 cname:x\nssrc-group:FID 1 2"
	video := testLine{kind: media.Video, pt: 96, rtx: 97, lines: declaredAV}
	audio := testLine{kind: media.Audio, pt: 111, lines: "ssrc:5 cname:x"}
	bare := testLine{kind: media.Video, pt: 96, rtx: 97}
	same := testLine{kind: media.Audio, pt: 96, lines: "extmap:4 " + extensionMID}
	sameVideo := testLine{kind: media.Video, pt: 96, lines: "extmap:4 " + extensionMID}
	layers := testLine{kind: media.Video, pt: 96, rtx: 97, rids: []string{"h", "l"},
		lines: "extmap:5 " + extensionRID + "\nextmap:6 " + extensionRepairedRID}
	sim := testLine{kind: media.Video, pt: 96, rtx: 97, sim: []uint32{1, 2}, lines: "ssrc-group:FID 1 3\nssrc-group:FID 2 4\nssrc:1 x\nssrc:2 x\nssrc:3 x\nssrc:4 x"}
	with := func(packets []pkt, id uint8, value string) []pkt {
		packets[0].exts = map[uint8]string{id: value}
		return packets
	}
	resend := func(ssrc uint32, osn int) pkt { return pkt{ssrc: ssrc, pt: 97, seq: 1, osn: osn, data: "r"} }
	for name, tt := range map[string]struct {
		lines   []testLine
		packets [][]pkt
		want    string
	}{
		"video":                      {[]testLine{video, audio}, [][]pkt{run(1, 96, 10, 5), run(9, 96, 30000, 5)}, "5 of 0/1, 5 of 0/9"},
		"audio":                      {[]testLine{video, audio}, [][]pkt{run(5, 111, 10, 5), run(9, 111, 30000, 5)}, "5 of 1/5, 5 of 1/9"},
		"nothing declared":           {[]testLine{bare}, [][]pkt{run(1, 96, 10, 5), run(9, 96, 30000, 5)}, "5 of 0/1, 5 of 0/9"},
		"declared, never used":       {[]testLine{video}, [][]pkt{run(9, 96, 10, 5)}, "5 of 0/9"},
		"retransmission":             {[]testLine{video}, [][]pkt{run(1, 96, 10, 5), {resend(2, 9)}}, "6 of 0/1"},
		"retransmission, undeclared": {[]testLine{bare}, [][]pkt{run(1, 96, 10, 5), {resend(2, 9)}}, "6 of 0/1"},
		"both change": {[]testLine{video}, [][]pkt{run(1, 96, 10, 5), {resend(2, 9)}, run(8, 96, 30000, 5), {resend(9, 29999)}},
			"6 of 0/1, 6 of 0/8"},
		"only the media's changes": {[]testLine{video}, [][]pkt{run(1, 96, 10, 5), run(8, 96, 30000, 5), {resend(2, 29999)}},
			"5 of 0/1, 6 of 0/8"},
		"retransmission of what has come": {[]testLine{video}, [][]pkt{run(1, 96, 10, 5), {resend(2, 12), resend(2, 9), resend(2, 9)}},
			"6 of 0/1"},
		"retransmission of the old source": {[]testLine{video}, [][]pkt{run(1, 96, 10, 5), run(8, 96, 30000, 5), {resend(2, 12)}},
			"5 of 0/1, 5 of 0/8, 1 of " + causeReplaced},
		"the old source once more": {[]testLine{video}, [][]pkt{run(1, 96, 10, 5), run(8, 96, 30000, 5), run(1, 96, 15, 2)},
			"5 of 0/1, 5 of 0/8, 2 of " + causeReplaced},
		"one payload type, by MID": {[]testLine{sameVideo, same}, [][]pkt{with(run(1, 96, 10, 3), 4, "1"), with(run(2, 96, 10, 3), 4, "0")},
			"3 of 1/1, 3 of 0/2"},
		"layers": {[]testLine{layers}, [][]pkt{with(run(1, 96, 10, 3), 5, "l"), with(run(2, 96, 10, 3), 5, "h"), with(run(7, 96, 9000, 3), 5, "l")},
			"3 of 1/1, 3 of 0/2, 3 of 1/7"},
		"layer's retransmission":                  {[]testLine{layers}, [][]pkt{with(run(1, 96, 10, 3), 5, "l"), with([]pkt{resend(3, 9)}, 6, "l")}, "4 of 1/1"},
		"layer's retransmission, header repeated": {[]testLine{layers}, [][]pkt{with(run(1, 96, 10, 3), 5, "l"), with([]pkt{resend(3, 9)}, 5, "l")}, "4 of 1/1"},
		"no layer named":                          {[]testLine{layers}, [][]pkt{run(1, 96, 10, 3)}, "3 of " + causeLayer},
		"layers by SSRC":                          {[]testLine{sim}, [][]pkt{run(1, 96, 10, 3), run(2, 96, 10, 3), {resend(4, 9)}}, "3 of 0/1, 4 of 1/2"},
		"probe before media":                      {[]testLine{video}, [][]pkt{{resend(2, 9)}, {pkt{ssrc: 0, pt: 96, osn: -1}}, run(1, 96, 10, 2)}, "2 of 0/1"},
		"retransmission of nothing": {[]testLine{video}, [][]pkt{run(1, 96, 10, 2), {pkt{ssrc: 2, pt: 97, osn: -1, data: "r"}}},
			"2 of 0/1, 1 of " + causeRetransmission},
	} {
		t.Run(name, func(t *testing.T) {
			in, items := newTestIngest(t, tt.lines...)
			for _, packets := range tt.packets {
				in.send(t, packets...)
			}
			if got := tally(items()); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestReplacedSourceComesBack: a source that was replaced has the track again when
// the newer one is silent.
func TestReplacedSourceComesBack(t *testing.T) {
	in, items := newTestIngest(t, testLine{kind: media.Video, pt: 96})
	now := time.Unix(1000, 0)
	in.server.o.Now = func() time.Time { return now }
	in.send(t, run(1, 96, 10, 2)...)
	in.send(t, run(2, 96, 500, 2)...)
	now = now.Add(sourceSilent)
	in.send(t, run(1, 96, 12, 2)...)
	if got, want := tally(items()), "4 of 0/1, 2 of 0/2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSourcesAreBounded: a client that takes another SSRC for each packet costs no
// memory here, and its session ends.
func TestSourcesAreBounded(t *testing.T) {
	in, _ := newTestIngest(t, testLine{kind: media.Video, pt: 96})
	for i := range uint32(maxBuffers) {
		in.newBuffer(0, i)
		in.send(t, run(i, 96, uint16(i), 1)...)
	}
	if len(in.sources) > maxSources {
		t.Errorf("%d sources are kept, want up to %d", len(in.sources), maxSources)
	}
	if in.ctx.Err() == nil {
		t.Error("the session goes on")
	}
}

// TestDiscards: what is counted is told at once, then once a second, and whole at the
// end; there are not more causes than a bound.
func TestDiscards(t *testing.T) {
	now := time.Unix(1000, 0)
	var told []media.Discard
	d := newDiscards(func() time.Time { return now }, slog.New(slog.DiscardHandler), func(d *media.Discard) { told = append(told, *d) })
	for range 100 {
		d.count("a")
		now = now.Add(50 * time.Millisecond)
	}
	d.tell(true)
	sum := int64(0)
	for _, x := range told {
		sum += x.Packets
	}
	if told[0].Packets != 1 || len(told) > 7 || sum != 100 {
		t.Errorf("told %v: %d packets, want 100 in one item a second", told, sum)
	}
	told = nil
	for i := range 100 {
		d.count(strconv.Itoa(i))
	}
	d.tell(true)
	causes := map[string]int64{}
	for _, x := range told {
		causes[x.Cause] += x.Packets
	}
	if len(causes) != maxCauses || causes[causeOther] != 100-maxCauses+1 {
		t.Errorf("causes %v", causes)
	}
}

// TestReceiverReports holds reports against RFC 3550: numbers that wrap, a tenth lost,
// a sender report 500 ms ago.
func TestReceiverReports(t *testing.T) {
	now := time.Unix(1000, 0)
	s := receiverStats{clockRate: 90000}
	for i := range 1000 {
		if i%10 != 5 {
			s.received(uint16(65000+i), uint32(0xffff_0000+i*900), now)
		}
		now = now.Add(10 * time.Millisecond)
	}
	s.reported(0x1122_3344_5566_7788, now)
	got := s.report(7, now.Add(500*time.Millisecond))
	want := rtcp.ReceptionReport{
		SSRC: 7, FractionLost: 25, TotalLost: 100, LastSequenceNumber: 65999, LastSenderReport: 0x3344_5566, Delay: 32768,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if again := s.report(7, now); again.FractionLost != 0 {
		t.Errorf("fraction lost without packets: %d", again.FractionLost)
	}
}

// TestGoodbye: a client that has said goodbye for all that it sent, and is silent, is
// gone; one that has turned its camera off is not.
func TestGoodbye(t *testing.T) {
	in, _ := newTestIngest(t, testLine{kind: media.Video, pt: 96}, testLine{kind: media.Audio, pt: 111})
	now := time.Unix(1000, 0)
	in.link.now, in.link.began = func() time.Time { return now }, now
	bye := func(ssrcs ...uint32) {
		b, err := (&rtcp.Goodbye{Sources: ssrcs}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		in.takeRTCP(ssrcs[0], b)
	}
	expect := func(what string, want bool) {
		t.Helper()
		now = now.Add(goodbyeAfter)
		if got := in.hasLeft(); got != want {
			t.Errorf("%s: left %v, want %v", what, got, want)
		}
	}
	expect("nothing came", false)
	in.send(t, run(1, 96, 1, 3)...)
	in.send(t, run(2, 111, 1, 3)...)
	expect("no goodbye", false)
	bye(1)
	expect("of the camera", false)
	bye(1, 2)
	in.send(t, run(2, 111, 4, 1)...)
	expect("sound goes on", false)
	bye(2)
	expect("of both", true)
	in.link.hear(false) // a check
	if in.hasLeft() {
		t.Error("it is taken for gone while its checks come")
	}
}

// TestDiscardedItemsAreRead: the last of them come before the publication's end.
func TestDiscardedItemsAreRead(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{vp8, h264, opus}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	l := n.listen("cam")
	write(t, video, script(10))
	l.until("media", func() bool { return len(l.packets) == 10 })
	d := n.whip
	d.mu.Lock()
	var se *session
	for _, s := range d.sessions {
		se = s
	}
	d.mu.Unlock()
	for range 5 {
		se.discard("test")
	}
	p.n.do("DELETE", p.location, "", "")
	l.until("the end", func() bool { return l.left == 1 })
	sum := int64(0)
	for _, d := range l.discards {
		sum += d.Packets
	}
	if sum != 5 || slices.Contains(l.discards, nil) {
		t.Errorf("%d packets are told, want 5", sum)
	}
}
