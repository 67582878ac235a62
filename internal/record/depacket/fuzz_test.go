package depacket

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// FuzzPush pushes packets of 8 bytes of data each: what to do, sequence number
// step, timestamp step, time step, and the start of a payload.
func FuzzPush(f *testing.F) {
	f.Add(false, []byte{1, 0, 0, 0, 0x67, 1, 0, 33, 0x80, 0, 1, 30, 0x41, 0xe0, 0, 1})
	f.Add(false, []byte{1, 0, 0, 0, 0x06, 1, 1, 0x80, 0x80, 0, 3, 20, 0x41, 0xe0, 0, 1, 0x80, 0, 255, 20, 0x01, 0xe0, 0, 1}) // SEI first, a picture shown earlier
	f.Add(true, []byte{0x80, 0, 1, 20, 0xfc, 1, 2, 3, 0x80, 0, 2, 20, 0xfc, 1, 2, 3})
	f.Fuzz(func(t *testing.T, audio bool, data []byte) {
		track, name := videoInfo, "H264"
		if audio {
			track, name = audioInfo, "opus"
		}
		c, _ := codec.Lookup(name)
		a, err := c.NewAssembler(track)
		if err != nil {
			t.Fatal(err)
		}
		d := New(track, a, Options{MaxBuffered: 100})
		now := epoch
		seq, ts := uint16(65500), uint32(1<<32-3000)
		needKey := !audio
		check := func(results []Result) {
			for _, r := range results {
				switch {
				case r.Lost != (r.Frame == nil), r.Resync && r.Err == nil:
					t.Fatalf("result %+v", r)
				case r.Lost:
					needKey = !audio
				case needKey && !r.Frame.Key:
					t.Fatal("a frame that is no key frame follows a loss")
				case r.Frame.Format == nil || len(r.Frame.Data) == 0:
					t.Fatalf("frame %+v", r.Frame)
				default:
					needKey = false
				}
			}
		}
		pushed := int64(0)
		for ; len(data) >= 8; data = data[8:] {
			op := data[0]
			seq += uint16(int16(int8(data[1]))) + 1
			ts += uint32(data[2]) * 960
			now = now.Add(time.Duration(data[3]) * time.Millisecond)
			switch op & 7 {
			case 1:
				seq += binary.BigEndian.Uint16(data[4:])
			case 2:
				check(d.Advance(now, nil))
			case 3:
				check(d.Flush(nil))
			}
			check(d.Push(&media.Packet{
				SSRC: uint32(op >> 5 & 1), Seq: seq, Timestamp: ts, Marker: op&0x80 != 0,
				Payload: data[4 : 4+int(op>>3&3)+1], Arrival: now,
			}, nil))
			pushed++
			if span := d.order.high - d.order.first; span >= 100 {
				t.Fatalf("%d sequence numbers wait", span)
			}
		}
		check(d.Flush(nil))
		s := d.Stats()
		if s.PacketsReceived+s.PacketsDuplicate+s.PacketsDiscarded != pushed || s.PacketsLost < 0 {
			t.Fatalf("%d packets were pushed, stats %+v", pushed, s)
		}
		if d.order.buffered != 0 || len(d.units.payloads) != 0 {
			t.Fatal("packets are held after Flush")
		}
	})
}
