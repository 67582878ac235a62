//go:build linux

package portlock

import (
	"net"
	"testing"
)

// Servers come and go on the address, of which nobody else is given the port.
func TestAddress(t *testing.T) {
	address := Address(t)
	listen := func(address string) net.Listener {
		t.Helper()
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for range 2 {
		l := listen(address)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = l.Close()
		for range 200 {
			other := listen("127.0.0.1:0")
			t.Cleanup(func() { _ = other.Close() })
			if other.Addr().String() == address {
				t.Fatal("somebody else has the port")
			}
		}
	}
}
