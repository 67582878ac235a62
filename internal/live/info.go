package live

import (
	"encoding/json"
	"time"
)

// UnixMillis is a point in time as milliseconds since 1970; 0 where the text
// says so.
type UnixMillis int64

// SessionInfo describes the session of a publisher or a viewer.
type SessionInfo struct {
	ID        string
	CreatedAt time.Time
	State     string // an RTCPeerConnection.connectionState: "new", "connecting", "connected", ...
}

// MarshalJSON implements json.Marshaler.
func (s SessionInfo) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID        string     `json:"id"`
		CreatedAt UnixMillis `json:"createdAt"`
		State     string     `json:"state"`
	}{s.ID, UnixMillis(s.CreatedAt.UnixMilli()), s.State})
}

// Info describes a stream, as the HTTP API shows it.
type Info struct {
	ID        string      `json:"id"`
	CreatedAt UnixMillis  `json:"createdAt"`
	Publish   Presence    `json:"publish"`
	Subscribe Presence    `json:"subscribe"`
	Tracks    []TrackInfo `json:"tracks"`
}

// Presence lists the sessions of one side of a stream.
type Presence struct {
	LeaveAt  UnixMillis    `json:"leaveAt"` // when the last one left, or the stream came; 0 while somebody is there
	Sessions []SessionInfo `json:"sessions"`
}

// TrackInfo describes a track of the current publication.
type TrackInfo struct {
	Kind  string `json:"kind"`
	Codec string `json:"codec"`
	RID   string `json:"rid,omitempty"` // simulcast layer
}

// Info describes the stream as it is now.
func (st *Stream) Info() Info {
	st.mu.RLock()
	defer st.mu.RUnlock()
	info := Info{
		ID:        st.id,
		CreatedAt: UnixMillis(st.since.UnixMilli()),
		Publish:   Presence{Sessions: []SessionInfo{}},
		Subscribe: Presence{Sessions: []SessionInfo{}},
		Tracks:    []TrackInfo{},
	}
	if st.publication != nil {
		info.Publish.Sessions = append(info.Publish.Sessions, st.publication.Session())
		for _, t := range st.publication.tracks {
			info.Tracks = append(info.Tracks, TrackInfo{Kind: t.Kind.String(), Codec: t.Codec, RID: t.RID})
		}
	} else {
		info.Publish.LeaveAt = UnixMillis(st.publishLeft.UnixMilli())
	}
	for _, sub := range st.subscribers {
		if sub.viewer {
			info.Subscribe.Sessions = append(info.Subscribe.Sessions, sub.info())
		}
	}
	if len(info.Subscribe.Sessions) == 0 {
		info.Subscribe.LeaveAt = UnixMillis(st.viewerLeft.UnixMilli())
	}
	return info
}
