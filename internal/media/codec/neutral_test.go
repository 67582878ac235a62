package codec

import (
	"bytes"
	"testing"

	"github.com/live777/recorder/internal/media"
)

func TestNeutral(t *testing.T) {
	const multi = "channel_mapping=0,4,1,2,3,5;num_streams=4;coupled_streams=2"
	for _, c := range All() {
		track := media.Track{Kind: c.Kind, Codec: c.Name, ClockRate: c.ClockRate, Channels: c.Channels}
		if c.Check != nil {
			track.Channels, track.Fmtp = 6, multi
		}
		u, ok := c.Neutral(track)
		if ok != c.Recordable() {
			t.Errorf("%s: Neutral reports %v", c.Name, ok)
		}
		if !ok {
			continue
		}
		if again, ok := c.Neutral(track); !ok || !bytes.Equal(again.Data, u.Data) || !again.Format.Equal(u.Format) {
			t.Errorf("%s: another neutral unit the second time: %v", c.Name, ok)
		}
		if len(u.Data) == 0 || len(u.Data) > 512 || !u.Key || u.Format == nil || u.Format.Codec != c.Name {
			t.Errorf("%s: neutral unit %+v", c.Name, u)
		}
		if c.Kind == media.Audio {
			a, err := c.NewAssembler(track)
			if err != nil {
				t.Fatal(err)
			}
			own, err := a.Assemble([][]byte{u.Data})
			if err != nil || !own.Format.Equal(u.Format) || u.Duration != 960 {
				t.Errorf("%s: silence of %d ticks in format %+v; the track's is %+v (%v)", c.Name, u.Duration, u.Format, own.Format, err)
			}
		} else if u.Format.Width != 320 || u.Format.Height != 180 {
			t.Errorf("%s: the neutral picture has %dx%d", c.Name, u.Format.Width, u.Format.Height)
		}
	}
}

// What a sender says of its own stream is not mixed into the neutral picture,
// and silence of a layout that cannot be recorded is none.
func TestNeutralIgnoresParameters(t *testing.T) {
	c, _ := Lookup("H264")
	plain, _ := c.Neutral(media.Track{})
	u, ok := c.Neutral(media.Track{Fmtp: "packetization-mode=2;sprop-parameter-sets=Z0LADdkBQZ+fARAAAAMAEAAAAwFA8UKkgA==,aMuBEsg="})
	if !ok || !u.Format.Equal(plain.Format) {
		t.Errorf("neutral picture with the sender's parameters: %+v, %v", u.Format, ok)
	}
	c, _ = Lookup("multiopus")
	if _, ok := c.Neutral(media.Track{Channels: 6, Fmtp: "num_streams=1"}); ok {
		t.Error("silence of a layout without a mapping")
	}
}
