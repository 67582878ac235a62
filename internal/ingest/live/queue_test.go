package live

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

func TestOverflow(t *testing.T) {
	tests := []struct {
		name string
		o    SubscribeOptions
		in   string // P packets of 10 bytes, B packets of 100, R, L, J, r reads everything
		want string
	}{
		{"by items", SubscribeOptions{MaxItems: 3}, "PPPPPrP", "JPPP2P"},
		{"by bytes", SubscribeOptions{MaxBytes: 115}, "PBPBP", "JPP"},
		{"small packet after a big one", SubscribeOptions{MaxBytes: 110}, "PPBPrP", "JPP1PP"},
		{"reports get in and tell", SubscribeOptions{MaxItems: 1}, "PPRPR", "JP1R1R"},
		{"left and joined get in", SubscribeOptions{MaxItems: 1}, "PPLJ", "JP1LJ"},
		{"an unseen publication leaves no trace", SubscribeOptions{MaxItems: 1}, "PLJPRPLJPL", "JPL"},
		{"but its drops do", SubscribeOptions{MaxItems: 1}, "PLJPRPLrJP", "JPL2JP"},
		{"reports are bounded", SubscribeOptions{}, strings.Repeat("R", maxReports+2) + "P", "J" + strings.Repeat("R", maxReports) + "P"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Options{})
			defer s.Close()
			if _, err := s.Create("cam"); err != nil {
				t.Fatal(err)
			}
			sub := subscribe(t, s, "cam", tt.o)
			pub := publish(t, s, "cam", &publisher{})
			var got string
			for _, c := range tt.in {
				switch c {
				case 'P':
					pub.WritePacket(packet(0, 10))
				case 'B':
					pub.WritePacket(packet(0, 100))
				case 'R':
					pub.WriteReport(&media.SenderReport{})
				case 'L':
					pub.Close()
				case 'J':
					pub = publish(t, s, "cam", &publisher{})
				case 'r':
					got += script(read(t, sub))
				}
			}
			sub.Close()
			got += script(read(t, sub))
			if got != tt.want {
				t.Errorf("%s gives %s, want %s", tt.in, got, tt.want)
			}
		})
	}
}

// A reader that takes few items at a time sees all of them in order while the
// ring wraps and grows.
func TestQueueOrder(t *testing.T) {
	q := queue{maxPackets: 1000, maxBytes: 1 << 20}
	var in, out uint16
	dst := make([]Item, 7)
	for round := range 400 {
		for range 5 + round%20 {
			q.push(Item{Packet: packet(in, 1)})
			in++
			if q.packets == q.maxPackets {
				break
			}
		}
		for _, it := range dst[:q.pop(dst[:min(len(dst), 3+round%7)])] {
			if it.Packet.Seq != out {
				t.Fatalf("got packet %d, want %d", it.Packet.Seq, out)
			}
			out++
		}
		if q.packets == q.maxPackets {
			break
		}
	}
	if q.bytes != q.packets || q.packets != int(in-out) {
		t.Errorf("%d packets, %d bytes are counted, want %d of both", q.packets, q.bytes, in-out)
	}
}

func TestWritePacketDoesNotAllocate(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	pub := publish(t, s, "cam", &publisher{})
	subs := []*Subscription{subscribe(t, s, "cam", SubscribeOptions{}), subscribe(t, s, "cam", SubscribeOptions{})}
	pkt := packet(1, 100)
	dst := make([]Item, 16)
	allocs := testing.AllocsPerRun(1000, func() {
		pub.WritePacket(pkt)
		for _, sub := range subs {
			if _, err := sub.Read(t.Context(), dst); err != nil {
				t.Error(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per packet, want none", allocs)
	}
}

// Publishers, subscribers, deletion and watching at once. Every subscriber must
// see each publication whole: Joined, its packets in order with the dropped
// ones counted, Left.
func TestConcurrent(t *testing.T) {
	const packets = 300
	s := New(Options{KeyFrameInterval: time.Millisecond})
	if _, err := s.Create("cam"); err != nil {
		t.Fatal(err)
	}
	w := s.Watch()
	defer w.Close()
	var subs sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		subs.Go(func() { churn(s, stop) })
	}
	for range 3 {
		sub := subscribe(t, s, "cam", SubscribeOptions{MaxItems: 100, Session: &SessionInfo{ID: "v"}})
		subs.Go(func() { follow(t, sub) })
	}
	for range 20 {
		pub := publish(t, s, "cam", &publisher{})
		var tracks sync.WaitGroup
		for id := range pub.Tracks() {
			tracks.Go(func() {
				for seq := range packets {
					pub.WritePacket(&media.Packet{Track: media.TrackID(id), Seq: uint16(seq), Payload: []byte{1}})
				}
			})
		}
		pub.SetState("connected")
		s.List()
		tracks.Wait()
		pub.Close()
	}
	close(stop)
	s.Close()
	subs.Wait()
}

// follow reads sub to its end and checks the order of what it gets.
func follow(t *testing.T, sub *Subscription) {
	next := map[media.TrackID]uint16{}
	var joined bool
	dst := make([]Item, 32)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		n, err := sub.Read(ctx, dst)
		cancel()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("Read: %v", err)
			}
			return
		}
		for _, it := range dst[:n] {
			switch {
			case it.Joined != nil:
				if joined {
					t.Error("Joined twice")
				}
				joined = true
				clear(next)
			case it.Left:
				if !joined {
					t.Error("Left without Joined")
				}
				joined = false
			case it.Packet != nil:
				if want := next[it.Packet.Track]; it.Packet.Seq < want || !joined {
					t.Errorf("packet %d of track %d after %d, joined %v", it.Packet.Seq, it.Packet.Track, want, joined)
				}
				next[it.Packet.Track] = it.Packet.Seq + 1
			}
		}
		sub.RequestKeyFrame(0)
	}
}

// churn subscribes and leaves until stop or s is closed.
func churn(s *Streams, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		st, err := s.Get("cam")
		if err != nil {
			return // closed meanwhile
		}
		sub, err := st.Subscribe(SubscribeOptions{})
		if err != nil {
			return
		}
		sub.SetState("connected")
		sub.RequestKeyFrame(0)
		sub.Close()
	}
}

func BenchmarkWritePacket(b *testing.B) {
	s := New(Options{})
	defer s.Close()
	pub, err := s.Publish("cam", SessionInfo{}, avTracks, &publisher{})
	if err != nil {
		b.Fatal(err)
	}
	st, err := s.Get("cam")
	if err != nil {
		b.Fatal(err)
	}
	sub, err := st.Subscribe(SubscribeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		dst := make([]Item, 256)
		for {
			if _, err := sub.Read(context.Background(), dst); err != nil {
				return
			}
		}
	}()
	pkt := packet(1, 1200)
	b.ReportAllocs()
	for b.Loop() {
		pub.WritePacket(pkt)
	}
}
