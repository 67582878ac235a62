package api

import (
	"encoding/json"
	"net/http"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
)

// FleetSnapshot is the streams of all nodes at one moment, encoded once for all who
// are told of them.
type FleetSnapshot struct {
	Version uint64          // grows with every change
	Streams []EncodedStream // by their ids
	// Removed are streams that have ended, the newest last. Those up to the version
	// Floor are not known any more.
	Removed []RemovedStream
	Floor   uint64
	All     func() []byte // JoinStreams of Streams, made when it is first asked for
}

// EncodedStream is a FleetStream.
type EncodedStream struct {
	ID      string
	Version uint64 // of the snapshot in which it was last another than before
	JSON    []byte
}

// RemovedStream is a stream that no node has any more.
type RemovedStream struct {
	ID      string
	Version uint64 // of the snapshot in which it was not there any more
}

// JoinStreams returns the JSON array of streams.
func JoinStreams(streams []EncodedStream) []byte {
	size := 2
	for _, s := range streams {
		size += len(s.JSON) + 1
	}
	data := append(make([]byte, 0, size), '[')
	for i, s := range streams {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, s.JSON...)
	}
	return append(data, ']')
}

// fleetFeed is what one client is told of the streams. There is no queue: whoever
// reads slowly is told less often, of all that has changed meanwhile.
type fleetFeed struct {
	fleet   Fleet
	changes bool                 // not the whole list each time
	may     func(id string) bool // the client is to know of a stream; nil: of all
	told    bool
	sent    uint64 // version of what was told
}

// watchFleetStreams is watchStreams for a manager. It sends at most one event a
// second: the list may have thousands of streams.
func (a *API) watchFleetStreams(w http.ResponseWriter, r *http.Request) error {
	f := &fleetFeed{fleet: a.fleet}
	switch r.URL.Query().Get("changes") {
	case "":
	case "true":
		f.changes = true
	default:
		return fault.New(fault.Invalid, `changes is "true" or left out`)
	}
	only := wantedStreams(r)
	if len(only) > 0 || grantOf(r).AllowsAny("", auth.Rights()...) != nil {
		f.may = func(id string) bool { return (len(only) == 0 || only[id]) && mayKnow(r, id) }
	}
	return a.sendLists(w, r, listing{next: f.next, changed: a.fleet.Changed, pause: a.timing.poll})
}

// next returns the next event, nil if there is nothing new.
func (f *fleetFeed) next() ([]byte, error) {
	s := f.fleet.Snapshot()
	streams, removed := f.since(s)
	behind := !f.told || f.sent < s.Floor // it is not known any more what has ended
	whole := behind || !f.changes
	f.told, f.sent = true, s.Version
	if !behind && len(streams) == 0 && len(removed) == 0 {
		return nil, nil
	}
	var list []byte
	switch {
	case whole && f.may == nil:
		list = s.All()
	case whole:
		list = JoinStreams(f.known(s.Streams))
	default:
		list = JoinStreams(streams)
	}
	if !f.changes {
		return list, nil
	}
	return encodeChange(list, removed, whole)
}

// since returns what has changed since the client was last told.
func (f *fleetFeed) since(s FleetSnapshot) (streams []EncodedStream, removed []string) {
	for _, e := range s.Streams {
		if e.Version > f.sent && (f.may == nil || f.may(e.ID)) {
			streams = append(streams, e)
		}
	}
	for i := len(s.Removed) - 1; i >= 0 && s.Removed[i].Version > f.sent; i-- {
		if id := s.Removed[i].ID; f.may == nil || f.may(id) {
			removed = append(removed, id)
		}
	}
	return streams, removed
}

func (f *fleetFeed) known(all []EncodedStream) []EncodedStream {
	var list []EncodedStream
	for _, e := range all {
		if f.may(e.ID) {
			list = append(list, e)
		}
	}
	return list
}

// encodeChange encodes an event for those who are told of changes: streams take the
// place of those of their ids after those of removed are taken out, or of all where
// it is the whole list.
func encodeChange(streams []byte, removed []string, whole bool) ([]byte, error) {
	if whole {
		removed = nil
	}
	head, err := json.Marshal(struct {
		Whole   bool     `json:"whole"`
		Removed []string `json:"removed,omitempty"`
	}{whole, removed})
	if err != nil {
		return nil, err
	}
	// By hand: json.Marshal would read and copy what is encoded already.
	data := append(make([]byte, 0, len(head)+len(streams)+12), head[:len(head)-1]...)
	data = append(data, `,"streams":`...)
	return append(append(data, streams...), '}'), nil
}
