package depacket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

var (
	epoch     = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	videoInfo = media.Track{ID: 3, Kind: media.Video, Codec: "test", ClockRate: 90000}
	audioInfo = media.Track{ID: 4, Kind: media.Audio, Codec: "opus", ClockRate: 48000}
	format    = &media.Format{Codec: "test", Timescale: 90000}
)

// payload is packet index of total of unit id.
func payload(id uint32, key bool, index, total int) []byte {
	p := binary.BigEndian.AppendUint32(nil, id)
	k := byte(0)
	if key {
		k = 1
	}
	return append(p, k, byte(index), byte(total))
}

// fakeCodec assembles what payload makes, and fails if any is missing.
type fakeCodec struct {
	noFormat bool
	depth    int
}

var errFake = errors.New("units do not fit together")

func (*fakeCodec) Starts(p [][]byte) bool { return len(p[0]) == 7 && p[0][5] == 0 }

func (c *fakeCodec) Assemble(payloads [][]byte) (codec.Unit, error) {
	for i, p := range payloads {
		if len(p) != 7 || !bytes.Equal(p[:4], payloads[0][:4]) || int(p[5]) != i || int(p[6]) != len(payloads) {
			return codec.Unit{}, errFake
		}
	}
	u := codec.Unit{Data: slices.Clone(payloads[0][:4]), Key: payloads[0][4] == 1, Format: format, Reorder: c.depth}
	if c.noFormat {
		u.Format = nil
	}
	if binary.BigEndian.Uint32(u.Data) == emptyUnit {
		u.Data = nil
	}
	return u, nil
}

// emptyUnit is the id of a unit without anything to store.
const emptyUnit = 0xffffffff

// sender makes packets of a track by spelling.
type sender struct {
	seq    uint16
	ts     uint32
	ssrc   uint32
	now    time.Time
	unit   uint32
	silent bool // no markers
}

// video makes the packets of a unit.
func (s *sender) video(key bool, packets int) (out []*media.Packet) {
	for i := range packets {
		out = append(out, &media.Packet{
			Track: videoInfo.ID, SSRC: s.ssrc, Seq: s.seq, Timestamp: s.ts, Marker: i == packets-1 && !s.silent,
			Payload: payload(s.unit, key, i, packets), Arrival: s.now,
		})
		s.seq++
		s.now = s.now.Add(time.Millisecond)
	}
	s.unit++
	s.ts += 3000
	return out
}

// cut makes the first packet of a unit of two; the second is never sent.
func (s *sender) cut(key bool) []*media.Packet {
	out := s.video(key, 2)[:1]
	s.seq--
	return out
}

// padding makes an empty packet with the timestamp of the last unit.
func (s *sender) padding() *media.Packet {
	p := &media.Packet{Track: videoInfo.ID, SSRC: s.ssrc, Seq: s.seq, Timestamp: s.ts - 3000, Arrival: s.now}
	s.seq++
	return p
}

// show spells results: "3k" and "4" are frames, "lost", "resync" and the
// message of an error.
func show(results []Result) string {
	var s []string
	for _, r := range results {
		var w string
		switch {
		case r.Frame != nil:
			w = fmt.Sprint(binary.BigEndian.Uint32(r.Frame.Data))
			if r.Frame.Key {
				w += "k"
			}
		case r.Resync:
			w = "resync"
		case r.Lost:
			w = "lost"
		}
		if r.Err != nil {
			w += fmt.Sprintf("(%v)", r.Err)
		}
		s = append(s, w)
	}
	return strings.Join(s, " ")
}

func push(d *Depacketizer, packets ...*media.Packet) (out []Result) {
	for _, p := range packets {
		out = d.Push(p, out)
	}
	return out
}

func expect(t *testing.T, what string, got []Result, want string) {
	t.Helper()
	if show(got) != want {
		t.Errorf("%s: got %q, want %q", what, show(got), want)
	}
}

