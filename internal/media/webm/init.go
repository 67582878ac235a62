// Package webm writes WebM (Matroska, RFC 9559) initialization segments and
// chunks of one video track as bytes, and nothing about files or time.
package webm

import (
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// Timescale is the unit of all times in the segments, Hz: WebM players expect
// milliseconds.
const Timescale = 1000

const (
	timestampScale = 1_000_000_000 / Timescale // ns
	trackNumber    = 1
	trackTypeVideo = 1
	trackTypeAudio = 2
	app            = "live777"
)

// codecIDs has the Matroska codec mappings by the codecs' names.
var codecIDs = map[string]string{"VP8": "V_VP8"}

// Init returns the initialization segment of a video track: the EBML header,
// and a Segment of unknown size with Info and Tracks, which the Clusters of the
// chunks continue. A format that has no WebM mapping here is a
// fault.Unprocessable error.
func Init(f *media.Format) ([]byte, error) {
	codecID, ok := codecIDs[f.Codec]
	if !ok {
		return nil, fault.Errorf(fault.Unprocessable, "codec %q cannot be stored in WebM", f.Codec)
	}
	var info []byte
	info = appendUint(info, idTimestampScale, timestampScale)
	info = appendString(info, idMuxingApp, app)
	info = appendString(info, idWritingApp, app)

	dst := appendMaster(nil, idEBML, header())
	dst = appendNumber(dst, idSegment, octets(idSegment))
	dst = append(dst, unknownSize...)
	dst = appendMaster(dst, idInfo, info)
	return appendMaster(dst, idTracks, appendMaster(nil, idTrackEntry, trackEntry(codecID, f))), nil
}

// header returns the content of the EBML header (RFC 8794 11.2).
func header() (h []byte) {
	h = appendUint(h, idEBMLVersion, 1)
	h = appendUint(h, idEBMLReadVersion, 1)
	h = appendUint(h, idEBMLMaxIDLength, 4)
	h = appendUint(h, idEBMLMaxSizeLength, 8)
	h = appendString(h, idDocType, "webm")
	h = appendUint(h, idDocTypeVersion, 4)
	return appendUint(h, idDocTypeReadVersion, 2) // SimpleBlock
}

// trackEntry returns the content of a TrackEntry (RFC 9559 5.1.4.1).
func trackEntry(codecID string, f *media.Format) []byte {
	var video []byte
	video = appendUint(video, idPixelWidth, uint64(f.Width))
	video = appendUint(video, idPixelHeight, uint64(f.Height))

	var t []byte
	t = appendUint(t, idTrackNumber, trackNumber)
	t = appendUint(t, idTrackUID, trackNumber)
	t = appendUint(t, idTrackType, trackTypeVideo)
	t = appendUint(t, idFlagLacing, 0)
	t = appendString(t, idLanguage, "und")
	t = appendString(t, idCodecID, codecID)
	return appendMaster(t, idVideo, video)
}
