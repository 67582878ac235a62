package movie

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

// node is a box, or a part of one, of the head of an MP4 file. The tables of samples, which
// are most of it, are only as long as they will be: they are made when they are read.
type node struct {
	name     string // of a box; empty: bytes, or a table
	children []node
	bytes    []byte
	table    table
	track    *track
	size     int64
}

// measure finds out how long a node is.
func (n *node) measure() int64 {
	switch {
	case n.table != noTable:
		n.size = n.table.width() * int64(n.table.length(n.track))
	case n.name == "":
		n.size = int64(len(n.bytes))
	default:
		n.size = boxHeader
		for i := range n.children {
			n.size += n.children[i].measure()
		}
	}
	return n.size
}

// boxHeader is the size of a box's size and name.
const boxHeader = 8

// section is consecutive bytes of the head of a file: as they are, or those of a table.
type section struct {
	at, size int64
	bytes    []byte
	table    table
	track    *track
}

// sections collects those of a head.
type sections struct {
	list []section
	size int64
}

// put adds bytes.
func (x *sections) put(b []byte) {
	if n := len(x.list); n > 0 && x.list[n-1].table == noTable {
		x.list[n-1].bytes = append(x.list[n-1].bytes, b...)
		x.list[n-1].size += int64(len(b))
	} else {
		x.list = append(x.list, section{at: x.size, size: int64(len(b)), bytes: bytes.Clone(b)})
	}
	x.size += int64(len(b))
}

// add adds a node that was measured.
func (x *sections) add(n *node) {
	switch {
	case n.table != noTable:
		x.list = append(x.list, section{at: x.size, size: n.size, table: n.table, track: n.track})
		x.size += n.size
	case n.name == "":
		x.put(n.bytes)
	default:
		x.put(append(binary.BigEndian.AppendUint32(nil, uint32(n.size)), n.name...))
		for i := range n.children {
			x.add(&n.children[i])
		}
	}
}

// encoded returns boxes as they are written.
func encoded(boxes ...mp4.Box) (n node, err error) {
	var b bytes.Buffer
	for _, one := range boxes {
		if err := one.Encode(&b); err != nil {
			return n, fmt.Errorf("encode %s: %w", one.Type(), err)
		}
	}
	n.bytes = b.Bytes()
	return n, nil
}

// tableBox returns a box with a table of a track, behind numbers.
func (t *track) tableBox(name string, k table, numbers ...uint32) node {
	var b []byte
	for _, v := range append(numbers, k.length(t)) {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return node{name: name, children: []node{{bytes: b}, {table: k, track: t}}}
}

// box returns the trak box, for a movie that begins at start, which may be after the
// track's own beginning. shown is when the track ends in it.
func (t *track) box(id, timescale uint32, start int64, title Title) (trak node, shown uint64, err error) {
	end := min(t.end, t.stop) // what is decoded behind it is not shown
	length := scale(int64(end-t.start), t.timescale, timescale)
	// From the movie's first instant on, so that no track is moved by rounding twice.
	wait, skip := int64(0), int64(0)
	if late := t.startTime() - start; late >= 0 {
		wait = int64(scale(late, 1_000_000_000, timescale))
	} else {
		skip = int64(media.TicksOf(time.Duration(-late), t.timescale))
		length = scale(max(int64(end-t.start)-skip, 0), t.timescale, timescale)
	}
	shown = uint64(wait) + length

	tkhd, mdhd := t.trak.Tkhd, t.trak.Mdia.Mdhd
	tkhd.Version, tkhd.TrackID, tkhd.Duration = 1, id, shown
	tkhd.SetCreationTimeS(title.Start.Unix())
	tkhd.SetModificationTimeS(title.Start.Unix())
	mdhd.Version, mdhd.Duration = 1, uint64(t.end-t.start)
	mdhd.SetCreationTimeS(title.Start.Unix())
	mdhd.SetModificationTimeS(title.Start.Unix())

	boxes := []mp4.Box{tkhd}
	if wait > 0 || skip > 0 || end < t.end {
		elst := &mp4.ElstBox{Version: 1}
		if wait > 0 {
			elst.Entries = append(elst.Entries, mp4.ElstEntry{SegmentDuration: uint64(wait), MediaTime: -1, MediaRateInteger: 1})
		}
		elst.Entries = append(elst.Entries, mp4.ElstEntry{SegmentDuration: length, MediaTime: skip, MediaRateInteger: 1})
		edts := &mp4.EdtsBox{}
		edts.AddChild(elst)
		boxes = append(boxes, edts)
	}
	head, err := encoded(boxes...)
	if err != nil {
		return trak, shown, err
	}
	stbl, err := t.sampleTable()
	if err != nil {
		return trak, shown, err
	}
	minf, err := replaced("minf", t.trak.Mdia.Minf.Children, "stbl", stbl)
	if err != nil {
		return trak, shown, err
	}
	mdia, err := replaced("mdia", t.trak.Mdia.Children, "minf", minf)
	return node{name: "trak", children: []node{head, mdia}}, shown, err
}

// replaced returns a box of others, of which one is another.
func replaced(name string, children []mp4.Box, old string, by node) (n node, err error) {
	n.name = name
	for _, c := range children {
		one := by
		if c.Type() != old {
			if one, err = encoded(c); err != nil {
				return n, err
			}
		}
		n.children = append(n.children, one)
	}
	return n, nil
}

// sampleTable returns the stbl box.
func (t *track) sampleTable() (stbl node, err error) {
	described := t.trak.Mdia.Minf.Stbl
	stsd, err := encoded(described.Stsd)
	if err != nil {
		return stbl, err
	}
	stbl = node{name: "stbl", children: []node{stsd, t.tableBox("stts", durations, 0)}}
	if t.shifted {
		stbl.children = append(stbl.children, t.tableBox("ctts", compositions, 1<<24)) // version 1: offsets may be negative
	}
	perChunk, err := encoded(t.samplesPerChunk())
	if err != nil {
		return stbl, err
	}
	stbl.children = append(stbl.children, perChunk, t.tableBox("stsz", sizes, 0, 0))
	if t.total.keys < t.total.samples {
		stbl.children = append(stbl.children, t.tableBox("stss", keys, 0))
	}
	stbl.children = append(stbl.children, t.tableBox("co64", offsets, 0))
	if described.Sgpd != nil {
		sgpd, err := encoded(described.Sgpd)
		if err != nil {
			return stbl, err
		}
		roll := binary.BigEndian.Uint32([]byte("roll"))
		stbl.children = append(stbl.children, sgpd, t.tableBox("sbgp", rolls, 0, roll))
	}
	return stbl, nil
}

// samplesPerChunk returns the stsc box.
func (t *track) samplesPerChunk() *mp4.StscBox {
	stsc := &mp4.StscBox{}
	for i, p := range t.parts {
		if i == 0 || t.parts[i-1].sum.Samples != p.sum.Samples || t.parts[i-1].entry != p.entry {
			stsc.AddEntry(uint32(i+1), p.sum.Samples, p.entry) //nolint:errcheck // chunks come in order
		}
	}
	return stsc
}
