package live

import (
	"encoding/json"
	"slices"
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

// MarshalJSON implements json.Marshaler. Managers of the original live777 throw a whole
// list away where one session lacks a field, those two as well that never change here.
func (s SessionInfo) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID             string     `json:"id"`
		CreatedAt      UnixMillis `json:"createdAt"`
		LeaveAt        UnixMillis `json:"leaveAt"` // 0: who has left is not listed
		State          string     `json:"state"`
		HasDataChannel bool       `json:"hasDataChannel"`
	}{ID: s.ID, CreatedAt: UnixMillis(s.CreatedAt.UnixMilli()), State: s.State})
}

// Info describes a stream, as the HTTP API shows it.
type Info struct {
	ID        string      `json:"id"`
	CreatedAt UnixMillis  `json:"createdAt"`
	Publish   Presence    `json:"publish"`
	Subscribe Presence    `json:"subscribe"`
	Tracks    []TrackInfo `json:"tracks"`
	// Codecs are what Tracks are encoded in, each once, as the original live777 lists them.
	Codecs []CodecInfo `json:"codecs"`
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

// CodecInfo describes a codec of the current publication.
type CodecInfo struct {
	Kind  string `json:"kind"`
	Codec string `json:"codec"`
	Fmtp  string `json:"fmtp"` // negotiated a=fmtp parameters, may be empty
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
		Codecs:    []CodecInfo{},
	}
	if st.publication != nil {
		info.Publish.Sessions = append(info.Publish.Sessions, st.publication.Session())
		for _, t := range st.publication.tracks {
			info.Tracks = append(info.Tracks, TrackInfo{Kind: t.Kind.String(), Codec: t.Codec, RID: t.RID})
			c := CodecInfo{Kind: t.Kind.String(), Codec: t.Codec, Fmtp: t.Fmtp}
			if !slices.Contains(info.Codecs, c) { // layers have one in common
				info.Codecs = append(info.Codecs, c)
			}
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
