package codec

import (
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

// visualEntry builds a VisualSampleEntry (ISO/IEC 14496-12 12.1.3) with the
// box config.
func visualEntry(name string, f *media.Format, config mp4.Box) *mp4.VisualSampleEntryBox {
	e := mp4.CreateVisualSampleEntryBox(name, uint16(f.Width), uint16(f.Height), config)
	e.CompressorName = "" // says nothing about the stream that the box does not
	if f.SAR != (media.Ratio{}) {
		e.AddChild(&mp4.PaspBox{HSpacing: uint32(f.SAR.Num), VSpacing: uint32(f.SAR.Den)})
	}
	return e
}

// maxRatio bounds the numbers of a shape of pixels that is believed, and the shape
// itself: no camera, disc or broadcast has a longer one.
const maxRatio = 8

// ratio returns num:den in lowest terms as the shape of pixels: zero where they are
// square, where it is not known, and where it is absurd.
func ratio[N uint | uint32](num, den N) media.Ratio {
	if num == 0 || den == 0 || num == den || num/den > maxRatio || den/num > maxRatio {
		return media.Ratio{}
	}
	a, b := num, den
	for b != 0 {
		a, b = b, a%b
	}
	return media.Ratio{Num: int(num / a), Den: int(den / a)}
}

// renderRatio returns the shape of pixels by the size at which pictures of another
// size are to be shown. A scaled picture of nearly the same shape has square ones:
// its size was rounded.
func renderRatio(width, height, renderWidth, renderHeight uint32) media.Ratio {
	num, den := uint64(renderWidth)*uint64(height), uint64(renderHeight)*uint64(width)
	if num > den-den/100 && num < den+den/100 {
		return media.Ratio{}
	}
	for num > 1<<16-1 || den > 1<<16-1 {
		num, den = num/2, den/2
	}
	return ratio(uint(num), uint(den))
}

// chromaOf returns the format of chroma samples by how they are subsampled.
func chromaOf(x, y byte, mono bool) media.Chroma {
	switch {
	case mono:
		return media.ChromaNone
	case x == 0:
		return media.Chroma444
	case y == 0:
		return media.Chroma422
	}
	return media.Chroma420
}
