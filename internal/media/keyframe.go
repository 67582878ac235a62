package media

import (
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// KeyFrameQuery asks for the last key frame of a stream at a time or before it.
type KeyFrameQuery struct {
	Stream string
	At     time.Time
	Now    bool // the newest, of a segment that is being written, too
	Height int  // of the pictures, of which there are several sizes at a time; 0: the biggest
}

// KeyFramesQuery asks for at most Count key frames in a span, about evenly apart.
type KeyFramesQuery struct {
	Stream string
	Span   TimeSpan
	Count  int
	Height int // as of a KeyFrameQuery
}

// KeyFrame is a picture that can be decoded by itself, and where its bytes are.
type KeyFrame struct {
	Time      time.Time `json:"time"` // at which it is shown
	RecordDir string    `json:"record_dir"`
	Init      string    `json:"init"`   // path of the init segment, below /api/record/object/
	Object    string    `json:"object"` // path of the segment
	Offset    int64     `json:"offset"` // of the picture's bytes in it
	Bytes     int64     `json:"bytes"`
	Codecs    string    `json:"codecs"` // RFC 6381
}

// KeyFrameList is what a KeyFramesQuery finds, in the order of time.
type KeyFrameList struct {
	Stream    string     `json:"stream"`
	From      time.Time  `json:"from"`
	To        time.Time  `json:"to"`
	KeyFrames []KeyFrame `json:"key_frames"`
}

// ParseHeight reads the height of the pictures that are wanted; nothing is 0, the biggest.
func ParseHeight(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	height, err := strconv.Atoi(text)
	if err != nil || height <= 0 {
		return 0, fault.Errorf(fault.Invalid, "height %.40q is no number of lines", text)
	}
	return height, nil
}

// Picture is a key frame as a file of its own.
type Picture struct {
	Time time.Time // at which it is shown
	ETag string    // a strong validator, with its quotes
	Type string    // "video/mp4", or "video/webm" of VP8
	Node string    // alias of the node that it is from; empty: this one
	Data []byte
}
