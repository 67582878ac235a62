package live

import (
	"testing"

	"github.com/live777/recorder/internal/media"
)

// What publishers send is counted once, what is taken by each viewer, and by none
// that is no viewer.
func TestTraffic(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	pub := publish(t, s, "camera", &publisher{})
	st, err := s.Get("camera")
	if err != nil {
		t.Fatal(err)
	}
	var subs []*Subscription
	for _, session := range []*SessionInfo{{ID: "a"}, {ID: "b"}, nil} {
		sub, err := st.Subscribe(SubscribeOptions{Session: session})
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	for _, size := range []int{100, 20} {
		pub.WritePacket(&media.Packet{Payload: make([]byte, size)})
	}
	pub.WriteReport(&media.SenderReport{})
	pub.Close()
	pub.WritePacket(&media.Packet{Payload: make([]byte, 7)})
	for _, sub := range subs {
		if n, err := sub.Read(t.Context(), make([]Item, 10)); n < 4 || err != nil {
			t.Fatal(n, err)
		}
	}
	if received, sent := s.Traffic(); received != 120 || sent != 240 {
		t.Errorf("%d bytes came and %d left, not 120 and 240", received, sent)
	}
	if got := s.TrafficOfStreams(); len(got) != 1 || got[0] != (StreamTraffic{Stream: "camera", Packets: 2, Bytes: 120}) {
		t.Errorf("of the stream came %+v", got)
	}
}
