package codec

import (
	"fmt"

	"github.com/Eyevinn/mp4ff/av1"
	mp4bits "github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

// av1Format builds the AV1CodecConfigurationRecord (AV1 Codec ISO Media File
// Format Binding 2.3) and the rest of a format. header is a sequence header OBU
// as av1Header makes it, frame the header of the key frame.
func av1Format(header, frame []byte) (*media.Format, error) {
	_, n, err := av1.ReadLEB128(header[1:])
	if err != nil {
		return nil, fmt.Errorf("AV1: sequence header: %w", err)
	}
	h, err := guard("AV1: sequence header", header[1+n:], av1.ParseSequenceHeader)
	if err != nil {
		return nil, err
	}
	width, height := h.Width(), h.Height()
	if width > maxDimension || height > maxDimension {
		return nil, fmt.Errorf("AV1: a picture of %dx%d does not fit a sample entry", width, height)
	}
	if h.SeqProfile > 2 {
		return nil, fmt.Errorf("AV1: sequence header with the reserved profile %d", h.SeqProfile)
	}
	if h.SeqLevelIdx0 == 0 {
		h.SeqLevelIdx0 = av1Level(width, height)
	}
	rec := av1.CodecConfRecFromSequenceHeader(h, header)
	sw := mp4bits.NewFixedSliceWriter(int(rec.Size()))
	if err := rec.EncodeSW(sw); err != nil {
		return nil, fmt.Errorf("encode av1C: %w", err)
	}
	return &media.Format{
		Codec:     "AV1",
		RFC6381:   rec.CodecString("av01"),
		Timescale: videoClock,
		Width:     int(width),
		Height:    int(height),
		SAR:       av1Shape(h, frame),
		BitDepth:  int(h.BitDepth),
		Chroma:    chromaOf(h.SubsamplingX, h.SubsamplingY, h.MonoChrome),
		Colour: media.Colour{
			Primaries: h.ColorPrimaries, Transfer: h.TransferCharacteristics, Matrix: h.MatrixCoefficients, FullRange: h.ColorRange,
		},
		Private: sw.Bytes(),
	}, nil
}

// av1Shape reads the shape of pixels from the size at which a key frame is to be
// shown (AV1 bitstream specification 5.9.6, render_size). What is malformed says
// nothing of it.
func av1Shape(h *av1.SequenceHeader, frame []byte) media.Ratio {
	f, err := guard("AV1: frame header", frame, func(frame []byte) (*av1.FrameHeader, error) {
		d, err := av1.NewFrameHeaderDecoder(h)
		if err != nil {
			return nil, err
		}
		return d.ParseFrameHeader(0, 0, frame)
	})
	if err != nil {
		return media.Ratio{}
	}
	return renderRatio(f.UpscaledWidth, f.FrameHeight, f.RenderWidth, f.RenderHeight)
}

// av1Levels are the largest pictures of the levels that differ in them (AV1
// bitstream specification annex A.3). Each holds 30 of them a second.
var av1Levels = []struct {
	index         byte // seq_level_idx
	pixels        uint64
	width, height uint32
}{
	{0, 147456, 2048, 1152},
	{1, 278784, 2816, 1584},
	{4, 665856, 4352, 2448},
	{5, 1065024, 5504, 3096},
	{8, 2359296, 6144, 3456},
	{12, 8912896, 8192, 4352},
	{16, 35651584, 16384, 8704},
}

// av1Level returns the lowest seq_level_idx for a picture size. Some senders of
// scalable streams leave the level at 0 whatever they send, and players refuse
// or accept a stream by its level.
func av1Level(width, height uint32) byte {
	for _, l := range av1Levels {
		if width <= l.width && height <= l.height && uint64(width)*uint64(height) <= l.pixels {
			return l.index
		}
	}
	return 31 // no limits
}

// av01Entry builds the av01 sample entry (AV1 Codec ISO Media File Format
// Binding 2.2).
func av01Entry(f *media.Format) (mp4.Box, error) {
	rec, err := av1.DecodeAV1CodecConfRec(f.Private)
	if err != nil {
		return nil, fmt.Errorf("AV1 format: %w", err)
	}
	return visualEntry("av01", f, &mp4.Av1CBox{CodecConfRec: rec}), nil
}