func expectStats(t *testing.T, d *Depacketizer, want Stats) {
	t.Helper()
	if got := d.Stats(); got != want {
		t.Errorf("stats\n got %+v\nwant %+v", got, want)
	}
}

func newVideo() (*Depacketizer, *sender) {
	return New(videoInfo, &fakeCodec{}, Options{}), &sender{seq: 65533, ts: 1<<32 - 4000, ssrc: 1, now: epoch}
}

func TestInOrder(t *testing.T) {
	d, s := newVideo()
	expect(t, "inter frame before a key", push(d, s.video(false, 2)...), "")
	key := s.video(true, 3)
	expect(t, "open unit", push(d, key[:2]...), "")
	got := push(d, key[2])
	expect(t, "last packet", got, "1k")
	f := got[0].Frame
	if f.Track != videoInfo.ID || f.Timestamp != 1<<32-1000 || !f.Key || f.Format != format || !f.Arrival.Equal(key[2].Arrival) {
		t.Errorf("frame %+v", f)
	}
	got = push(d, s.video(false, 1)...)
	expect(t, "inter frame", got, "2")
	if f := got[0].Frame; f.Timestamp != 1<<32+2000 {
		t.Errorf("timestamp %d after a wrap, want %d", f.Timestamp, int64(1<<32+2000))
	}
	expectStats(t, d, Stats{PacketsReceived: 6, FramesBeforeKey: 1})
}

func TestNoMarkers(t *testing.T) {
	d, s := newVideo()
	s.silent = true
	key := s.video(true, 2)
	expect(t, "without a marker", push(d, key...), "")
	inter := s.video(false, 1)
	inter[0].Arrival = inter[0].Arrival.Add(time.Second)
	got := push(d, inter...)
	expect(t, "next timestamp", got, "0k")
	if f := got[0].Frame; !f.Arrival.Equal(key[1].Arrival) {
		t.Errorf("arrival %v, want that of the last packet", f.Arrival)
	}
	expect(t, "flush", d.Flush(nil), "1")
}

// Of a unit that is alone nothing tells whether it is whole: its sender may use markers, and
// the packets that are missing are those behind.
func TestOneUnitWithoutMarker(t *testing.T) {
	d, s := newVideo()
	s.silent = true
	expect(t, "without a marker", push(d, s.video(true, 3)...), "")
	expect(t, "flush", d.Flush(nil), "")
}

func TestReorder(t *testing.T) {
	d, s := newVideo()
	key, inter := s.video(true, 3), s.video(false, 2)
	key[1].Arrival = key[2].Arrival.Add(40 * time.Millisecond)
	expect(t, "held", push(d, key[0], key[2], inter[1]), "")
	late := key[1].Arrival
	got := push(d, key[1])
	expect(t, "put right", got, "0k")
	if f := got[0].Frame; !f.Arrival.Equal(key[2].Arrival) {
		t.Errorf("arrival %v, want that of the packet that was sent behind it", f.Arrival)
	}
	if !key[1].Arrival.Equal(late) {
		t.Error("the packet of others is changed")
	}
	expect(t, "duplicates", push(d, key[1], inter[1]), "")
	expect(t, "put right", push(d, inter[0]), "1")
	expectStats(t, d, Stats{PacketsReceived: 5, PacketsLate: 2, PacketsDuplicate: 2})
}

// However late packets come that were lost at first, they were sent before those behind them,
// the first of which is not the next one where it came late, too.
func TestSentAgain(t *testing.T) {
	d, s := newVideo()
	sent := slices.Concat(s.video(true, 1), s.video(false, 1), s.video(false, 1), s.video(false, 1))
	late := func(p *media.Packet, by time.Duration) *media.Packet {
		p.Arrival = p.Arrival.Add(by)
		return p
	}
	push(d, sent[0], sent[3])
	got := push(d, late(sent[2], 200*time.Millisecond), late(sent[1], 300*time.Millisecond))
	expect(t, "sent again", got, "1 2 3")
	for i, res := range got {
		if !res.Frame.Arrival.Equal(sent[3].Arrival) {
			t.Errorf("frame %d: arrival %v, want %v", i, res.Frame.Arrival, sent[3].Arrival)
		}
	}
}

