package api

import (
	"net/http"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
)

// nodeHeader names the node that answered what a manager passed on.
const nodeHeader = "X-Live777-Node"

// visible returns n as the sender of r may see it.
func visible(r *http.Request, n FleetNode) FleetNode {
	if grant := grantOf(r); grant == nil || grant.Allows(auth.Admin, "") != nil {
		n.URL = ""
	}
	if n.Features == nil {
		n.Features = []string{}
	}
	if n.Codecs == nil {
		n.Codecs = []string{}
	}
	return n
}

func (a *API) listNodes(w http.ResponseWriter, r *http.Request) error {
	nodes := a.fleet.Nodes()
	list := make([]FleetNode, len(nodes))
	for i, n := range nodes {
		list[i] = visible(r, n)
	}
	a.writeJSON(w, http.StatusOK, list)
	return nil
}

func (a *API) getNode(w http.ResponseWriter, r *http.Request) error {
	alias := r.PathValue("alias")
	for _, n := range a.fleet.Nodes() {
		if n.Alias == alias {
			a.writeJSON(w, http.StatusOK, visible(r, n))
			return nil
		}
	}
	return fault.Errorf(fault.NotFound, "there is no node %q", alias).Coded("node_unknown", "node", alias)
}

func (a *API) registerNode(w http.ResponseWriter, r *http.Request) error {
	var n NodeRegistration
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	// Who has no grant has come with the registration token.
	node, created, err := a.fleet.Register(r.Context(), n, grantOf(r) != nil)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		w.Header().Set("Location", "/api/nodes/"+node.Alias)
	}
	a.writeJSON(w, status, visible(r, node))
	return nil
}

func (a *API) removeNode(w http.ResponseWriter, r *http.Request) error {
	if err := a.fleet.Remove(r.Context(), r.PathValue("alias")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// fleetStreams lists the streams that the sender of r may know of and that are in
// only, where that is not empty.
func (a *API) fleetStreams(r *http.Request, only map[string]bool) []FleetStream {
	all := a.fleet.Streams()
	list := make([]FleetStream, 0, len(all))
	for _, s := range all {
		if (len(only) == 0 || only[s.ID]) && mayKnow(r, s.ID) {
			list = append(list, s)
		}
	}
	return list
}

func (a *API) listFleetStreams(w http.ResponseWriter, r *http.Request) error {
	a.writeJSON(w, http.StatusOK, a.fleetStreams(r, nil))
	return nil
}

func (a *API) getFleetStream(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("stream")
	s, ok := a.fleet.Stream(id)
	if !ok {
		return fault.Errorf(fault.NotFound, "no node that is up has a stream %q", id).Coded("stream_unknown", "stream", id)
	}
	a.writeJSON(w, http.StatusOK, s)
	return nil
}

// forwardRecord passes a request about the recording of a stream on to its node,
// and the node's answer back as it is.
func (a *API) forwardRecord(w http.ResponseWriter, r *http.Request) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	request := RecordRequest{Method: method, Stream: r.PathValue("stream"), Node: r.URL.Query().Get("node")}
	var err error
	switch method {
	case http.MethodPost:
		request.BaseDir, err = readBaseDir(w, r)
	case http.MethodPatch:
		request.Pause, err = readPause(w, r)
	}
	if err != nil {
		return err
	}
	answer, err := a.fleet.Record(r.Context(), request)
	if err != nil {
		return err
	}
	writeAnswer(w, answer)
	return nil
}

// writeAnswer answers as the node did.
func writeAnswer(w http.ResponseWriter, answer NodeAnswer) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if answer.Node != "" {
		h.Set(nodeHeader, answer.Node)
	}
	if answer.RetryAfter != "" {
		h.Set("Retry-After", answer.RetryAfter)
	}
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body) // what cannot be sent to a client that left is nobody's loss
}
