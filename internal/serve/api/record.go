package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

var errNoRecorder = fault.New(fault.Unsupported, "this build has no recorder; use one that was not built with -tags norecorder").Coded("no_recorder")

// recordPlace tells where a recording is, with the specification's names.
type recordPlace struct {
	RecordID  string `json:"record_id"`
	RecordDir string `json:"record_dir"`
	MPDPath   string `json:"mpd_path"`
}

func placeOf(rec media.Recording) *recordPlace {
	return &recordPlace{rec.RecordID, rec.RecordDir, rec.MPDPath}
}

func (a *API) startRecording(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recorder == nil {
		return errNoRecorder
	}
	baseDir, err := readBaseDir(w, r)
	if err != nil {
		return err
	}
	stream := r.PathValue("stream")
	rec, err := a.o.Recorder.Start(r.Context(), stream, baseDir)
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, struct {
		ID string `json:"id"`
		*recordPlace
	}{stream, placeOf(rec)})
	return nil
}

// readBaseDir returns the base_dir of a request to record, which may be empty.
func readBaseDir(w http.ResponseWriter, r *http.Request) (string, error) {
	var body struct {
		BaseDir *string `json:"base_dir"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return "", err
	}
	if body.BaseDir == nil || *body.BaseDir == "" {
		return "", nil
	}
	baseDir := strings.Trim(*body.BaseDir, "/")
	if err := media.CheckNewPath(baseDir); err != nil {
		return "", fault.Errorf(fault.Invalid, "base_dir: %w", err)
	}
	// Folders of other streams' recordings begin with their ids.
	owner, _, _ := strings.Cut(baseDir, "/")
	if err := grantOf(r).Allows(auth.Record, owner); err != nil {
		return "", fmt.Errorf("base_dir: %w", err)
	}
	return baseDir, nil
}

// readPause returns whether a request wants a recording to be paused.
func readPause(w http.ResponseWriter, r *http.Request) (bool, error) {
	var body struct {
		Paused *bool `json:"paused"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return false, err
	}
	if body.Paused == nil {
		return false, fault.New(fault.Invalid, `nothing to change: the body must be {"paused": true} or {"paused": false}`)
	}
	return *body.Paused, nil
}

func (a *API) pauseRecording(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recorder == nil {
		return errNoRecorder
	}
	pause, err := readPause(w, r)
	if err != nil {
		return err
	}
	if _, err := a.o.Recorder.Pause(r.Context(), r.PathValue("stream"), pause); err != nil {
		return err
	}
	return a.getRecording(w, r)
}

func (a *API) getRecording(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recorder == nil {
		return errNoRecorder
	}
	status := a.o.Recorder.Status(r.PathValue("stream"))
	if !status.Recording {
		a.writeJSON(w, http.StatusOK, struct {
			Recording bool   `json:"recording"`
			Error     string `json:"error,omitempty"`
		}{false, status.Error})
		return nil
	}
	tracks := status.Info.Tracks
	if tracks == nil {
		tracks = []media.RecordingTrack{}
	}
	started := status.Info.Start
	if status.Info.Periods == 0 { // it is when the recording was asked for
		started = time.Time{}
	}
	a.writeJSON(w, http.StatusOK, struct {
		Recording bool `json:"recording"`
		*recordPlace
		StartedAt time.Time `json:"started_at,omitzero"` // absent until there is media
		// PausedSince is absent unless somebody has paused it.
		PausedSince *time.Time `json:"paused_since,omitempty"`
		Duration    float64    `json:"duration"`
		// DurableThrough is the media time up to which storage has acknowledged everything.
		DurableThrough float64                `json:"durable_through"`
		Recovered      int                    `json:"recovered,omitempty"`
		Protected      bool                   `json:"protected,omitempty"`
		Bytes          int64                  `json:"bytes"`
		Status         media.Status           `json:"status"`
		Reason         string                 `json:"reason,omitempty"`
		Tracks         []media.RecordingTrack `json:"tracks"`
		Error          string                 `json:"error,omitempty"`
	}{true, placeOf(status.Info), started, status.Info.PausedSince, status.Info.Duration,
		status.Info.DurableThrough, status.Info.Recovered, status.Info.Protected, status.Info.Bytes,
		status.Info.Status, status.Info.Reason, tracks, status.Error})
	return nil
}

func (a *API) stopRecording(w http.ResponseWriter, r *http.Request) error {
	if a.o.Recorder == nil {
		return errNoRecorder
	}
	stream := r.PathValue("stream")
	rec, stopped, err := a.o.Recorder.Stop(r.Context(), stream)
	if err != nil {
		return err
	}
	answer := struct {
		ID        string `json:"id"`
		Recording bool   `json:"recording"`
		Stopped   bool   `json:"stopped"`
		*recordPlace
		Status media.Status `json:"status,omitempty"`
	}{ID: stream, Stopped: stopped}
	if stopped {
		answer.recordPlace, answer.Status = placeOf(rec), rec.Status
	}
	a.writeJSON(w, http.StatusOK, answer)
	return nil
}
