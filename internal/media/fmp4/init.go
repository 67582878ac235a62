// Package fmp4 writes CMAF (ISO/IEC 23000-19) headers and chunks as bytes: what
// goes into init segments and media segments, and nothing about files or time.
package fmp4

import (
	"fmt"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// movieTimescale is mvhd's timescale in Hz. Nothing is timed in it: sample times
// use the track's own timescale.
const movieTimescale = 1000

// Init returns the CMAF header (init segment) of a track: ftyp and moov, in the
// box order of ISO/IEC 23000-19 7.3.1. trackID is the number that the track's
// chunks carry, from 1. A format that has no MP4 sample entry here is a
// fault.Unprocessable error.
func Init(trackID uint32, f *media.Format) ([]byte, error) {
	c, ok := codec.Lookup(f.Codec)
	if !ok || c.SampleEntry == nil {
		return nil, fault.Errorf(fault.Unprocessable, "codec %q cannot be stored in MP4", f.Codec)
	}
	entry, err := c.SampleEntry(f)
	if err != nil {
		return nil, fmt.Errorf("build %s sample entry: %w", f.Codec, err)
	}

	mvhd := mp4.CreateMvhd()
	mvhd.Timescale = movieTimescale
	mvhd.NextTrackID = trackID + 1
	mvex := mp4.NewMvexBox()
	mvex.AddChild(mp4.CreateTrex(trackID))

	moov := mp4.NewMoovBox()
	moov.AddChild(mvhd)
	moov.AddChild(track(trackID, c.Kind, f, entry))
	moov.AddChild(mvex)

	init := mp4.NewMP4Init()
	init.AddChild(mp4.NewFtyp("cmf2", 0, []string{"cmf2", "cmfc", "iso6", "dash"}))
	init.AddChild(moov)
	sw := bits.NewFixedSliceWriter(int(init.Size()))
	if err := init.EncodeSW(sw); err != nil {
		return nil, fmt.Errorf("encode %s init segment: %w", f.Codec, err)
	}
	return sw.Bytes(), nil
}

// track builds the trak box. It has no edit list: a recorder joins a running
// encoder, so there is no priming to trim, and an edit would shift the samples
// away from the times that the MPD addresses (ISO/IEC 23009-1 7.3.2).
func track(trackID uint32, kind media.Kind, f *media.Format, entry mp4.Box) *mp4.TrakBox {
	tkhd := mp4.CreateTkhd()
	tkhd.TrackID = trackID
	mdhd := &mp4.MdhdBox{Timescale: f.Timescale}
	mdhd.SetLanguage("und")
	hdlr := &mp4.HdlrBox{HandlerType: "vide", Name: kind.String()}
	var header mp4.Box = mp4.CreateVmhd()
	if kind == media.Audio {
		tkhd.Volume = 0x0100 // 1.0 in 8.8 fixed point
		hdlr.HandlerType = "soun"
		header = mp4.CreateSmhd()
	} else {
		tkhd.Width = displayWidth(f)
		tkhd.Height = mp4.Fixed32(uint32(f.Height) << 16)
	}

	dinf := &mp4.DinfBox{}
	dinf.AddChild(mp4.CreateDref())
	minf := mp4.NewMinfBox()
	minf.AddChild(header)
	minf.AddChild(dinf)
	minf.AddChild(sampleTable(kind, entry))

	mdia := &mp4.MdiaBox{}
	mdia.AddChild(mdhd)
	mdia.AddChild(hdlr)
	mdia.AddChild(minf)

	trak := &mp4.TrakBox{}
	trak.AddChild(tkhd)
	trak.AddChild(mdia)
	return trak
}

// displayWidth is the width of the picture in square pixels of its height, in 16.16
// fixed point.
func displayWidth(f *media.Format) mp4.Fixed32 {
	width := uint64(f.Width) << 16
	if f.SAR != (media.Ratio{}) {
		width = width * uint64(f.SAR.Num) / uint64(f.SAR.Den)
	}
	return mp4.Fixed32(min(width, 1<<32-1))
}

// sampleTable builds the stbl box: one sample entry and no samples, which are
// all in movie fragments.
func sampleTable(kind media.Kind, entry mp4.Box) *mp4.StblBox {
	stsd := mp4.NewStsdBox()
	stsd.AddChild(entry)
	stbl := mp4.NewStblBox()
	stbl.AddChild(stsd)
	stbl.AddChild(&mp4.SttsBox{})
	stbl.AddChild(&mp4.StscBox{})
	stbl.AddChild(&mp4.StszBox{})
	stbl.AddChild(&mp4.StcoBox{})
	if kind == media.Audio {
		stbl.AddChild(rollGroups())
	}
	return stbl
}

// Every Opus packet is a sync sample, but a decoder that starts at one needs
// preRoll of earlier audio before its output is right. Opus in ISOBMFF 4.4 asks
// for that in every track, as a roll distance in samples.
const preRoll = 3840 // 80 ms at Opus's 48 kHz

// rollDurations are the sample durations (ticks of 48 kHz) for which the init
// segment has a roll group, longest first: 20 ms or more, 10, 5 and 2.5 ms
// (RFC 6716 2.1.4). An init segment is written before the packets' duration is
// known and a sender may change it, so that all groups are described and each
// chunk names the one it is in.
var rollDurations = [...]uint32{960, 480, 240, 120}

// rollGroups describes the groups of rollDurations (ISO/IEC 14496-12 8.9.3,
// 10.1.1).
func rollGroups() *mp4.SgpdBox {
	sgpd := &mp4.SgpdBox{Version: 1, GroupingType: "roll", DefaultLength: 2}
	for _, d := range rollDurations {
		sgpd.SampleGroupEntries = append(sgpd.SampleGroupEntries,
			&mp4.RollSampleGroupEntry{RollDistance: -int16(preRoll / d)})
	}
	return sgpd
}

// RollGroup returns the index, from 1, of the group whose pre-roll is long
// enough for samples of at least shortest ticks.
func RollGroup(shortest uint32) uint32 {
	for i, d := range rollDurations {
		if shortest >= d {
			return uint32(i + 1)
		}
	}
	return uint32(len(rollDurations))
}
