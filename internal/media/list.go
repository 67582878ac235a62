package media

import "time"

// RecordingQuery selects recordings.
type RecordingQuery struct {
	Stream string // empty: of all streams
	Node   string // empty: of all nodes
	Status Status // empty: of all
	// From and To select the recordings that begin in [From, To), and those that
	// have begun before and have media in it; one that is still being recorded
	// has no end. The zero time is no bound.
	From, To time.Time
	// After, the Next of a page, selects those that come after that page: any page
	// then costs the same. A list that changes meanwhile shows none twice and
	// leaves none out.
	After  string
	Limit  int // at most so many; 0: all
	Offset int // so many of the newest are left out; the more the slower
}

// RecordingPage is what a RecordingQuery selects, newest first by Start.
type RecordingPage struct {
	Recordings []Recording
	// Total is how many there are without the query's After, Limit and Offset. It is
	// exact without From and To, and with them for all recordings of a stream; else
	// it is counted up to catalogue.MaxCounted, and there may be more.
	Total int
	// Next is the query's After of the page that follows; empty: this is the last.
	Next string
}

// OverlapQuery selects the recordings of a stream that have a part of [From, To):
// those that begin in it, and those that have begun before and have not ended. One that
// is still being recorded has no end. The zero To is no bound.
type OverlapQuery struct {
	Stream   string
	From, To time.Time
	After    string // the Next of a page, as of a RecordingQuery
	Limit    int    // at most so many; 0: all
}

// OverlapPage is what an OverlapQuery selects, oldest first by Start.
type OverlapPage struct {
	Recordings []Recording
	Next       string // the query's After of the page that follows; empty: this is the last
}

// StreamQuery selects streams.
type StreamQuery struct {
	After  string // only those whose id comes after this one, by their bytes
	Prefix string // only those whose id begins with this
	Limit  int    // at most so many; 0: all
	// Without is nodes whose recordings do not count, nor streams that have no others.
	// Of those that have, the sums of length and size are of all.
	Without []string
}

// StreamSummary sums up the recordings of one stream.
type StreamSummary struct {
	Stream     string    `json:"stream"`
	Recordings int       `json:"recordings"`
	LastStart  time.Time `json:"last_start"`
	Duration   float64   `json:"duration"` // seconds, of all
	Bytes      int64     `json:"bytes"`    // of all
}

// Change is the newest change of one recording.
type Change struct {
	// Seq is its number. A later change has a greater one; they are below 2^53
	// and not consecutive.
	Seq int64 `json:"seq"`
	// Deleted says that the recording is gone, or that its deletion has begun.
	Deleted   bool       `json:"deleted"`
	RecordDir string     `json:"record_dir"`
	Stream    string     `json:"-"`                   // that of the recording
	Recording *Recording `json:"recording,omitempty"` // nil where Deleted
}
