package codec

import (
	"bytes"
	_ "embed"
	"fmt"

	"github.com/Eyevinn/mp4ff/av1"
	"github.com/Eyevinn/mp4ff/avc"

	"github.com/live777/recorder/internal/media"
)

// The neutral pictures: one black key frame of 320x180, 8 bits, 4:2:0, of each
// video codec, made by neutral/make.sh.
var (
	//go:embed neutral/black.h264
	neutralH264 []byte
	//go:embed neutral/black.h265
	neutralH265 []byte
	//go:embed neutral/black.vp8
	neutralVP8 []byte
	//go:embed neutral/black.vp9
	neutralVP9 []byte
	//go:embed neutral/black.av1
	neutralAV1 []byte
)

// opusSilence is a frame of 20 ms of silence as libopus codes it: fullband CELT,
// without the TOC byte.
var opusSilence = []byte{0xff, 0xfe}

const (
	opusSilenceMono   = 31 << 3
	opusSilenceStereo = 31<<3 | 4
)

// Neutral returns what stands in for media of track t before any has come: a
// black picture, 20 ms of silence. It is a unit as an assembler makes it, with
// its format. That of audio is the format of the track, so that the track goes
// on where the silence ends; that of a picture is its own. It reports false for a
// codec that cannot be recorded, and where a track of t's parameters cannot.
func (c *Codec) Neutral(t media.Track) (Unit, bool) {
	if c.neutral == nil {
		return Unit{}, false
	}
	if c.Kind == media.Video {
		// What the sender said of its own pictures does not belong to this one.
		t = media.Track{Kind: c.Kind, Codec: c.Name, ClockRate: c.ClockRate}
	}
	u, err := c.assembleNeutral(t)
	return u, err == nil
}

// assembleNeutral makes the unit by the way of a sender's packets: there is one
// place that knows what samples and formats look like.
func (c *Codec) assembleNeutral(t media.Track) (Unit, error) {
	payloads, err := c.neutral(t)
	if err != nil {
		return Unit{}, err
	}
	a, err := c.NewAssembler(t)
	if err != nil {
		return Unit{}, fmt.Errorf("prepare %s: %w", c.Name, err)
	}
	u, err := a.Assemble(payloads)
	if err != nil {
		return Unit{}, fmt.Errorf("assemble the neutral unit: %w", err)
	}
	return u, nil
}

// neutralNALs has the payloads of a byte stream: NAL units that fit a packet.
func neutralNALs(stream []byte) func(media.Track) ([][]byte, error) {
	return func(media.Track) ([][]byte, error) { return avc.ExtractNalusFromByteStream(stream), nil }
}

// neutralFrame has the payload of a frame behind a descriptor.
func neutralFrame(descriptor byte, frame []byte) func(media.Track) ([][]byte, error) {
	return func(media.Track) ([][]byte, error) { return [][]byte{append([]byte{descriptor}, frame...)}, nil }
}

// neutralOBUs has the payload of OBUs with sizes: elements with lengths.
func neutralOBUs(obus []byte) func(media.Track) ([][]byte, error) {
	return func(media.Track) ([][]byte, error) {
		payload := []byte{av1NewSequence}
		for rest := obus; len(rest) > 0; {
			n, size, err := av1.ReadLEB128(rest[1:])
			if err != nil {
				return nil, fmt.Errorf("neutral picture: %w", err)
			}
			end := 1 + size + int(n)
			payload = append(appendLEB128(payload, end), rest[:end]...)
			rest = rest[end:]
		}
		return [][]byte{payload}, nil
	}
}

func neutralOpus(media.Track) ([][]byte, error) {
	return [][]byte{append([]byte{opusSilenceStereo}, opusSilence...)}, nil
}

// neutralMultiopus has silence for each stream, the coupled ones first.
func neutralMultiopus(t media.Track) ([][]byte, error) {
	l, err := parseOpusLayout(t.Channels, t.Fmtp)
	if err != nil {
		return nil, err
	}
	var p bytes.Buffer
	for i := range l.streams {
		toc := byte(opusSilenceMono)
		if i < l.coupled {
			toc = opusSilenceStereo
		}
		p.WriteByte(toc)
		if i < l.streams-1 {
			p.WriteByte(byte(len(opusSilence)))
		}
		p.Write(opusSilence)
	}
	return [][]byte{p.Bytes()}, nil
}
