package api

import (
	"net/http"

	"github.com/live777/recorder/internal/ingest/live"
)

// streamInfo is a stream as the API shows it.
type streamInfo struct {
	live.Info
	Recording bool `json:"recording"`
	// RecordingSince is when its media begin, or when it was asked for while there are none.
	RecordingSince live.UnixMillis `json:"recordingSince,omitzero"`
	Stopped        bool            `json:"stopped"`
}

func (a *API) streamInfo(info live.Info) streamInfo {
	s := streamInfo{Info: info}
	if a.o.Recorder != nil {
		// In this order: what has just been stopped is not taken for what ended by
		// itself.
		status := a.o.Recorder.Status(info.ID)
		s.Recording = status.Recording
		if start := status.Info.Start; s.Recording && !start.IsZero() {
			s.RecordingSince = live.UnixMillis(start.UnixMilli())
		}
		s.Stopped = !s.Recording && a.o.Recorder.Stopped(info.ID)
	}
	return s
}

// streams lists the streams that the sender of r may know of and that are in
// only, where that is not empty.
func (a *API) streams(r *http.Request, only map[string]bool) []streamInfo {
	all := a.o.Streams.List()
	list := make([]streamInfo, 0, len(all))
	for _, info := range all {
		if (len(only) == 0 || only[info.ID]) && mayKnow(r, info.ID) {
			list = append(list, a.streamInfo(info))
		}
	}
	return list
}

func (a *API) listStreams(w http.ResponseWriter, r *http.Request) error {
	a.writeJSON(w, http.StatusOK, a.streams(r, nil))
	return nil
}

func (a *API) getStream(w http.ResponseWriter, r *http.Request) error {
	st, err := a.o.Streams.Get(r.PathValue("stream"))
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, a.streamInfo(st.Info()))
	return nil
}

func (a *API) createStream(w http.ResponseWriter, r *http.Request) error {
	if err := readJSON(w, r, &struct{}{}); err != nil {
		return err
	}
	if _, err := a.o.Streams.Create(r.PathValue("stream")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) deleteStream(w http.ResponseWriter, r *http.Request) error {
	if err := a.o.Streams.Delete(r.PathValue("stream")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
