package media

import "time"

// Status is a recording's verdict.
type Status string

// The statuses. Only StatusRecording is not final.
const (
	StatusRecording Status = "recording" // still being written
	StatusComplete  Status = "complete"  // everything that was published is in it
	StatusDegraded  Status = "degraded"  // playable, but something that was published is missing
	StatusFailed    Status = "failed"    // ended by an error, or nothing playable was written
)

// Recording describes one recording. It is what recording.json holds beside the
// media, what the catalogue stores and what the API answers with: one type, so
// that they cannot differ.
type Recording struct {
	Stream    string           `json:"stream"`
	RecordID  string           `json:"record_id"`  // 10-digit Unix time, or empty (specification, "MPD path rules")
	RecordDir string           `json:"record_dir"` // relative to the storage root, no slash at either end
	MPDPath   string           `json:"mpd_path"`
	Node      string           `json:"node,omitempty"` // node_alias
	Start     time.Time        `json:"start"`          // wall clock of media time 0 (availabilityStartTime)
	End       *time.Time       `json:"end,omitempty"`  // when it was sealed; nil while recording
	Duration  float64          `json:"duration"`       // seconds of media that the manifest names
	Bytes     int64            `json:"bytes"`          // of the segments that the manifest names, and the inits
	Status    Status           `json:"status"`
	Reason    string           `json:"reason,omitempty"` // why it is not complete
	Tracks    []RecordingTrack `json:"tracks"`
	// PacketsOverrun is the number of packets, of all tracks, that arrived and were
	// dropped because storage was too slow. If other packets followed them, they count
	// as lost too.
	PacketsOverrun int64 `json:"packets_overrun,omitempty"`
	// Discarded counts the packets that a publisher sent and that belong to no track,
	// by cause.
	Discarded []Discard `json:"discarded,omitempty"`
	// Recovered is how often the node died while it recorded this. After each restart
	// it went on with the recording or ended it.
	Recovered int `json:"recovered,omitempty"`
	// PausedSince is since when nothing of the running recording is recorded because
	// somebody has paused it; nil: it is not paused.
	PausedSince *time.Time `json:"paused_since,omitempty"`
	// Protected: nobody deletes it before the protection is taken away.
	Protected bool `json:"protected,omitempty"`
	// DurableThrough is the media time, in seconds, up to which the storage has
	// acknowledged everything.
	DurableThrough float64 `json:"durable_through"`
	Periods        int     `json:"periods"`
}

// RecordingTrack is one track of a Recording, with its ledger: what happened to
// the packets and frames that were sent.
type RecordingTrack struct {
	Kind     string `json:"kind"`             // "video" or "audio"
	Layer    int    `json:"layer,omitempty"`  // which of a simulcast publisher's encodings, from 0, in the order of its offer
	RID      string `json:"rid,omitempty"`    // its a=rid (RFC 8852)
	Codec    string `json:"codec"`            // encoding name: "H264"
	RFC6381  string `json:"codecs,omitempty"` // of the last format
	Width    int    `json:"width,omitempty"`
	Height   int    `json:"height,omitempty"`
	Segments int    `json:"segments"`
	Frames   int64  `json:"frames"`
	Bytes    int64  `json:"bytes"`
	Recorded bool   `json:"recorded"` // false where the codec cannot be recorded, or nothing ever came

	PacketsReceived  int64 `json:"packets_received"`
	PacketsLost      int64 `json:"packets_lost"`      // never arrived, or too late for the reorder buffer
	PacketsRecovered int64 `json:"packets_recovered"` // came late, by retransmission or out of order, and were put right
	FramesDropped    int64 `json:"frames_dropped"`    // broken, or dependent on one that is, or without a place
	// FramesBeforeKey is how many of these came before the first key frame of a
	// publication, and KeyFrameWait for how many seconds that was waited for.
	FramesBeforeKey int64   `json:"frames_before_key,omitempty"`
	KeyFrameWait    float64 `json:"key_frame_wait,omitempty"`
	// PacketsCorrected is the number of audio packets that were left out, one
	// now and then, so that a sender whose clocks run apart stays lip-synchronous.
	// They are not a loss.
	PacketsCorrected int64  `json:"packets_corrected,omitempty"`
	Gaps             []Gap  `json:"gaps,omitempty"`    // the first of them, in the order of time; the sums below know all
	Missing          string `json:"missing,omitempty"` // why nothing is in it of what one of its publishers sent

	// Formats is what it was recorded in, by time, where that has changed.
	Formats []TrackFormat `json:"formats,omitempty"`

	// MediaSeconds, FilledSeconds and GapSeconds add up to the recording's duration:
	// what was sent, what was filled, and where nothing is. Recordings of older
	// versions have none of the three.
	MediaSeconds  float64 `json:"media_seconds,omitempty"`
	FilledSeconds float64 `json:"filled_seconds,omitempty"`
	GapSeconds    float64 `json:"gap_seconds,omitempty"`

	// Synced says that the track's place in time comes from the sender's reports
	// (RTCP), not from when its packets arrived.
	Synced bool `json:"synced"`
	// Offset is by how many seconds the sender's clock is ahead of the track's
	// media time, when last looked at: the A/V offset error is the difference of
	// two tracks' offsets. Beyond 20 ms it is corrected at a segment boundary.
	Offset float64 `json:"offset"`
}

// TrackFormat is what a track was recorded in from a media time on.
type TrackFormat struct {
	Start   float64 `json:"start"` // seconds
	Codec   string  `json:"codec"` // these are as of a RecordingTrack
	RFC6381 string  `json:"codecs,omitempty"`
	Width   int     `json:"width,omitempty"`
	Height  int     `json:"height,omitempty"`
}

// Gap is a span of media time for which a track has no media of its own.
type Gap struct {
	Start    float64 `json:"start"`    // seconds of media time
	Duration float64 `json:"duration"` // seconds
	Cause    string  `json:"cause"`    // "loss", "pause", "reconnect", "overrun", "layer", "absent", "node", "limit", "paused", "storage"
	// Filled says that something stands there that was not sent at that time: silence,
	// the last picture or a neutral one. Otherwise the presentation has a hole.
	Filled bool `json:"filled,omitempty"`
}
