package api

import (
	"net/http"
	"time"

	"github.com/live777/recorder/internal/base/health"
)

// NodeLoad is how much a node has to do now. What is not known is left out: of
// nodes that do not tell, or that are down.
type NodeLoad struct {
	Streams    int `json:"streams"`
	Publishers int `json:"publishers"`
	Viewers    int `json:"viewers"`
	Recordings int `json:"recordings"` // that run
	// Time is that of the node's clock when it looked.
	Time    time.Time    `json:"time,omitzero"`
	Traffic *TrafficLoad `json:"traffic,omitempty"`
	Process *ProcessLoad `json:"process,omitempty"`
	Storage *StorageLoad `json:"storage,omitempty"`
	Spool   *SpoolLoad   `json:"spool,omitempty"` // of remote storage
	// Draining says that the node takes no new publishers.
	Draining bool `json:"draining,omitempty"`
	// MaxSessions is how many sessions it takes; absent where it does not say.
	MaxSessions int `json:"max_sessions,omitempty"`
	// Labels are manager.labels of its configuration.
	Labels []string `json:"labels,omitempty"`
	// Problems is what is wrong with what the node depends on.
	Problems []health.Problem `json:"problems,omitempty"`
}

// TrafficLoad is the media that pass through a node, of RTP payload in bits per
// second over the last seconds.
type TrafficLoad struct {
	ReceivedBPS int64 `json:"received_bps"` // from publishers
	SentBPS     int64 `json:"sent_bps"`     // to viewers
}

// ProcessLoad is what a node's process uses.
type ProcessLoad struct {
	CPU         float64 `json:"cpu"`  // how many CPUs were busy over the last seconds
	CPUs        int     `json:"cpus"` // how many it may use
	MemoryBytes int64   `json:"memory_bytes"`
}

// StorageLoad is how the storage of a node's recordings fares.
type StorageLoad struct {
	Type string `json:"type"` // "fs", "s3" or "oss"
	// FreeBytes is what the disk has left; absent where storage is remote, or where
	// that cannot be told.
	FreeBytes *int64 `json:"free_bytes,omitempty"`
	Failing   bool   `json:"failing"` // it does not take what it is given
	// FailedRecordings ended by an error, since the node was started.
	FailedRecordings int64 `json:"failed_recordings"`
}

// SpoolLoad is what waits for remote storage.
type SpoolLoad struct {
	WaitingObjects int     `json:"waiting_objects"`
	WaitingBytes   int64   `json:"waiting_bytes"`
	OldestSeconds  float64 `json:"oldest_seconds"` // how long the oldest one has waited
	UsedBytes      int64   `json:"used_bytes"`     // what max_bytes bounds
	MaxBytes       int64   `json:"max_bytes"`      // 0: nothing does
	Conflicts      int     `json:"conflicts"`      // objects that storage refuses for good
}

func (a *API) getLoad(w http.ResponseWriter, _ *http.Request) error {
	if a.o.Load == nil {
		a.writeJSON(w, http.StatusOK, NodeLoad{})
		return nil
	}
	l := a.o.Load()
	l.Problems = a.problems()
	a.writeJSON(w, http.StatusOK, l)
	return nil
}

// problems returns what is wrong now; never nil.
func (a *API) problems() []health.Problem {
	if a.o.Problems == nil {
		return []health.Problem{}
	}
	return a.o.Problems()
}

func (a *API) getProblems(w http.ResponseWriter, _ *http.Request) error {
	a.writeJSON(w, http.StatusOK, map[string][]health.Problem{"problems": a.problems()})
	return nil
}

// getAlive answers those who restart a server that does not answer: what it depends on
// makes no difference, for a restart mends none of that.
func (a *API) getAlive(w http.ResponseWriter, _ *http.Request) error {
	a.writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// getReady answers those who decide whether to send people here: where, and not how,
// something is wrong, for everybody may ask.
func (a *API) getReady(w http.ResponseWriter, _ *http.Request) error {
	status, word := http.StatusOK, "ok"
	places := []string{}
	for _, p := range a.problems() {
		places = append(places, p.Place)
		if p.Serious {
			status, word = http.StatusServiceUnavailable, "failing"
		}
	}
	a.writeJSON(w, status, map[string]any{"status": word, "problems": places})
	return nil
}
