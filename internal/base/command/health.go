package command

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthTimeout is how long a server that works may take to answer.
const healthTimeout = 4 * time.Second

// Listener is a Config of a server that has an address.
type Listener interface {
	// Reached returns where this machine reaches the server, as net.Dial has it, and the
	// scheme of its URLs.
	Reached() (network, address, scheme string)
}

// Health declares the command that asks the server of the same configuration how it fares:
// for containers, which have no other program to ask with.
func (v *Service[C]) Health(flags *flag.FlagSet) Action {
	load := v.Configured(flags)
	ready := flags.Bool("ready", false, "also whether it can do its work now (/readyz), not only whether it answers (/healthz)")
	return func(ctx context.Context, s Surroundings, _ []string) (int, error) {
		cfg, _, err := load(s)
		if err != nil {
			return 1, err
		}
		l, ok := any(cfg).(Listener)
		if !ok {
			return 1, fmt.Errorf("%s has no address", v.Name)
		}
		path := "/healthz"
		if *ready {
			path = "/readyz"
		}
		if err := ask(ctx, l, path, s.Stdout); err != nil {
			return 1, err
		}
		return 0, nil
	}
}

// ask writes the answer of a server of this machine. Its certificate is for its name, by
// which it is not asked here.
func ask(ctx context.Context, l Listener, path string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	network, address, scheme := l.Reached()
	transport := &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost"+path, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(w, io.LimitReader(resp.Body, 4096)); err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, resp.Status)
	}
	return nil
}