func TestLoss(t *testing.T) {
	d, s := newVideo()
	expect(t, "start", push(d, s.video(true, 2)...), "0k")
	broken, dependent := s.video(false, 3), s.video(false, 1)
	expect(t, "gap", push(d, broken[0], broken[2], dependent[0]), "")
	expect(t, "not yet", d.Advance(broken[2].Arrival.Add(DefaultReorderDelay-1), nil), "")
	expect(t, "given up", d.Advance(broken[2].Arrival.Add(DefaultReorderDelay), nil), "lost")
	expect(t, "too late", push(d, broken[1]), "")
	expect(t, "twice too late", push(d, broken[1]), "")
	expect(t, "received before", push(d, broken[2]), "")
	expect(t, "waiting for a key", push(d, s.video(false, 1)...), "")
	expect(t, "key", push(d, s.video(true, 1)...), "4k")
	expectStats(t, d, Stats{PacketsReceived: 7, PacketsLost: 1, PacketsDuplicate: 1, PacketsDiscarded: 2, FramesDropped: 3})
}

// TestHistory holds what was lost apart from what was received a cycle of the
// history before.
func TestHistory(t *testing.T) {
	d, s := newVideo()
	for range historySize {
		push(d, s.video(true, 1)...)
	}
	lost := s.video(true, 1)
	push(d, s.video(true, 1)...)
	d.Advance(s.now.Add(time.Minute), nil)
	push(d, lost...)
	expectStats(t, d, Stats{PacketsReceived: historySize + 1, PacketsLost: 1, PacketsDiscarded: 1})
}

// Packets that are waited for are late, however many have come meanwhile.
func TestLateBehindMany(t *testing.T) {
	d, s := newVideo()
	push(d, s.video(true, 1)...)
	missing := s.video(false, 2)
	s.now = s.now.Add(-2 * time.Millisecond)
	for range maxJump + 500 {
		p := s.video(false, 1)
		s.now = s.now.Add(-800 * time.Microsecond) // 5000 packets a second
		expect(t, "waits", push(d, p...), "")
	}
	if got := push(d, missing...); len(got) != maxJump+501 || got[0].Lost {
		t.Errorf("%d results, want %d frames", len(got), maxJump+501)
	}
	expectStats(t, d, Stats{PacketsReceived: maxJump + 503, PacketsLate: 2})
}

func TestGapsAreTimedOneByOne(t *testing.T) {
	d, s := newVideo()
	push(d, s.video(true, 1)...)
	a, b, c := s.video(false, 2), s.video(false, 2), s.video(true, 1)
	at := func(p *media.Packet, ms int) *media.Packet {
		p.Arrival = epoch.Add(time.Duration(ms) * time.Millisecond)
		return p
	}
	expect(t, "two gaps", push(d, at(a[1], 100), at(b[1], 300), at(c[0], 310)), "")
	expect(t, "first is due", d.Advance(epoch.Add(1100*time.Millisecond), nil), "lost")
	expect(t, "second is not", d.Advance(epoch.Add(1299*time.Millisecond), nil), "")
	expect(t, "second is due", push(d, at(s.video(false, 1)[0], 1300)), "lost 3k 4")
}

