package manager

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/serve/api"
)

// keptRemovals is how many of the streams that have ended are remembered, for those
// who are told of changes alone.
const keptRemovals = 10_000

// merged is the streams of all nodes as of a version of the fleet. It is not changed
// once it is made.
type merged struct {
	api.FleetSnapshot
	list []api.FleetStream // of the same order as FleetSnapshot.Streams
	byID map[string]int
}

// Streams implements api.Fleet.
func (f *fleet) Streams() []api.FleetStream { return f.merge().list }

// Snapshot implements api.Fleet.
func (f *fleet) Snapshot() api.FleetSnapshot { return f.merge().FleetSnapshot }

// Stream implements api.Fleet.
func (f *fleet) Stream(id string) (api.FleetStream, bool) {
	m := f.merge()
	i, ok := m.byID[id]
	if !ok {
		return api.FleetStream{}, false
	}
	return m.list[i], true
}

// merge returns the streams of all nodes. Those that have changed are put together
// and encoded anew, once for all who ask.
func (f *fleet) merge() *merged {
	f.mergeMu.Lock()
	defer f.mergeMu.Unlock()
	f.changedMu.Lock()
	version, dirty := f.version, f.dirty
	f.dirty = map[string]struct{}{}
	f.changedMu.Unlock()
	if len(dirty) == 0 {
		return f.merged
	}
	old := f.merged
	m := &merged{list: slices.Clone(old.list), byID: old.byID}
	m.Version, m.Floor, m.Removed, m.Streams = version, old.Floor, slices.Clone(old.Removed), slices.Clone(old.Streams)
	var came []string
	left, nodes := false, f.all()
	for id := range dirty {
		i, known := m.byID[id]
		switch s, ok := gather(nodes, id); {
		case ok && known:
			m.list[i], m.Streams[i] = s, encode(s, version)
		case ok:
			came = append(came, id)
			m.list, m.Streams = append(m.list, s), append(m.Streams, encode(s, version))
		case known:
			left = true
			m.Streams[i].JSON = nil // taken out below
			m.Removed = append(m.Removed, api.RemovedStream{ID: id, Version: version})
		}
	}
	if left || len(came) > 0 {
		m.sort()
	}
	if extra := len(m.Removed) - keptRemovals; extra > 0 {
		m.Floor = m.Removed[extra-1].Version
		m.Removed = m.Removed[extra:]
	}
	m.All = sync.OnceValue(func() []byte { return api.JoinStreams(m.Streams) })
	f.merged = m
	return m
}

// sort takes out what has no JSON, and puts the rest in order.
func (m *merged) sort() {
	type both struct {
		stream  api.FleetStream
		encoded api.EncodedStream
	}
	all := make([]both, 0, len(m.list))
	for i, e := range m.Streams {
		if e.JSON != nil {
			all = append(all, both{m.list[i], e})
		}
	}
	slices.SortFunc(all, func(a, b both) int { return strings.Compare(a.encoded.ID, b.encoded.ID) })
	m.list, m.Streams, m.byID = m.list[:0], m.Streams[:0], make(map[string]int, len(all))
	for i, b := range all {
		m.list, m.Streams = append(m.list, b.stream), append(m.Streams, b.encoded)
		m.byID[b.encoded.ID] = i
	}
}

func encode(s api.FleetStream, version uint64) api.EncodedStream {
	data, _ := json.Marshal(s) // strings, numbers and lists of them always can be
	return api.EncodedStream{ID: s.ID, Version: version, JSON: data}
}

// gather puts a stream together of what nodes, by their aliases, have of it; ok is false where none
// has it.
func gather(nodes []*node, id string) (s api.FleetStream, ok bool) {
	var on []api.StreamOnNode
	for _, n := range nodes {
		if s, ok := n.stream(id); ok {
			on = append(on, api.StreamOnNode{Node: n.alias, NodeStream: s})
		}
	}
	if len(on) == 0 {
		return s, false
	}
	return combine(id, on), true
}

// filledIn returns s with the lists that a node of another version leaves out.
func filledIn(s api.NodeStream) api.NodeStream {
	for _, p := range []*api.StreamPresence{&s.Publish, &s.Subscribe} {
		if p.Sessions == nil {
			p.Sessions = []api.StreamSession{}
		}
	}
	if s.Tracks == nil {
		s.Tracks = []live.TrackInfo{}
	}
	if s.Codecs == nil {
		s.Codecs = []live.CodecInfo{}
	}
	return s
}

// changedIDs returns the ids of the streams that differ.
func changedIDs(before, after map[string]api.NodeStream) []string {
	var ids []string
	for id, s := range after {
		if old, ok := before[id]; !ok || !sameStream(old, s) {
			ids = append(ids, id)
		}
	}
	for id := range before {
		if _, ok := after[id]; !ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func sameStream(a, b api.NodeStream) bool {
	return a.CreatedAt == b.CreatedAt && a.Recording == b.Recording && a.RecordingSince == b.RecordingSince && a.Stopped == b.Stopped &&
		slices.Equal(a.Tracks, b.Tracks) && slices.Equal(a.Codecs, b.Codecs) && samePresence(a.Publish, b.Publish) && samePresence(a.Subscribe, b.Subscribe)
}

func samePresence(a, b api.StreamPresence) bool {
	return a.LeaveAt == b.LeaveAt && slices.Equal(a.Sessions, b.Sessions)
}

// combine makes one stream of what nodes have of it: all sessions, the tracks of
// the first node that has a publisher, and recorded if any node records it.
func combine(id string, on []api.StreamOnNode) api.FleetStream {
	s := api.FleetStream{Nodes: on, NodeStream: api.NodeStream{ID: id, CreatedAt: on[0].CreatedAt}}
	var publish, subscribe []api.StreamPresence
	for _, n := range on {
		s.CreatedAt = min(s.CreatedAt, n.CreatedAt)
		s.Recording = s.Recording || n.Recording
		s.Stopped = s.Stopped || n.Stopped
		if len(s.Tracks) == 0 {
			s.Tracks, s.Codecs = n.Tracks, n.Codecs
		}
		publish, subscribe = append(publish, n.Publish), append(subscribe, n.Subscribe)
	}
	if s.Tracks == nil {
		s.Tracks = []live.TrackInfo{}
	}
	if s.Codecs == nil {
		s.Codecs = []live.CodecInfo{}
	}
	s.Publish, s.Subscribe = together(publish), together(subscribe)
	return s
}

func together(list []api.StreamPresence) api.StreamPresence {
	p := api.StreamPresence{Sessions: []api.StreamSession{}}
	for _, one := range list {
		p.LeaveAt = max(p.LeaveAt, one.LeaveAt)
		p.Sessions = append(p.Sessions, one.Sessions...)
	}
	if len(p.Sessions) > 0 {
		p.LeaveAt = 0 // somebody is there
	}
	slices.SortFunc(p.Sessions, func(a, b api.StreamSession) int {
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return p
}
