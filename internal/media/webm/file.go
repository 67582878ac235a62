package webm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// The numbers of the tracks of a File.
const (
	VideoTrack = trackNumber
	AudioTrack = VideoTrack + 1
)

// File is what is known of a whole file before its media: of what its head is made.
type File struct {
	Video []byte // the init segment of the pictures; nil: there are none
	Sound *Opus  // nil: there is none

	Start    time.Time
	Duration time.Duration
	Title    string
	Comment  string
	Body     int64 // bytes of what follows the head
	Cues     []Cue
}

// Opus is a track of sound.
type Opus struct {
	Channels byte
	Rate     uint32 // of what was encoded, Hz
	Gain     int16
	Family   byte   // of the channel mapping (RFC 7845 5.1.1)
	Mapping  []byte // the table of other families than 0
}

// Cue is a place from which the file can be played.
type Cue struct {
	Time     media.Ticks // of Timescale
	Track    int
	Position int64 // of a Cluster, behind the head
}

// Head returns all that stands before the Clusters: the EBML header and a Segment of known
// size with SeekHead, Info, Tracks, Tags and Cues (RFC 9559 5.1, 23.2).
func (f *File) Head() ([]byte, error) {
	tracks, err := f.tracks()
	if err != nil {
		return nil, err
	}
	parts := []struct {
		id      uint32
		content []byte
	}{{idInfo, f.info()}, {idTracks, tracks}, {idTags, f.tags()}, {idCues, f.cues(0)}}
	// How long each part is does not depend on the positions that it names.
	head := int64(elementSize(idSeekHead, len(parts)*seekSize))
	positions := make([]int64, len(parts))
	for i, p := range parts {
		positions[i] = head
		head += int64(elementSize(p.id, len(p.content)))
	}
	parts[len(parts)-1].content = f.cues(head)
	var seeks []byte
	for i, p := range parts {
		seek := appendNumber(appendHeader(nil, idSeekID, 4), uint64(p.id), 4)
		seeks = appendMaster(seeks, idSeek, appendWide(seek, idSeekPosition, uint64(positions[i])))
	}
	dst := appendMaster(nil, idEBML, header())
	dst = appendWideHeader(dst, idSegment, head+f.Body)
	dst = appendMaster(dst, idSeekHead, seeks)
	for _, p := range parts {
		dst = appendMaster(dst, p.id, p.content)
	}
	return dst, nil
}

// seekSize is the length of a Seek element.
var seekSize = elementSize(idSeek, elementSize(idSeekID, 4)+elementSize(idSeekPosition, 8))

// epoch is when DateUTC is 0 (RFC 8794 7.6).
var epoch = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// info returns the content of Info.
func (f *File) info() (info []byte) {
	info = appendUint(info, idTimestampScale, timestampScale)
	info = appendFloat(info, idDuration, float64(f.Duration)/timestampScale)
	info = appendWide(info, idDateUTC, uint64(f.Start.Sub(epoch)))
	if f.Title != "" {
		info = appendString(info, idTitle, f.Title)
	}
	info = appendString(info, idMuxingApp, app)
	return appendString(info, idWritingApp, app)
}

// tracks returns the content of Tracks.
func (f *File) tracks() (tracks []byte, err error) {
	if f.Video != nil {
		entry, err := entryOf(f.Video)
		if err != nil {
			return nil, err
		}
		tracks = appendMaster(tracks, idTrackEntry, entry)
	}
	if f.Sound != nil {
		tracks = appendMaster(tracks, idTrackEntry, f.Sound.entry())
	}
	return tracks, nil
}

// entryOf returns the content of the TrackEntry of an init segment.
func entryOf(init []byte) (entry []byte, err error) {
	_, size, rest, ok := parseHeader(init) // EBML
	if !ok || size > int64(len(rest)) {
		return nil, fmt.Errorf("read the init segment: it has no EBML header")
	}
	segment := append(appendNumber(nil, idSegment, octets(idSegment)), unknownSize...)
	content, ok := bytes.CutPrefix(rest[size:], segment)
	if !ok {
		return nil, fmt.Errorf("read the init segment: it has no Segment of unknown size")
	}
	eachElement(content, func(id uint32, body []byte) bool {
		if id == idTracks {
			eachElement(body, func(id uint32, body []byte) bool {
				if id == idTrackEntry && entry == nil {
					entry = body
				}
				return true
			})
		}
		return true
	})
	if entry == nil {
		return nil, fmt.Errorf("read the init segment: it has no track")
	}
	return entry, nil
}

const (
	opusRate = 48000 // of what is decoded
	// opusRoll is how much sound a decoder wants before what is heard (RFC 7845 4.6), ns.
	opusRoll = 80_000_000
)