func TestKeyFrameAfterGap(t *testing.T) {
	for name, tc := range map[string]struct {
		drop func(inter, key []*media.Packet) []*media.Packet
		want string
	}{
		"lost before it":       {func(i, k []*media.Packet) []*media.Packet { return append(i[:1], k...) }, "lost 2k"},
		"its beginning lost":   {func(i, k []*media.Packet) []*media.Packet { return append(i, k[1:]...) }, "1 lost"},
		"its middle lost":      {func(i, k []*media.Packet) []*media.Packet { return append(i, k[0], k[2]) }, "1 lost"},
		"its end lost":         {func(i, k []*media.Packet) []*media.Packet { return append(i, k[:2]...) }, "1 lost"},
		"all of the last lost": {func(_, k []*media.Packet) []*media.Packet { return k }, "lost 2k"},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newVideo()
			push(d, s.video(true, 1)...)
			got := push(d, tc.drop(s.video(false, 2), s.video(true, 3))...)
			got = append(got, push(d, s.padding())...)
			expect(t, name, d.Advance(s.now.Add(time.Minute), got), tc.want)
		})
	}
}

func TestJoinInTheMiddle(t *testing.T) {
	d, s := newVideo()
	key := s.video(true, 2)
	expect(t, "second half", push(d, key[1]), "")
	expect(t, "next", push(d, s.video(false, 1)...), "")
	expect(t, "key", push(d, s.video(true, 1)...), "2k")
	expectStats(t, d, Stats{PacketsReceived: 3, FramesBeforeKey: 2})
}

func TestPadding(t *testing.T) {
	d, s := newVideo()
	push(d, s.video(true, 1)...)
	pad := s.padding()
	expect(t, "bridges", push(d, append([]*media.Packet{pad}, s.video(false, 2)...)...), "1")
	lost := s.padding()
	expect(t, "lost padding breaks the chain", push(d, s.video(false, 1)...), "")
	expect(t, "given up", d.Flush(nil), "lost")
	_ = lost
	expectStats(t, d, Stats{PacketsReceived: 5, PacketsLost: 1, FramesDropped: 1})
}

func TestMalformed(t *testing.T) {
	d, s := newVideo()
	push(d, s.video(true, 1)...)
	bad := s.video(false, 2)
	bad[1].Payload = []byte{1}
	expect(t, "malformed", push(d, bad...), "lost(assemble access unit: units do not fit together)")
	expect(t, "chain", push(d, s.video(false, 1)...), "")
	expect(t, "key", push(d, s.video(true, 1)...), "3k")
	s.unit = emptyUnit
	expect(t, "nothing to store", push(d, s.video(false, 1)...), "")
	expect(t, "chain goes on", push(d, s.video(false, 1)...), "0")
	expectStats(t, d, Stats{PacketsReceived: 7, FramesDropped: 2})

	d = New(videoInfo, &fakeCodec{noFormat: true}, Options{})
	expect(t, "no format", push(d, s.video(true, 1)...), "lost("+errNoFormat.Error()+")")
}

// A sender that falls behind throws away the rest of a frame when it has a key
// frame to send, before the packets get sequence numbers.
func TestUnfinishedFrames(t *testing.T) {
	const lost = "lost(assemble access unit: units do not fit together)"
	for name, tc := range map[string]struct {
		next  func(*sender) []*media.Packet
		want  string
		stats Stats
	}{
		"then a key frame": {
			func(s *sender) []*media.Packet { return append(s.video(true, 2), s.video(false, 1)...) },
			"2k 3", Stats{PacketsReceived: 5, FramesUnfinished: 1},
		},
		"then another frame": {
			func(s *sender) []*media.Packet { return append(s.video(false, 2), s.video(false, 1)...) },
			lost, Stats{PacketsReceived: 5, FramesDropped: 3},
		},
		"then an unfinished key frame": {
			func(s *sender) []*media.Packet { return append(s.cut(true), s.video(true, 1)...) },
			lost + " 3k", Stats{PacketsReceived: 4, FramesDropped: 1, FramesUnfinished: 1},
		},
		"then a loss": {
			func(s *sender) []*media.Packet { s.seq++; return s.video(true, 2) },
			"lost 2k", Stats{PacketsReceived: 4, PacketsLost: 1, FramesDropped: 1},
		},
		"then half a frame and a loss": {
			func(s *sender) []*media.Packet {
				half := s.cut(true)
				s.seq++
				return append(half, s.video(true, 1)...)
			},
			lost + " lost 3k", Stats{PacketsReceived: 4, PacketsLost: 1, FramesDropped: 2},
		},
		"then half a frame and the end": {
			func(s *sender) []*media.Packet { return s.cut(true) },
			lost, Stats{PacketsReceived: 3, FramesDropped: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newVideo()
			push(d, s.video(true, 1)...)
			got := push(d, s.cut(false)...)
			got = append(got, push(d, tc.next(s)...)...)
			expect(t, name, d.Flush(got), tc.want)
			expectStats(t, d, tc.stats)
		})
	}
}

