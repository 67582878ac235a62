package receive

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	solUDP = 17  // SOL_UDP
	udpGRO = 104 // UDP_GRO: the kernel coalesces packets of one sender (udp(7))
	// maxMessage is the longest message that the kernel makes of several packets.
	maxMessage = 64 << 10
	controlLen = 64 // bytes for what the kernel says of a message
)

// batch reads several messages with one system call (recvmmsg(2)), without an
// allocation. It is for one goroutine.
type batch struct {
	conn     syscall.RawConn
	messages []message
	iovecs   []syscall.Iovec
	names    []syscall.RawSockaddrInet6 // the longer of both kinds of addresses
	controls [][controlLen]byte
	buffers  [][]byte

	receive func(fd uintptr) bool
	n       int
	errno   syscall.Errno
}

// message is struct mmsghdr. Go pads it as C does.
type message struct {
	header syscall.Msghdr
	length uint32
}

func newBatch(conn *net.UDPConn, size int) (*batch, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	buffer := maxPacket
	err = raw.Control(func(fd uintptr) {
		if syscall.SetsockoptInt(int(fd), solUDP, udpGRO, 1) == nil {
			buffer = maxMessage
		}
	})
	if err != nil {
		return nil, err
	}
	b := &batch{
		conn: raw, messages: make([]message, size), iovecs: make([]syscall.Iovec, size), names: make([]syscall.RawSockaddrInet6, size),
		controls: make([][controlLen]byte, size), buffers: make([][]byte, size),
	}
	all := make([]byte, size*buffer) // one that is not touched takes no memory
	for i := range b.messages {
		b.buffers[i] = all[i*buffer : (i+1)*buffer : (i+1)*buffer]
		b.iovecs[i].Base = &b.buffers[i][0]
		b.iovecs[i].SetLen(buffer)
		h := &b.messages[i].header
		h.Name, h.Iov, h.Iovlen = (*byte)(unsafe.Pointer(&b.names[i])), &b.iovecs[i], 1
		h.Control = &b.controls[i][0]
	}
	b.receive = b.recvmmsg
	return b, nil
}

// read waits for messages and returns how many came.
func (b *batch) read() (int, error) {
	if err := b.conn.Read(b.receive); err != nil {
		return 0, err
	}
	if b.errno != 0 {
		return 0, os.NewSyscallError("recvmmsg", b.errno)
	}
	return b.n, nil
}

// recvmmsg reports false if there is nothing to read.
func (b *batch) recvmmsg(fd uintptr) bool {
	for i := range b.messages {
		h := &b.messages[i].header
		h.Namelen = syscall.SizeofSockaddrInet6
		h.SetControllen(controlLen)
		h.Flags = 0
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.messages[0])), uintptr(len(b.messages)),
		syscall.MSG_DONTWAIT, 0, 0)
	b.n, b.errno = int(n), errno
	if errno == syscall.EINTR {
		b.n, b.errno = 0, 0
	}
	return errno != syscall.EAGAIN
}

// message returns a message that was read: packets of the length segment and a last one
// that may be shorter, or one packet if segment is 0. It is valid until the next read.
func (b *batch) message(i int) (data []byte, segment int, from netip.AddrPort) {
	m := &b.messages[i]
	if m.header.Flags&syscall.MSG_TRUNC != 0 {
		return nil, 0, netip.AddrPort{}
	}
	return b.buffers[i][:m.length], b.segment(i), b.address(i)
}

// segment reads what the kernel says of the length of the packets.
func (b *batch) segment(i int) int {
	h := &b.messages[i].header
	c := b.controls[i][:h.Controllen]
	if len(c) < syscall.SizeofCmsghdr+4 {
		return 0
	}
	control := (*syscall.Cmsghdr)(unsafe.Pointer(&c[0]))
	if control.Level != solUDP || control.Type != udpGRO {
		return 0
	}
	return int(binary.NativeEndian.Uint32(c[syscall.SizeofCmsghdr:]))
}

// address returns where a message came from.
func (b *batch) address(i int) netip.AddrPort {
	name := &b.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == syscall.AF_INET {
		v4 := (*syscall.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	a := netip.AddrFrom16(name.Addr).Unmap()
	if a.Is6() && name.Scope_id != 0 && a.IsLinkLocalUnicast() {
		a = a.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
	}
	return netip.AddrPortFrom(a, port)
}
