package api

import (
	"bytes"
	"context"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	// profileSeconds is how long a profile of the CPU takes where nothing is said, and
	// maxProfileSeconds how long one may take.
	profileSeconds    = 10
	maxProfileSeconds = 60
)

var errProfiling = fault.New(fault.Conflict, "another profile of this kind is being made: try again when it is done").Coded("profile_busy")

// getProfile answers with a profile of the process, as `go tool pprof` and `go tool
// trace` read it. The names are those of net/http/pprof.
func (a *API) getProfile(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("profile")
	var out bytes.Buffer // or a failure in the middle could not be told
	var err error
	switch {
	case name == "profile":
		err = a.during(r, pprof.StopCPUProfile, func() error { return pprof.StartCPUProfile(&out) })
	case name == "trace":
		err = a.during(r, trace.Stop, func() error { return trace.Start(&out) })
	case pprof.Lookup(name) != nil:
		err = pprof.Lookup(name).WriteTo(&out, 0)
	default:
		err = fault.Errorf(fault.NotFound, "there is no such profile; there are profile, trace, allocs, block, goroutine, heap, mutex and threadcreate")
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = w.Write(out.Bytes()) // a client that left needs none
	return nil
}

// during measures for the seconds that r asks for. It ends early with the client and
// with the server.
func (a *API) during(r *http.Request, stop func(), start func() error) error {
	seconds := profileSeconds
	if text := r.URL.Query().Get("seconds"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxProfileSeconds {
			return fault.Errorf(fault.Invalid, "seconds: %q is no number from 1 to %d", text, maxProfileSeconds)
		}
		seconds = n
	}
	if start() != nil {
		return errProfiling
	}
	defer stop()
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-a.closing:
	}
	return nil
}