func TestResync(t *testing.T) {
	jump := func(by int, ssrc uint32) func(*sender) {
		return func(s *sender) { s.seq, s.ssrc = s.seq+uint16(by), ssrc }
	}
	outage := func(by int, ssrc uint32) func(*sender) {
		return func(s *sender) { s.seq, s.ssrc, s.ts = s.seq+uint16(by), ssrc, s.ts+90000*25 }
	}
	for name, tc := range map[string]struct {
		change func(*sender)
		cause  error
		result string
		lost   int64 // but for the packet before the open unit
	}{
		"ssrc":          {jump(0, 2), ErrSSRC, "lost resync", 0},
		"outage":        {outage(maxJump+2, 1), ErrSequence, "lost lost", maxJump + 3},
		"jump forward":  {jump(maxJump+2, 1), ErrSequence, "lost lost", 0}, // numbered anew
		"jump backward": {jump(-maxJump-10, 1), ErrSequence, "lost lost", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newVideo()
			push(d, s.video(true, 1)...)
			held, open := s.video(false, 2), s.video(false, 2)
			push(d, held[1], open[0])
			tc.change(s)
			got := push(d, s.video(true, 2)...)
			expect(t, name, got, tc.result+"("+tc.cause.Error()+") 3k")
			if r := got[1]; !errors.Is(r.Err, tc.cause) || !r.Lost {
				t.Errorf("got %+v", r)
			}
			expect(t, "goes on", push(d, s.video(false, 1)...), "4")
			if d.Stats().PacketsLost != 1+tc.lost {
				t.Errorf("stats %+v, want %d lost", d.Stats(), 1+tc.lost)
			}
		})
	}
}

// The process stands still for 25 s: the socket has kept what came first, the rest is
// lost, however much that was. What comes after says so, and by its timestamp how long.
func TestStandstill(t *testing.T) {
	for name, missing := range map[string]uint16{"few packets": 750, "many packets": 7500} {
		t.Run(name, func(t *testing.T) {
			d, s := newVideo()
			got := push(d, s.video(true, 1)...)
			s.now = s.now.Add(25 * time.Second)
			got = append(got, push(d, s.video(false, 2)...)...)
			before := s.ts
			s.seq += missing
			s.ts += 25*90000 - 6000
			s.unit = 750
			next := s.video(false, 2)
			got = append(got, push(d, next...)...)
			got = append(got, push(d, s.video(true, 2)...)...)
			got = d.Advance(s.now.Add(2*DefaultReorderDelay), got)
			lost := slices.IndexFunc(got, func(r Result) bool { return r.Lost })
			if lost != 2 || got[lost].Resync {
				t.Fatalf("got %s, want a loss after two frames", show(got))
			}
			last := got[len(got)-1]
			if last.Frame == nil || uint32(last.Frame.Timestamp)-before != 25*90000-3000 {
				t.Errorf("got %s, want the key frame after 25 s by its timestamp", show(got))
			}
			if st := d.Stats(); st.PacketsLost != int64(missing) || st.PacketsReceived != 7 {
				t.Errorf("stats %+v, want %d lost and 7 received", st, missing)
			}
		})
	}
}

