package whip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

func TestNacker(t *testing.T) {
	start := time.Unix(1000, 0)
	type step struct {
		at   time.Duration
		seq  uint16
		asks []uint16
	}
	ms := time.Millisecond
	tests := map[string][]step{
		"nothing is missing": {{0, 65534, nil}, {ms, 65535, nil}, {2 * ms, 0, nil}, {100 * ms, 1, nil}},
		"reordering is no loss": {
			{0, 1, nil}, {ms, 3, nil}, {5 * ms, 2, nil}, {100 * ms, 4, nil},
		},
		"a loss is asked for after the delay, over the wrap": {
			{0, 65533, nil}, {ms, 1, nil}, {ms + nackDelay, 2, []uint16{65534, 65535, 0}},
		},
		"and again until it comes": {
			{0, 1, nil}, {0, 3, nil}, {nackDelay, 4, []uint16{2}}, {nackDelay + ms, 5, nil},
			{nackDelay + nackInterval, 6, []uint16{2}}, {nackDelay + nackInterval + ms, 2, nil}, {time.Second, 7, nil},
		},
		"a jump is a new start": {{0, 1, nil}, {0, 3000, nil}, {time.Second, 3001, nil}, {time.Second, 3003, nil}, {2 * time.Second, 3004, []uint16{3002}}},
		"backwards, too":        {{0, 3000, nil}, {0, 1, nil}, {time.Second, 2, nil}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var n nacker
			for _, s := range steps {
				if got := n.received(s.seq, start.Add(s.at)); !slices.Equal(got, s.asks) {
					t.Errorf("at %v packet %d: asks for %v, want %v", s.at, s.seq, got, s.asks)
				}
			}
		})
	}
}

// Nothing follows that could drive the repeats.
func TestNackerWithoutPackets(t *testing.T) {
	var n nacker
	start := time.Unix(1000, 0)
	n.received(1, start)
	if n.received(3, start) != nil || !n.pending() {
		t.Error("asks at once, or knows of no gap")
	}
	if got := n.due(start.Add(nackDelay)); !slices.Equal(got, []uint16{2}) {
		t.Errorf("asks for %v, want 2", got)
	}
	if got := n.due(start.Add(nackDelay + nackPoll)); len(got) > 0 {
		t.Errorf("asks for %v again too soon", got)
	}
	n.received(2, start.Add(nackDelay+nackPoll))
	if n.pending() {
		t.Error("packet 2 came, and is still missing")
	}
}

func TestNackerIsBounded(t *testing.T) {
	var n nacker
	now := time.Unix(1000, 0)
	asked := make(map[uint16]int)
	n.received(0, now)
	for seq := uint16(2); seq < 20000; seq += 2 { // every other packet is lost for good
		now = now.Add(time.Millisecond)
		for _, s := range n.received(seq, now) {
			asked[s]++
		}
		if len(n.missing) > nackMaxMissing {
			t.Fatalf("%d are remembered", len(n.missing))
		}
	}
	for s, c := range asked {
		if c > nackTries {
			t.Fatalf("packet %d was asked for %d times", s, c)
		}
	}
	if asked[1] != nackTries {
		t.Errorf("packet 1 was asked for %d times, want %d", asked[1], nackTries)
	}
}

func TestRewriter(t *testing.T) {
	r := rewriter{clockRate: 90000}
	at := time.Unix(1000, 0)
	type out struct {
		seq uint16
		ts  uint32
	}
	check := func(ssrc uint32, seq uint16, ts uint32, want out) {
		t.Helper()
		s, x := r.rewrite(&media.Packet{SSRC: ssrc, Seq: seq, Timestamp: ts, Arrival: at})
		if (out{s, x}) != want {
			t.Errorf("packet %d at %d becomes %d at %d, want %d at %d", seq, ts, s, x, want.seq, want.ts)
		}
	}
	check(1, 65534, 1000, out{65534, 1000})
	check(1, 0, 4000, out{0, 4000}) // a gap stays
	check(1, 65535, 1000, out{65535, 1000})
	at = at.Add(100 * time.Millisecond)
	check(2, 500, 77, out{1, 13000}) // another source
	check(2, 502, 3077, out{3, 16000})
	check(2, 501, 77, out{2, 13000})
	r.restart()
	check(2, 9, 9, out{4, 16001}) // the same SSRC, no time passed
	if seq, ts := r.insert(&media.Packet{SSRC: 2, Seq: 10, Timestamp: 3009, Arrival: at}, 2); seq != 5 || ts != 19001 {
		t.Errorf("two packets are put in from %d on at %d, want 5 and 19001", seq, ts)
	}
	check(2, 10, 3009, out{7, 19001})
	check(2, 12, 6009, out{9, 22001})
	check(2, 8, 9, out{3, 16001}) // from before them
	check(2, 11, 3009, out{8, 19001})
	check(2, 10+maxLate+1, 9009, out{7 + maxLate + 1, 25001})
	check(2, 11+1<<15, 9009, out{8 + 1<<15, 25001})
}

