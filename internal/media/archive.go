package media

import "time"

// TimelineQuery asks for a part of the archive of a stream.
type TimelineQuery struct {
	Stream string
	// Span is the part. The zero From is the beginning of the archive.
	Span TimeSpan
	// Buckets is how many spans are told at most.
	Buckets int
}

// Timeline is a part of the archive of a stream, all its recordings together: what there
// is of it, by the wall clock.
type Timeline struct {
	Stream string    `json:"stream"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	// Resolution is the part of the time, in seconds, that a bucket is: gaps within
	// recordings that are shorter are told in the sums of the span around them, and where
	// there would be more spans than buckets each bucket is told as a whole.
	Resolution float64 `json:"resolution"`
	// Outline says that there are too many recordings to look at each one's ledger: what
	// is missing within them is not known.
	Outline      bool    `json:"outline,omitempty"`
	Recordings   int     `json:"recordings"`    // that have media in it, copies too
	MediaSeconds float64 `json:"media_seconds"` // of the time from From to To
	Bytes        int64   `json:"bytes"`         // about, of the recordings chosen
	// Spans follow one another without a hole, the last one until To, or until what has
	// been recorded so far.
	Spans []TimelineSpan `json:"spans"`
	// Before and After are when, beside From and To, the nearest media is. They are there
	// where there is none between.
	Before *time.Time `json:"before,omitempty"`
	After  *time.Time `json:"after,omitempty"`
}

// CauseStorage is the cause of a gap within a recording where the storage has lost what it had.
const CauseStorage = "storage"

// The kinds of a TimelineSpan.
const (
	SpanMedia = "media"
	SpanGap   = "gap" // of nothing that was sent anything is here
)

// Causes of a gap between recordings. A gap within one has the cause of its ledger.
const (
	CauseNone   = "none"   // nothing was recorded
	CauseFailed = "failed" // an error had ended the recording before
	CauseNode   = "node"   // the node was dead
)

// TimelineSpan is a span of a Timeline.
type TimelineSpan struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Kind string    `json:"kind"`
	// Cause is why there is nothing, of a gap.
	Cause string `json:"cause,omitempty"`
	// RecordDir is the recording, the first of them where there are several. Of a gap
	// it is the recording in which it is.
	RecordDir  string `json:"record_dir,omitempty"`
	Node       string `json:"node,omitempty"`
	Recordings int    `json:"recordings,omitempty"` // in it
	// Copies is how many recordings there are of this time, at most, where there are
	// several: the one with the least missing is chosen.
	Copies  int             `json:"copies,omitempty"`
	Status  Status          `json:"status,omitempty"` // the worst of the recordings'
	Running bool            `json:"running,omitempty"`
	Bytes   int64           `json:"bytes,omitempty"` // about
	Tracks  []TimelineTrack `json:"tracks,omitempty"`
	// Missing is what is not in it, by the kind of media and by cause.
	Missing []MissingMedia `json:"missing,omitempty"`
}

// TimelineTrack is a track of the recordings in a span.
type TimelineTrack struct {
	Kind   string `json:"kind"`
	Layer  int    `json:"layer,omitempty"`
	Codec  string `json:"codec"`
	Codecs string `json:"codecs,omitempty"` // RFC 6381
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
}

// MissingMedia is media that is missing in a span.
type MissingMedia struct {
	Kind    string  `json:"kind,omitempty"` // "video" or "audio"; absent: all
	Cause   string  `json:"cause"`
	Seconds float64 `json:"seconds"`
	Count   int     `json:"count"` // of gaps
}

// ArchiveStream is the archive of a stream in a list of them.
type ArchiveStream struct {
	StreamSummary
	First   time.Time `json:"first"` // when its media begin
	Last    time.Time `json:"last"`  // when those of the recording that began last end, so far
	Running bool      `json:"running,omitempty"`
}

// OutlineQuery asks for an outline of a stream's recordings in a time.
type OutlineQuery struct {
	Stream   string
	From, To time.Time
	Buckets  int      // how many there are at most
	Without  []string // nodes whose recordings are left out
}

// Outline sums up the recordings of a stream in buckets of time.
type Outline struct {
	Open    int // recordings that had begun before the first bucket, and were not over
	Buckets []OutlineBucket
}

// OutlineBucket sums up the recordings in a stretch of time.
type OutlineBucket struct {
	From, To                     time.Time     // to the millisecond
	Recordings, Failed, Degraded int           // that begin in it
	Media                        time.Duration // of it, of all recordings together
}