// The same of audio, which goes on with the first packet after the loss.
func TestStandstillAudio(t *testing.T) {
	d := New(audioInfo, &fakeCodec{}, Options{})
	send := func(n int, at time.Duration) []Result {
		return push(d, &media.Packet{
			Track: audioInfo.ID, SSRC: 1, Seq: uint16(65000 + n), Timestamp: uint32(960 * n), Marker: true,
			Payload: payload(uint32(n), true, 0, 1), Arrival: epoch.Add(at),
		})
	}
	expect(t, "before", send(0, 0), "0k")
	expect(t, "from the socket", send(1, 25*time.Second), "1k")
	expect(t, "after it", send(1250, 25*time.Second), "")
	expect(t, "later", d.Advance(epoch.Add(27*time.Second), nil), "lost 1250k")
	if st := d.Stats(); st.PacketsLost != 1248 {
		t.Errorf("stats %+v, want 1248 lost", st)
	}
}

// Timestamps that jump where no packet is missing are no loss.
func TestJumpWithoutLoss(t *testing.T) {
	d, s := newVideo()
	push(d, s.video(true, 1)...)
	s.ts += 90000 * 25
	expect(t, "ahead", push(d, s.video(false, 2)...), "1")
	s.ts -= 90000 * 3600
	expect(t, "back", push(d, s.video(false, 2)...), "2")
}

func TestStrayPackets(t *testing.T) {
	d, s := newVideo()
	push(d, s.video(true, 1)...)
	stray := *s.video(false, 1)[0]
	s.seq--
	s.unit--
	stray.Seq += 20000
	unrelated, next := stray, stray
	unrelated.Seq += 2000
	next.Seq++
	expect(t, "two strays", push(d, &unrelated, &stray), "")
	expect(t, "goes on", push(d, s.video(false, 1)...), "1")
	expect(t, "the stray's successor, but not right after it", push(d, &next), "")
	old := *s.video(false, 1)[0]
	s.ssrc = 2
	expect(t, "new ssrc", push(d, s.video(true, 1)...), "resync("+ErrSSRC.Error()+") 3k")
	expect(t, "overtaken", push(d, &old), "")
	expect(t, "goes on", push(d, s.video(false, 1)...), "4")
	old.Arrival = old.Arrival.Add(time.Minute)
	expect(t, "back again", push(d, &old), "resync("+ErrSSRC.Error()+")")
	expectStats(t, d, Stats{PacketsReceived: 5, PacketsDiscarded: 4, FramesDropped: 1})
}

func TestBounds(t *testing.T) {
	d, s := newVideo()
	d.order.max = 10
	push(d, s.video(true, 1)...)
	s.video(false, 1) // lost
	expect(t, "waits", push(d, s.video(false, 9)...), "")
	expect(t, "gives up early", push(d, s.video(true, 1)...), "lost 3k")
	s.seq += 100
	expect(t, "far away", push(d, s.video(true, 1)...), "lost 4k")

	big := s.video(false, 1)[0]
	big.Marker, big.Payload = false, make([]byte, maxUnitBytes/2)
	expect(t, "large unit", push(d, big), "")
	big2, end := *big, *big
	big2.Seq++
	end.Seq, end.Marker, end.Payload = big.Seq+2, true, []byte{1}
	s.seq += 2
	expect(t, "too large", push(d, &big2), "lost("+ErrTooLarge.Error()+")")
	expect(t, "its end", push(d, &end), "")
	expect(t, "after it", append(push(d, s.video(false, 1)...), push(d, s.video(true, 1)...)...), "7k")
	if got := d.Stats().FramesDropped; got != 3 {
		t.Errorf("%d frames dropped, want 3", got)
	}
}

func TestFlush(t *testing.T) {
	d, s := newVideo()
	push(d, s.video(true, 1)...)
	held, cut := s.video(true, 2), s.video(false, 2)
	push(d, held[1], cut[0])
	expect(t, "flush", d.Flush(nil), "lost")
	expect(t, "flush again", d.Flush(nil), "")
	s.seq += 30000
	expect(t, "new stream", push(d, append(s.video(false, 1), s.video(true, 1)...)...), "4k")
	expectStats(t, d, Stats{PacketsReceived: 5, PacketsLost: 1, FramesDropped: 2})
}