func TestLayers(t *testing.T) {
	var l layers
	l.reset()
	l.add(3)
	l.add(5)
	at := time.Unix(1000, 0)
	feed := func(ms int, sizes map[media.TrackID]int) (sentFrom map[media.TrackID]int) {
		sentFrom = map[media.TrackID]int{}
		for range ms / 10 {
			at = at.Add(10 * time.Millisecond)
			for _, id := range []media.TrackID{3, 5} {
				if size, ok := sizes[id]; ok {
					forward, _ := l.choose(&media.Packet{Track: id, Payload: make([]byte, size), Arrival: at})
					if forward {
						sentFrom[id]++
					}
				}
			}
		}
		return sentFrom
	}
	feed(2500, map[media.TrackID]int{3: 100, 5: 1000})
	if got := feed(1000, map[media.TrackID]int{3: 100, 5: 1000}); got[3] != 0 || got[5] != 100 {
		t.Errorf("big layer: %v", got)
	}
	feed(2500, map[media.TrackID]int{3: 100}) // the sender stops the big one
	if got := feed(1000, map[media.TrackID]int{3: 100}); got[3] != 100 {
		t.Errorf("only layer: %v", got)
	}
	if forward, _ := l.choose(&media.Packet{Track: 0, Arrival: at}); forward {
		t.Error("a packet of another track is forwarded")
	}
}

func TestTakePacket(t *testing.T) {
	build := func(h rtp.Header, payload ...byte) []byte {
		h.Version, h.PayloadType, h.SequenceNumber, h.SSRC = 2, 96, 7, 9
		b, err := h.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return append(b, payload...)
	}
	first := build(rtp.Header{}, 'x')
	padded := build(rtp.Header{}, 1, 2, 0, 2)
	padded[0] |= 0x20
	probe := build(rtp.Header{}, 0, 0, 3)
	probe[0] |= 0x20
	liar := build(rtp.Header{}, 1, 200)
	liar[0] |= 0x20
	tests := []struct {
		name string
		in   []byte
		want string // payload; with "!" before it what is counted
	}{
		{"plain", build(rtp.Header{}, 'a', 'b'), "ab"},
		{"padding", padded, "\x01\x02"},
		{"padding only", probe, ""},
		{"padding beyond the packet", liar, "!" + causePadding},
		{"empty", nil, "!" + causeHeader},
		{"truncated header", build(rtp.Header{})[:11], "!" + causeHeader},
		{"other payload type", append([]byte{0x80, 97}, build(rtp.Header{})[2:]...), "!payload type 97 (VP8) came, 96 (H264) was negotiated"},
		{"unknown payload type", append([]byte{0x80, 50}, build(rtp.Header{})[2:]...), "!payload type 50 came, 96 was negotiated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, items := newTestIngest(t, testLine{kind: media.Video, pt: 96, offered: map[uint8]string{97: "VP8"}})
			in.takeRTP(first)
			in.takeRTP(tt.in)
			got := items()
			last := got[len(got)-1]
			if last.Discarded != nil {
				if text := "!" + last.Discarded.Cause; text != tt.want || last.Discarded.Packets != 1 {
					t.Errorf("%+v, want %q", last.Discarded, tt.want)
				}
				return
			}
			if len(got) != 3 || string(last.Packet.Payload) != tt.want || last.Packet.Seq != 7 || last.Packet.SSRC != 9 {
				t.Errorf("%d items, the last %+v, want %q", len(got), last.Packet, tt.want)
			}
		})
	}
}

