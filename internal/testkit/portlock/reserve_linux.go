package portlock

import (
	"errors"
	"fmt"
	"syscall"
)

// reserve binds a socket that does not listen. The kernel gives its port to nobody
// who asks for any; with SO_REUSEADDR, which servers set, it can be asked for.
func reserve() (port int, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
	)
	release = func() { _ = syscall.Close(fd) }
	name, nameErr := syscall.Getsockname(fd)
	if at, ok := name.(*syscall.SockaddrInet4); ok && err == nil {
		return at.Port, release, nil
	}
	release()
	return 0, nil, errors.Join(err, nameErr)
}
