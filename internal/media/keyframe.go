package media

import "time"

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

// Picture is a key frame as an MP4 file of its own.
type Picture struct {
	Time time.Time // at which it is shown
	ETag string    // a strong validator, with its quotes
	Node string    // alias of the node that it is from; empty: this one
	Data []byte
}