// entry returns the content of the TrackEntry. It declares no delay of the encoder: the
// times of the packets are those at which they are heard.
func (o *Opus) entry() (t []byte) {
	head := append([]byte("OpusHead\x01"), o.Channels, 0, 0)
	head = binary.LittleEndian.AppendUint32(head, o.Rate)
	head = binary.LittleEndian.AppendUint16(head, uint16(o.Gain))
	head = append(append(head, o.Family), o.Mapping...)

	var audio []byte
	audio = appendFloat(audio, idSamplingRate, opusRate)
	audio = appendUint(audio, idChannels, uint64(o.Channels))

	t = appendUint(t, idTrackNumber, AudioTrack)
	t = appendUint(t, idTrackUID, AudioTrack)
	t = appendUint(t, idTrackType, trackTypeAudio)
	t = appendUint(t, idFlagLacing, 0)
	t = appendString(t, idLanguage, "und")
	t = appendString(t, idCodecID, "A_OPUS")
	t = appendMaster(t, idCodecPrivate, head)
	t = appendUint(t, idSeekPreRoll, opusRoll)
	return appendMaster(t, idAudio, audio)
}

// tags returns the content of Tags.
func (f *File) tags() []byte {
	tag := appendMaster(nil, idTargets, nil)
	for _, item := range []struct{ name, value string }{
		{"DATE_RECORDED", f.Start.UTC().Format("2006-01-02 15:04:05.000")},
		{"COMMENT", f.Comment},
	} {
		if item.value != "" {
			simple := appendString(nil, idTagName, item.name)
			simple = appendString(simple, idTagLanguage, "und")
			tag = appendMaster(tag, idSimpleTag, appendString(simple, idTagString, item.value))
		}
	}
	return appendMaster(nil, idTag, tag)
}

// cues returns the content of Cues; the Clusters begin at a byte of the Segment.
func (f *File) cues(body int64) (cues []byte) {
	var point, at []byte
	for _, c := range f.Cues {
		at = appendUint(at[:0], idCueTrack, uint64(c.Track))
		at = appendWide(at, idCueClusterPosition, uint64(body+c.Position))
		point = appendMaster(appendWide(point[:0], idCueTime, uint64(c.Time)), idCueTrackPositions, at)
		cues = appendMaster(cues, idCuePoint, point)
	}
	return cues
}

// Block is a frame of a File.
type Block struct {
	Track int
	Time  media.Ticks // of Timescale, not negative
	Key   bool
	Data  []byte
}

// maxClusterTime is how long a Cluster of a File may be: its Blocks' times are relative to
// it, and have 16 bits.
const maxClusterTime = 30 * Timescale

// AppendBlocks appends blocks, in the order of their times, as Clusters.
func AppendBlocks(dst []byte, blocks []Block) []byte {
	for len(blocks) > 0 {
		n, size := 0, elementSize(idTimestamp, 8)
		for n < len(blocks) && blocks[n].Time-blocks[0].Time < maxClusterTime {
			size += elementSize(idSimpleBlock, blockHeaderSize+len(blocks[n].Data))
			n++
		}
		dst = appendWideHeader(slices.Grow(dst, size+clusterHeader), idCluster, int64(size))
		dst = appendWide(dst, idTimestamp, uint64(blocks[0].Time))
		for _, b := range blocks[:n] {
			flags := byte(0)
			if b.Key {
				flags = flagKey
			}
			dst = appendHeader(dst, idSimpleBlock, blockHeaderSize+len(b.Data))
			relative := b.Time - blocks[0].Time
			dst = append(dst, 0x80|byte(b.Track), byte(relative>>8), byte(relative), flags)
			dst = append(dst, b.Data...)
		}
		blocks = blocks[n:]
	}
	return dst
}

const (
	clusterHeader = 12    // with a size of eight octets
	blockMost     = 10    // bytes of a SimpleBlock beside its frame, at most: 1 for the ID, 5 for the size, 4
	voidLeast     = 1 + 8 // with a size of eight octets
	clusterTime   = 10    // bytes of a Cluster's timestamp
)

// MaxBlocks returns how many bytes blocks have at most, of so many bytes and of so long a
// time, with padding: what AppendBlocks appends, and AppendVoid fills up to it.
func MaxBlocks(blocks int, bytes int64, long time.Duration) int64 {
	clusters := int64(long/(maxClusterTime*time.Millisecond)) + 2
	return bytes + blockMost*int64(blocks) + clusters*(clusterHeader+clusterTime) + voidLeast
}

// AppendVoid appends n bytes that say nothing (RFC 8794 11.3.2); it is false if they are
// too few.
func AppendVoid(dst []byte, n int64) ([]byte, bool) {
	if n < voidLeast {
		return dst, false
	}
	dst = appendWideHeader(dst, idVoid, n-voidLeast)
	return append(dst, make([]byte, n-voidLeast)...), true
}
