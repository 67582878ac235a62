package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/ingest/live"
)

// A manager that passes a client's request on uses its own token. In these headers it
// says whose request it is. A node believes them of administrators alone, who may do
// everything anyway.
const (
	headerOwner   = "Live777-Client-Owner"
	headerAddress = "Live777-Client-Address"
	headerExpires = "Live777-Client-Expires" // Unix seconds
)

// Introduce adds to the header of a request to a node who the client is that the request
// r, of this server, is from: so the node's limits, takeovers and ends of sessions are by
// client, not by manager.
func Introduce(to http.Header, r *http.Request) {
	client := live.ClientOf(r.Context())
	if client.Owner != "" {
		sum := sha256.Sum256([]byte(client.Owner))
		to.Set(headerOwner, hex.EncodeToString(sum[:16]))
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		to.Set(headerAddress, host)
	}
	if e := client.Lease.Expires; !e.IsZero() {
		to.Set(headerExpires, strconv.FormatInt(e.Unix(), 10))
	}
}

// introduced returns r as of the client that an administrator has introduced, if it is
// such a request.
func introduced(r *http.Request, grant *auth.Grant) *http.Request {
	address := r.Header.Get(headerAddress)
	if address == "" || grant == nil || grant.Allows(auth.Admin, "") != nil {
		return r
	}
	client := live.ClientOf(r.Context())
	client.Owner = "" // its address is who it is
	if owner := r.Header.Get(headerOwner); owner != "" && len(owner) <= 2*sha256.Size {
		client.Owner = "client " + owner
	}
	if unix, err := strconv.ParseInt(r.Header.Get(headerExpires), 10, 64); err == nil && unix > 0 {
		if e := time.Unix(unix, 0); client.Lease.Expires.IsZero() || e.Before(client.Lease.Expires) {
			client.Lease.Expires = e
		}
	}
	r = r.WithContext(live.WithClient(r.Context(), client))
	if a, err := netip.ParseAddr(address); err == nil {
		r.RemoteAddr = net.JoinHostPort(a.Unmap().String(), "0")
	}
	return r
}
