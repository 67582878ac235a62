package peer

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/serve/api"
)

// errNotAllowed says that a node has registered with an address outside
// registration.allow.
var errNotAllowed = fault.New(fault.Forbidden, "registration.allow of the manager does not have this address")

// NewGuarded returns a client that connects only to addresses in allow, also if a host
// name means another address by now. If allow is empty, it connects to all.
func NewGuarded(allow []netip.Prefix) *http.Client {
	h := NewHTTP()
	if len(allow) == 0 {
		return h
	}
	t, ok := h.Transport.(*http.Transport)
	if !ok {
		return h
	}
	t.Proxy = nil // whose address it would be that is looked at
	t.DialContext = (&net.Dialer{
		Timeout: dialTimeout, KeepAlive: keepAlive,
		Control: func(_, address string, _ syscall.RawConn) error {
			if at, err := netip.ParseAddrPort(address); err != nil || !permits(allow, at.Addr()) {
				return errNotAllowed
			}
			return nil
		},
	}).DialContext
	return h
}

// Networks reads registration.allow.
func Networks(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range list {
		p, err := api.ParseProxy(text)
		if err != nil {
			return nil, fmt.Errorf("registration.allow: %w", err)
		}
		out = append(out, p)
	}
	return out, nil
}

func permits(allow []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Allowed returns nil if a node may register with a URL. If allow is empty, it may be
// anywhere.
func Allowed(ctx context.Context, allow []netip.Prefix, base string, wait time.Duration) error {
	if len(allow) == 0 {
		return nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return fault.New(fault.Invalid, "url is no URL")
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return fault.Errorf(fault.Invalid, "the host of url is not found: %w", err)
	}
	for _, a := range found {
		if !permits(allow, a) {
			return fmt.Errorf("register: %w", errNotAllowed)
		}
	}
	return nil
}
