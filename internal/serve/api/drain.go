package api

import (
	"net/http"

	"github.com/live777/recorder/internal/base/fault"
)

// drain handles POST and DELETE /api/drain of a node: whether it takes new publishers.
func (a *API) drain(w http.ResponseWriter, r *http.Request) error {
	if a.o.Drainer == nil {
		return fault.New(fault.Unsupported, "this node cannot be drained")
	}
	a.o.Drainer.SetDraining(r.Method == http.MethodPost)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// drainNode handles POST and DELETE /api/nodes/{alias}/drain of a manager.
func (a *API) drainNode(w http.ResponseWriter, r *http.Request) error {
	if err := a.fleet.Drain(r.Context(), r.PathValue("alias"), r.Method == http.MethodPost); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
