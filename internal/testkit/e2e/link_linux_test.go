package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// impairment is what a link does to packets, in each direction.
type impairment struct {
	loss   float64       // probability
	delay  time.Duration // of each packet,
	jitter time.Duration // more or less by up to this, so that packets change places
}

// link is a network of two machines: this one, and a network namespace. Its
// two ends are TUN devices, between which the test itself carries the packets:
// so it can lose and delay them where the kernel has no netem, and knows which
// packets it lost.
type link struct {
	namespace  string
	here       string // address of this end
	there      string // of the namespace
	ends       [2]*os.File
	wg         sync.WaitGroup
	mu         sync.Mutex
	impairment impairment
	rng        *rand.Rand
	flows      map[uint32]*flow // of RTP packets to here, by SSRC
}

// flow is an RTP stream that went over a link.
type flow struct {
	packets     map[uint16]carried // by sequence number: a test is too short for one to come again
	first, last int64              // sequence numbers, not wrapped
}

type carried struct {
	timestamp uint32
	arrived   bool
}

// links counts the links of this process.
var links atomic.Int32

// newLink makes a namespace and a link to it, which the test's end removes.
func newLink(t *testing.T) *link {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and TUN devices: run it as root (CAP_NET_ADMIN, CAP_SYS_ADMIN)")
	}
	// A subnet of the benchmark network (RFC 2544) for each link of each process.
	id := (os.Getpid()*4 + int(links.Add(1))) % (1 << 15)
	name := fmt.Sprintf("live777-%d-%d", os.Getpid(), id)
	subnet := fmt.Sprintf("198.%d.%d.", 18+id>>14, id>>6&255)
	first := id & 63 * 4
	l := &link{
		namespace: name, here: fmt.Sprintf("%s%d", subnet, first+1),
		rng: rand.New(rand.NewPCG(1, 2)), flows: map[uint32]*flow{},
	}
	l.there = fmt.Sprintf("%s%d", subnet, first+2)
	run(t, "netns", "add", name)
	t.Cleanup(func() { run(t, "netns", "del", name) })
	devices := [2]string{fmt.Sprintf("l7a%d", id), fmt.Sprintf("l7b%d", id)}
	for i, device := range devices {
		l.ends[i] = openTUN(t, device)
	}
	t.Cleanup(l.close) // before the namespace goes
	run(t, "link", "set", devices[1], "netns", name)
	run(t, "addr", "add", l.here+"/30", "dev", devices[0])
	run(t, "link", "set", devices[0], "up")
	run(t, "-n", name, "link", "set", "lo", "up")
	run(t, "-n", name, "addr", "add", l.there+"/30", "dev", devices[1])
	run(t, "-n", name, "link", "set", devices[1], "up")
	run(t, "-n", name, "route", "add", "default", "via", l.here)
	l.wg.Add(2)
	go l.carry(l.ends[0], l.ends[1], false)
	go l.carry(l.ends[1], l.ends[0], true)
	return l
}

// run runs ip.
func run(t *testing.T, args ...string) {
	t.Helper()
	// Not with the test's context, which ends before its cleanup.
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil { //nolint:noctx // it ends by itself
		t.Fatalf("ip %v (Debian package iproute2): %v\n%s", args, err, out)
	}
}

// openTUN makes a TUN device, which lasts until the file is closed.
func openTUN(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("open /dev/net/tun, which needs root and the kernel's TUN driver: %v", err)
	}
	var request [40]byte // struct ifreq
	copy(request[:syscall.IFNAMSIZ-1], name)
	binary.NativeEndian.PutUint16(request[syscall.IFNAMSIZ:], syscall.IFF_TUN|syscall.IFF_NO_PI)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		_ = syscall.Close(fd)
		t.Fatalf("make the TUN device %s: %v", name, errno)
	}
	return os.NewFile(uintptr(fd), name)
}

// inside is a wrapper for commands that are to run in the namespace.
func (l *link) inside() []string { return []string{"ip", "netns", "exec", l.namespace} }

// set changes what the link does to packets from now on.
func (l *link) set(i impairment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.impairment = i
}

func (l *link) close() {
	for _, f := range l.ends {
		_ = f.Close()
	}
	l.wg.Wait()
}

// carry takes packets from one end to the other until the ends are closed.
func (l *link) carry(from, to *os.File, count bool) {
	defer l.wg.Done()
	buf := make([]byte, 65536)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			continue // the device is not up yet
		}
		delay, lost := l.decide(buf[:n], count)
		if lost {
			continue
		}
		packet := append([]byte(nil), buf[:n]...)
		l.wg.Add(1)
		time.AfterFunc(delay, func() {
			defer l.wg.Done()
			_, _ = to.Write(packet) // as lost as others, if it is closed or full
		})
	}
}

// decide says what becomes of a packet, and counts it if it is RTP.
func (l *link) decide(packet []byte, count bool) (delay time.Duration, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.impairment
	lost = l.rng.Float64() < i.loss
	delay = i.delay + time.Duration((2*l.rng.Float64()-1)*float64(i.jitter))
	if header, ok := rtpHeader(packet); ok && count {
		ssrc, seq := binary.BigEndian.Uint32(header[8:]), binary.BigEndian.Uint16(header[2:])
		f := l.flows[ssrc]
		if f == nil {
			f = &flow{packets: map[uint16]carried{}, first: int64(seq), last: int64(seq)}
			l.flows[ssrc] = f
		}
		f.last = max(f.last, f.last+int64(int16(seq-uint16(f.last))))
		f.packets[seq] = carried{timestamp: binary.BigEndian.Uint32(header[4:]), arrived: f.packets[seq].arrived || !lost}
	}
	return max(delay, 0), lost
}

// rtpHeader returns the header of an RTP packet in UDP over IPv4, which SRTP
// leaves readable (RFC 3711 3.1); RFC 7983 and RFC 5761 tell it from others.
func rtpHeader(packet []byte) ([]byte, bool) {
	const udpHeader, header = 8, 12
	if len(packet) < 20 || packet[0]>>4 != 4 || packet[9] != syscall.IPPROTO_UDP {
		return nil, false
	}
	skip := int(packet[0]&15)*4 + udpHeader
	if len(packet) < skip+header {
		return nil, false
	}
	h := packet[skip:]
	if pt := h[1] & 0x7f; h[0]>>6 != 2 || pt >= 64 && pt < 96 {
		return nil, false
	}
	return h, true
}

// stream returns what became of the RTP stream with an SSRC: how many packets
// it has by its sequence numbers, how many of them never arrived, whether they
// were lost here or a sender without a way did not even send them, and how many
// frames there are, by RTP timestamps, of which something arrived.
func (l *link) stream(ssrc uint32) (packets, missing, frames int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flows[ssrc]
	if f == nil {
		return 0, 0, 0
	}
	arrived, timestamps := 0, map[uint32]bool{}
	for _, p := range f.packets {
		if p.arrived {
			arrived++
			timestamps[p.timestamp] = true
		}
	}
	packets = int(f.last-f.first) + 1
	return packets, packets - arrived, len(timestamps)
}