func TestLongPause(t *testing.T) {
	d, s := newVideo()
	first := push(d, s.video(true, 1)...)[0].Frame
	const pause = 20 * time.Hour // more than a cycle of the timestamp
	s.now = s.now.Add(pause)
	s.ts += uint32(uint64(pause/time.Second) * 90000 & (1<<32 - 1))
	got := push(d, s.video(false, 1)...)[0].Frame
	if diff := got.Timestamp - first.Timestamp; diff != 20*3600*90000+3000 {
		t.Errorf("the timestamp went on by %d", diff)
	}
}

func TestAudio(t *testing.T) {
	c, _ := codec.Lookup("opus")
	a, err := c.NewAssembler(audioInfo)
	if err != nil {
		t.Fatal(err)
	}
	d := New(audioInfo, a, Options{ReorderDelay: 200 * time.Millisecond})
	packet := func(i int, payload ...byte) *media.Packet {
		return &media.Packet{Track: audioInfo.ID, Seq: uint16(i), Timestamp: uint32(i * 960), Payload: payload, Arrival: epoch.Add(time.Duration(i) * 20 * time.Millisecond)}
	}
	got := push(d, packet(0, 0xfc, 1), packet(1, 0xfc, 2))
	if len(got) != 2 || got[1].Frame == nil || got[1].Frame.Timestamp != 960 || got[1].Frame.Duration != 960 || !got[1].Frame.Key || got[1].Frame.Format == nil {
		t.Fatalf("got %+v", got)
	}
	got = push(d, packet(3, 0xfc, 4), packet(12, 0xfc, 5))
	if len(got) != 0 {
		t.Errorf("not held: %+v", got)
	}
	got = push(d, packet(13, 0xfc, 6))
	if len(got) != 2 || !got[0].Lost || got[1].Frame == nil || got[1].Frame.Timestamp != 3*960 {
		t.Errorf("got %+v, want a loss and packet 3", got)
	}
	got = d.Flush(nil)
	if len(got) != 3 || !got[0].Lost || got[2].Frame == nil || got[2].Frame.Timestamp != 13*960 {
		t.Errorf("got %+v, want a loss and packets 12 and 13", got)
	}
	got = push(d, packet(14, 0xff), packet(15, 0xfc))
	if len(got) != 2 || !got[0].Lost || got[0].Err == nil || got[1].Frame == nil {
		t.Errorf("got %+v, want an error and packet 15", got)
	}
	expectStats(t, d, Stats{PacketsReceived: 7, PacketsLost: 9, FramesDropped: 1})
}

func TestRandomStream(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testRandomStream(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

// A packet that was on its way when the process stood still is waited for, also if its
// clock is looked at first.
func TestStoodStill(t *testing.T) {
	d, s := newVideo()
	push(d, s.video(true, 1)...)
	late := s.video(false, 1)
	expect(t, "waits", push(d, s.video(false, 1)...), "")
	later := s.video(false, 1)
	expect(t, "for two", push(d, s.video(false, 1)...), "")
	s.now = s.now.Add(10 * time.Second)
	d.StoodStill(s.now)
	expect(t, "looks at the clock", d.Advance(s.now, nil), "")
	expect(t, "waits on", push(d, s.video(false, 1)...), "")
	late[0].Arrival, later[0].Arrival = s.now, s.now
	expect(t, "has one", push(d, late...), "1 2")
	expect(t, "has the other", push(d, later...), "3 4 5")
	gone := s.video(false, 1)
	push(d, s.video(false, 1)...)
	expect(t, "given up in time", d.Advance(s.now.Add(DefaultReorderDelay), nil), "lost")
	expect(t, "and for good", push(d, gone...), "")
}
