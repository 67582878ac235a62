package depacket

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// sent is a unit of a random stream.
type sent struct {
	key       bool
	timestamp int64
	packets   []*media.Packet // in order, with padding before some
}

// randomStream makes units whose sequence numbers and timestamps wrap.
func randomStream(r *rand.Rand, units int) (stream []sent) {
	seq, ts := int64(r.IntN(1<<16)), int64(r.Uint32())
	now := epoch
	markers := r.IntN(4) > 0
	for i := range units {
		now = now.Add(33 * time.Millisecond)
		u := sent{key: r.IntN(20) == 0, timestamp: ts}
		total := 1 + r.IntN(6)
		add := func(p media.Packet) {
			p.SSRC, p.Seq, p.Timestamp, p.Arrival = 7, uint16(seq), uint32(ts), now
			u.packets = append(u.packets, &p)
			seq++
		}
		for r.IntN(8) == 0 {
			add(media.Packet{})
		}
		for j := range total {
			add(media.Packet{Marker: markers && j == total-1, Payload: payload(uint32(i), u.key, j, total)})
		}
		stream = append(stream, u)
		ts += 3000 + int64(r.IntN(1<<21))
	}
	return stream
}

// disturb loses, delays and repeats packets and returns them by arrival.
func disturb(r *rand.Rand, stream []sent) (arrived []*media.Packet, lost map[*media.Packet]bool, repeated int) {
	lost = make(map[*media.Packet]bool)
	for i, u := range stream {
		// Numbers are counted from the first packet to the last.
		calm := i == 0 || i == len(stream)-1
		for _, p := range u.packets {
			if !calm && r.IntN(60) == 0 {
				lost[p] = true
				continue
			}
			if !calm && r.IntN(10) == 0 {
				p.Arrival = p.Arrival.Add(time.Duration(r.IntN(400)) * time.Millisecond)
			}
			arrived = append(arrived, p)
			if r.IntN(50) == 0 {
				again := *p
				again.Arrival = p.Arrival.Add(time.Duration(r.IntN(300)) * time.Millisecond)
				arrived = append(arrived, &again)
				repeated++
			}
		}
	}
	slices.SortStableFunc(arrived, func(a, b *media.Packet) int { return a.Arrival.Compare(b.Arrival) })
	return arrived, lost, repeated
}

// model says which units come out, by what is known of the whole stream: a
// unit is whole if it has all its packets, nothing is missing that could be
// its end, and its beginning is known; and it needs a chain from a key frame.
func model(stream []sent, lost map[*media.Packet]bool) (out []int) {
	var flat []*media.Packet
	var unit []int
	for i, u := range stream {
		for _, p := range u.packets {
			flat, unit = append(flat, p), append(unit, i)
		}
	}
	whole := make([]bool, len(stream))
	gapIn := make([]bool, len(stream)) // a packet was missing since the unit before
	for i := range whole {
		whole[i] = true
	}
	for i, p := range flat {
		if !lost[p] {
			continue
		}
		gapIn[unit[i]] = true
		if len(p.Payload) > 0 {
			whole[unit[i]] = false
		}
		// Without a marker the unit before may have had more packets.
		for j := i - 1; j >= 0; j-- {
			if len(flat[j].Payload) == 0 || lost[flat[j]] {
				continue
			}
			whole[unit[j]] = whole[unit[j]] && flat[j].Marker
			break
		}
	}
	need := true
	for i, u := range stream {
		if gapIn[i] || !whole[i] {
			need = true
		}
		if whole[i] && (u.key || !need) {
			need = false
			out = append(out, i)
		}
	}
	return out
}

func testRandomStream(t *testing.T, r *rand.Rand) {
	stream := randomStream(r, 20000)
	arrived, lost, repeated := disturb(r, stream)
	d := New(videoInfo, &fakeCodec{}, Options{})
	var results []Result
	for _, p := range arrived {
		results = d.Push(p, results)
		results = d.Advance(p.Arrival, results)
	}
	results = d.Flush(results)

	want := model(stream, lost)
	var got []int
	needKey := true
	for _, res := range results {
		if res.Lost {
			needKey = true
			continue
		}
		id := int(binary.BigEndian.Uint32(res.Frame.Data))
		if needKey && !res.Frame.Key {
			t.Fatalf("unit %d is no key frame and follows a loss", id)
		}
		if res.Frame.Timestamp != stream[id].timestamp {
			t.Fatalf("unit %d has timestamp %d, want %d", id, res.Frame.Timestamp, stream[id].timestamp)
		}
		needKey = false
		got = append(got, id)
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("frame %d is unit %d, want %d", i, got[i], want[i])
		}
	}
	if len(got) != len(want) || len(got) < 1000 {
		t.Errorf("%d frames, want %d", len(got), len(want))
	}
	s := d.Stats()
	if s.PacketsReceived != int64(len(arrived)-repeated) || s.PacketsLost != int64(len(lost)) ||
		s.PacketsDuplicate != int64(repeated) || s.PacketsDiscarded != 0 || s.PacketsLate == 0 {
		t.Errorf("stats %+v, want %d received, %d lost, %d duplicates", s, len(arrived)-repeated, len(lost), repeated)
	}
	if span := int64(len(d.order.ring)); span > 2*(DefaultMaxBuffered+maxJump) {
		t.Errorf("the buffer grew to %d packets", span)
	}
}
