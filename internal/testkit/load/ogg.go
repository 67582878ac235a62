package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/media"
)

const (
	opusClock     = 48000 // RFC 7587 4.1: whatever the encoder's input was
	opusChannels  = 2     // RFC 7587 7: always 2 in a=rtpmap
	oggPageHeader = 27
)

// parseOgg reads an Ogg file with one logical stream of Opus (RFC 3533, RFC 7845).
func parseOgg(data []byte) (*Source, error) {
	packets, err := oggPackets(data)
	if err != nil {
		return nil, err
	}
	if len(packets) < 2 || !bytes.HasPrefix(packets[0], []byte("OpusHead")) || !bytes.HasPrefix(packets[1], []byte("OpusTags")) {
		return nil, errors.New("the Ogg file is not an Opus stream")
	}
	s, err := opusSource(packets[0])
	if err != nil {
		return nil, err
	}
	for i, p := range packets[2:] {
		d, ok := opusDuration(p)
		if !ok {
			return nil, fmt.Errorf("packet %d is not a valid Opus packet", i)
		}
		s.Units = append(s.Units, AccessUnit{Data: p, Sample: p, Key: true, Duration: d})
	}
	return s, nil
}

// opusSource returns a Source without units for an identification header (RFC
// 7845 5.1). What has a channel mapping table is published as multichannel Opus,
// with the parameters that browsers define for it.
func opusSource(head []byte) (*Source, error) {
	const family, table = 18, 21 // octets
	s := &Source{Kind: media.Audio, Codec: "opus", ClockRate: opusClock, Channels: opusChannels}
	if len(head) > family && head[family] == 0 {
		return s, nil
	}
	if len(head) < table || len(head) != table+int(head[9]) {
		return nil, errors.New("the Opus header is cut off")
	}
	var mapping []string
	for _, n := range head[table:] {
		mapping = append(mapping, strconv.Itoa(int(n)))
	}
	s.Codec, s.Channels = "multiopus", uint16(head[9])
	s.Fmtp = fmt.Sprintf("channel_mapping=%s;coupled_streams=%d;minptime=10;num_streams=%d;useinbandfec=1",
		strings.Join(mapping, ","), head[20], head[19])
	return s, nil
}

// oggPackets joins the lacing values of all pages to packets (RFC 3533 5 and
// 6). Checksums are not verified: a damaged test file shows itself elsewhere.
func oggPackets(data []byte) ([][]byte, error) {
	var (
		packets [][]byte
		packet  []byte
	)
	for len(data) > 0 {
		if len(data) < oggPageHeader || !bytes.HasPrefix(data, []byte("OggS")) {
			return nil, errors.New("broken Ogg page header")
		}
		count := int(data[oggPageHeader-1])
		if len(data) < oggPageHeader+count {
			return nil, errors.New("ogg page is cut off")
		}
		lacing := data[oggPageHeader : oggPageHeader+count]
		data = data[oggPageHeader+count:]
		for _, n := range lacing {
			if int(n) > len(data) {
				return nil, errors.New("ogg page is cut off")
			}
			packet = append(packet, data[:n]...)
			data = data[n:]
			if n < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
	}
	return packets, nil
}

// opusDuration returns the duration of an Opus packet in ticks of 48 kHz, from
// its table of contents byte (RFC 6716 3.1 and 3.2).
func opusDuration(p []byte) (media.Ticks, bool) {
	if len(p) == 0 {
		return 0, false
	}
	var frame media.Ticks
	switch config := p[0] >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = []media.Ticks{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = []media.Ticks{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = []media.Ticks{120, 240, 480, 960}[config&3]
	}
	switch p[0] & 3 {
	case 0:
		return frame, true
	case 1, 2:
		return 2 * frame, true
	}
	if len(p) < 2 {
		return 0, false
	}
	d := frame * media.Ticks(p[1]&0x3f)
	return d, d > 0 && d <= 5760 // at most 120 ms
}
