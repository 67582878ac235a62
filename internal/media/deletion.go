package media

import "time"

// Deletion is a recording that is deleted in a while, unless somebody takes that back.
type Deletion struct {
	RecordDir string    `json:"record_dir"`
	Stream    string    `json:"stream"`
	At        time.Time `json:"at"` // when it begins
}
