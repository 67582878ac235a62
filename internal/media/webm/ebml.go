package webm

import (
	"math"
	"math/bits"
)

// Element IDs (RFC 8794 11.1, RFC 9559 5.1), with their length markers.
const (
	idEBML               = 0x1A45DFA3
	idEBMLVersion        = 0x4286
	idEBMLReadVersion    = 0x42F7
	idEBMLMaxIDLength    = 0x42F2
	idEBMLMaxSizeLength  = 0x42F3
	idDocType            = 0x4282
	idDocTypeVersion     = 0x4287
	idDocTypeReadVersion = 0x4285

	idSegment        = 0x18538067
	idSeekHead       = 0x114D9B74
	idSeek           = 0x4DBB
	idSeekID         = 0x53AB
	idSeekPosition   = 0x53AC
	idInfo           = 0x1549A966
	idTimestampScale = 0x2AD7B1
	idDuration       = 0x4489
	idDateUTC        = 0x4461
	idTitle          = 0x7BA9
	idMuxingApp      = 0x4D80
	idWritingApp     = 0x5741
	idTracks         = 0x1654AE6B
	idTrackEntry     = 0xAE
	idTrackNumber    = 0xD7
	idTrackUID       = 0x73C5
	idTrackType      = 0x83
	idFlagLacing     = 0x9C
	idLanguage       = 0x22B59C
	idCodecID        = 0x86
	idCodecPrivate   = 0x63A2
	idSeekPreRoll    = 0x56BB
	idAudio          = 0xE1
	idSamplingRate   = 0xB5
	idChannels       = 0x9F
	idVideo          = 0xE0
	idPixelWidth     = 0xB0
	idPixelHeight    = 0xBA

	idCluster        = 0x1F43B675
	idTimestamp      = 0xE7
	idSimpleBlock    = 0xA3
	idBlockGroup     = 0xA0
	idBlock          = 0xA1
	idBlockDuration  = 0x9B
	idReferenceBlock = 0xFB

	idTags        = 0x1254C367
	idTag         = 0x7373
	idTargets     = 0x63C0
	idSimpleTag   = 0x67C8
	idTagName     = 0x45A3
	idTagLanguage = 0x447A
	idTagString   = 0x4487

	idCues               = 0x1C53BB6B
	idCuePoint           = 0xBB
	idCueTime            = 0xB3
	idCueTrackPositions  = 0xB7
	idCueTrack           = 0xF7
	idCueClusterPosition = 0xF1

	idVoid = 0xEC
)

// unknownSize is the size of an element that ends with its file (RFC 8794 6.2),
// in eight octets.
var unknownSize = []byte{0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}

// octets returns the length of v as a big-endian number, at least 1.
func octets(v uint64) int { return max(1, (bits.Len64(v)+7)/8) }

// appendNumber appends the n low octets of v.
func appendNumber(dst []byte, v uint64, n int) []byte {
	for n--; n >= 0; n-- {
		dst = append(dst, byte(v>>(8*n)))
	}
	return dst
}

// sizeOctets returns the length of an element's size (RFC 8794 4): seven bits
// an octet, where all bits set means unknown.
func sizeOctets(size int) int { return (bits.Len64(uint64(size)+1) + 6) / 7 }

// appendHeader appends the ID and the size of an element whose content follows.
func appendHeader(dst []byte, id uint32, size int) []byte {
	dst = appendNumber(dst, uint64(id), octets(uint64(id)))
	n := sizeOctets(size)
	return appendNumber(dst, 1<<(7*n)|uint64(size), n)
}

// headerSize is the number of bytes that appendHeader appends.
func headerSize(id uint32, size int) int { return octets(uint64(id)) + sizeOctets(size) }

// elementSize is the length of an element with its header.
func elementSize(id uint32, size int) int { return headerSize(id, size) + size }

func appendUint(dst []byte, id uint32, v uint64) []byte {
	n := octets(v)
	return appendNumber(appendHeader(dst, id, n), v, n)
}

// appendWide is appendUint of a number that has eight octets whatever it is, so that the
// element's length is known before the number.
func appendWide(dst []byte, id uint32, v uint64) []byte {
	return appendNumber(appendHeader(dst, id, 8), v, 8)
}

// appendFloat appends a number with a fraction (RFC 8794 7.3).
func appendFloat(dst []byte, id uint32, v float64) []byte {
	return appendWide(dst, id, math.Float64bits(v))
}

// appendWideHeader is appendHeader with a size of eight octets.
func appendWideHeader(dst []byte, id uint32, size int64) []byte {
	return appendNumber(appendNumber(dst, uint64(id), octets(uint64(id))), 1<<56|uint64(size), 8)
}

// uintSize is the number of bytes that appendUint appends.
func uintSize(id uint32, v uint64) int { return elementSize(id, octets(v)) }

func appendString(dst []byte, id uint32, s string) []byte {
	return append(appendHeader(dst, id, len(s)), s...)
}

func appendMaster(dst []byte, id uint32, content []byte) []byte {
	return append(appendHeader(dst, id, len(content)), content...)
}
