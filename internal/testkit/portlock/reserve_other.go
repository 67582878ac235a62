//go:build !linux

package portlock

import "net"

// reserve finds a port that is free now.
func reserve() (port int, release func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	if err != nil {
		return 0, nil, err
	}
	return l.Addr().(*net.TCPAddr).Port, func() {}, l.Close() //nolint:errcheck // of "tcp" it is one
}
