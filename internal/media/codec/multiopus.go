package codec

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/media"
)

// maxOpusChannels is the most that channel mapping family 1 has an order for
// (RFC 7845 5.1.1.2).
const maxOpusChannels = 8

// opusLayout says how the streams of a multichannel packet become channels (RFC
// 7845 5.1.1): the first coupled ones are stereo, the others mono, and mapping
// has for each output channel the number of the decoded one, or 255 for silence.
type opusLayout struct {
	streams, coupled int
	mapping          []byte
}

// vorbisLayouts are those that encoders make of the channels in Vorbis order,
// by the number of channels less one (RFC 7845 5.1.1.2).
var vorbisLayouts = [maxOpusChannels]opusLayout{
	{1, 0, []byte{0}},
	{1, 1, []byte{0, 1}},
	{2, 1, []byte{0, 2, 1}},
	{2, 2, []byte{0, 1, 2, 3}},
	{3, 2, []byte{0, 4, 1, 2, 3}},
	{4, 2, []byte{0, 4, 1, 2, 3, 5}},
	{4, 3, []byte{0, 4, 1, 2, 3, 5, 6}},
	{5, 3, []byte{0, 6, 1, 2, 3, 4, 5, 7}},
}

// parseOpusLayout reads the layout of a track with channels channels from its
// a=fmtp parameters, which browsers define: channel_mapping, num_streams and
// coupled_streams. No RFC has them.
func parseOpusLayout(channels uint16, fmtp string) (opusLayout, error) {
	var l opusLayout
	if channels < 1 || channels > maxOpusChannels {
		return l, fmt.Errorf("multiopus track with %d channels: it must have 1 to %d", channels, maxOpusChannels)
	}
	var err error
	if l.streams, err = opusCount(fmtp, "num_streams"); err != nil {
		return l, err
	}
	if l.coupled, err = opusCount(fmtp, "coupled_streams"); err != nil {
		return l, err
	}
	if l.streams < 1 || l.coupled > l.streams || l.streams+l.coupled > 255 {
		return l, fmt.Errorf("multiopus track with num_streams=%d and coupled_streams=%d: at least one stream, no more coupled ones than streams and at most 255 decoded channels are allowed",
			l.streams, l.coupled)
	}
	mapping, ok := fmtpParam(fmtp, "channel_mapping")
	if !ok {
		return l, errors.New("multiopus track without channel_mapping in a=fmtp")
	}
	for entry := range strings.SplitSeq(mapping, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(entry), 10, 8)
		if err != nil || n != 255 && int(n) >= l.streams+l.coupled {
			return l, fmt.Errorf("multiopus track with %q in channel_mapping: the streams decode to channels 0 to %d, and 255 is silence",
				entry, l.streams+l.coupled-1)
		}
		if l.mapping = append(l.mapping, byte(n)); len(l.mapping) > int(channels) {
			break
		}
	}
	if len(l.mapping) != int(channels) {
		return l, fmt.Errorf("multiopus track with %d channels: channel_mapping=%.50s must have as many entries", channels, mapping)
	}
	return l, nil
}

func opusCount(fmtp, name string) (int, error) {
	v, ok := fmtpParam(fmtp, name)
	if !ok {
		return 0, fmt.Errorf("multiopus track without %s in a=fmtp", name)
	}
	n, err := strconv.ParseUint(v, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("multiopus track with %s=%.50s: it must be a number up to 255", name, v)
	}
	return int(n), nil
}

// checkMultiopus implements Codec.Check.
func checkMultiopus(channels uint16, fmtp string) error {
	_, err := parseOpusLayout(channels, fmtp)
	return err
}

// multiopusAssembler makes an access unit of each packet, which has a packet of
// each stream, all but the last of them self-delimited (RFC 7845 3).
type multiopusAssembler struct {
	format  *media.Format
	streams int
}

func newMultiopus(t media.Track) (Assembler, error) {
	if t.ClockRate != 0 && t.ClockRate != opusClock {
		return nil, fmt.Errorf("multiopus track with a clock rate of %d Hz: it must be %d", t.ClockRate, opusClock)
	}
	l, err := parseOpusLayout(t.Channels, t.Fmtp)
	if err != nil {
		return nil, err
	}
	return &multiopusAssembler{format: l.format(), streams: l.streams}, nil
}

// format describes a decoder of the layout. One that is not the usual of the
// Vorbis order makes no promise about which channel is which: family 255.
func (l *opusLayout) format() *media.Format {
	channels, family := byte(len(l.mapping)), byte(255)
	if v := &vorbisLayouts[channels-1]; l.streams == v.streams && l.coupled == v.coupled && slices.Equal(l.mapping, v.mapping) {
		family = 1
	}
	p := append(appendDops(nil, channels, family), byte(l.streams), byte(l.coupled))
	return &media.Format{
		Codec: "multiopus", RFC6381: "opus", Timescale: opusClock, Channels: int(channels), Private: append(p, l.mapping...),
	}
}

func (a *multiopusAssembler) Starts([][]byte) bool { return true }

func (a *multiopusAssembler) Assemble(payloads [][]byte) (Unit, error) {
	if len(payloads) != 1 {
		return Unit{}, fmt.Errorf("multiopus: %d packets share a timestamp, a packet is a whole access unit", len(payloads))
	}
	var duration media.Ticks
	rest := payloads[0]
	for i := range a.streams {
		size, d, err := readOpusPacket(rest, i < a.streams-1)
		if err != nil {
			return Unit{}, fmt.Errorf("multiopus stream %d of %d: %w", i+1, a.streams, err)
		}
		if i > 0 && d != duration {
			return Unit{}, fmt.Errorf("multiopus stream %d of %d lasts %d ticks, the first %d", i+1, a.streams, d, duration)
		}
		duration, rest = d, rest[size:]
	}
	return Unit{Data: bytes.Clone(payloads[0]), Key: true, Format: a.format, Duration: duration, Reorder: InOrder}, nil
}

// multiopusFiller is opusFiller with a frame without data for each stream of f.
// The frames have one duration, that of the first stream, and so they have its
// mode where the stream's own has another duration.
func multiopusFiller(f *media.Format, packet []byte) ([]byte, media.Ticks) {
	if len(packet) == 0 || len(f.Private) <= dopsSize {
		return nil, 0
	}
	first, streams := packet[0]&^3, int(f.Private[dopsSize])
	duration := opusFrameDuration(first)
	filler := make([]byte, 0, 2*streams-1)
	for i := range streams {
		toc := first
		if len(packet) > 0 && opusFrameDuration(packet[0]) == duration {
			toc = packet[0] &^ 3
		}
		if filler = append(filler, toc); i == streams-1 {
			break
		}
		filler = append(filler, 0) // the frame's length
		size, _, err := readOpusPacket(packet, true)
		if err != nil {
			size = len(packet)
		}
		packet = packet[size:]
	}
	return filler, duration
}