func TestSameProfile(t *testing.T) {
	tests := []struct {
		codec, a, b string
		want        bool
	}{
		{"H264", "packetization-mode=1;profile-level-id=42e01f", "Packetization-Mode=1; profile-level-id=42001F", true},
		{"H264", "packetization-mode=1;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=64001f", false},
		{"H264", "packetization-mode=0;profile-level-id=42e01f", "", true},
		{"H264", "packetization-mode=1", "packetization-mode=0", false},
		{"VP9", "profile-id=0", "", true},
		{"VP9", "profile-id=2", "", false},
		{"AV1", "level-idx=5;profile=0;tier=0", "", true},
		{"AV1", "profile=1", "profile=0", false},
		{"H265", "level-id=93;profile-id=1;tier-flag=0", "", true},
		{"opus", "minptime=10", "stereo=1", true},
		{"multiopus", fmtp51, "num_streams=4;coupled_streams=2;channel_mapping=0,4,1,2,3,5", true},
		{"multiopus", fmtp51, fmtp51Other, false},
		{"multiopus", fmtp51, "num_streams=5;coupled_streams=2;channel_mapping=0,4,1,2,3,5", false},
		{"multiopus", fmtp51, "num_streams=4;coupled_streams=1;channel_mapping=0,4,1,2,3,5", false},
	}
	for _, tt := range tests {
		if got := sameProfile(tt.codec, tt.a, tt.b); got != tt.want {
			t.Errorf("sameProfile(%s, %q, %q) = %v, want %v", tt.codec, tt.a, tt.b, got, tt.want)
		}
	}
}

// Whatever an offer says, what the PeerConnection gets to see is an offer that
// keeps the rules.
func FuzzOffer(f *testing.F) {
	f.Add(crlf(goodOffer), true)
	f.Add(crlf(goodOffer+dataSection), true)
	f.Add(crlf(strings.ReplaceAll(goodOffer, "a=sendonly", "a=recvonly")), false)
	f.Add(crlf(strings.ReplaceAll(goodOffer, "a=ssrc-group", "a=rid:h send\na=rid:l send pt=98;max-width=320\na=simulcast:send h;~l\na=ssrc-group")), true)
	f.Fuzz(func(t *testing.T, text string, publisher bool) {
		s := viewing
		if publisher {
			s = publishing
		}
		o, err := parseOffer(text, s)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("parseOffer: %v is no fault.Invalid", err)
			}
			return
		}
		cs, err := chooseForPublisher(o)
		if !publisher {
			cs, err = chooseForViewer(o, []media.Track{{Kind: media.Video, Codec: "H264", Fmtp: "packetization-mode=1"}})
		}
		if err != nil {
			if fault.KindOf(err) != fault.Unprocessable {
				t.Fatalf("choose: %v is no fault.Unprocessable", err)
			}
			return
		}
		out, err := o.narrowed(cs, s).Marshal()
		if err != nil {
			t.Fatalf("narrowed offer: %v", err)
		}
		if publisher {
			again, err := parseOffer(string(out), s)
			if err != nil {
				t.Fatalf("narrowed offer: %v\n%s", err, out)
			}
			for i, sec := range again.sections {
				if len(sec.codecs) != 1 || len(sec.rids) != len(o.sections[i].rids) {
					t.Fatalf("narrowed offer has %d codecs and %d layers", len(sec.codecs), len(sec.rids))
				}
			}
		}
	})
}

func FuzzFragment(f *testing.F) {
	f.Add("a=ice-ufrag:AbCd\r\na=ice-pwd:0123456789abcdefghijklmn\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n")
	f.Add("a=end-of-candidates")
	f.Add(fmt.Sprintf("a=ice-ufrag:%s\n", strings.Repeat("x", 300)))
	f.Fuzz(func(t *testing.T, text string) {
		fr, err := parseFragment(text)
		switch {
		case err != nil && fault.KindOf(err) != fault.Invalid:
			t.Fatalf("parseFragment: %v is no fault.Invalid", err)
		case err == nil && (fr.ufrag == "") != (fr.password == ""):
			t.Fatalf("half of the credentials: %+v", fr)
		case err == nil && strings.ContainsAny(fr.ufrag+fr.password, "\r\n"):
			t.Fatalf("credentials that break lines: %+v", fr)
		}
	})
}
