package whip

import (
	"io"
	"slices"

	"github.com/pion/transport/v4/packetio"
)

const (
	// maxBuffers bounds the SSRCs of a session, of RTP and of RTCP, because the WebRTC
	// stack keeps each for ever. A publisher that starts its encoder again every minute
	// for a day stays below.
	maxBuffers = 4096
	// maxViewerBuffers is the same for a viewer, who sends RTCP of a few sources.
	maxViewerBuffers = 256
	// viewerBuffer bounds what waits of a viewer's RTCP, in bytes, for each SSRC.
	viewerBuffer = 100_000
)

// endSSRCs is the end of a session whose client makes the stack keep too much.
const endSSRCs = "the client uses too many SSRCs"

// taker takes what a client sends, decrypted, on the goroutines that decrypt. It
// must not keep b.
type taker interface {
	takeRTP(b []byte)
	takeRTCP(ssrc uint32, b []byte)
	discard(cause string)
}

// newBuffer makes the buffer into which the WebRTC stack puts the packets of one more
// SSRC. For a publisher the buffer takes the packets itself, and the stack finds
// nothing to read.
func (se *session) newBuffer(kind packetio.BufferPacketType, ssrc uint32) io.ReadWriteCloser {
	limit := int64(maxBuffers)
	if se.taker == nil {
		limit = maxViewerBuffers
	}
	if se.buffers.Add(1) == limit {
		se.end(endSSRCs)
	}
	switch {
	case se.taker == nil && !slices.Contains(se.reads, ssrc):
		return sink(func([]byte) {}) // nobody reads it, and an empty buffer is not small
	case se.taker == nil:
		b := packetio.NewBuffer()
		b.SetLimitSize(viewerBuffer)
		return b
	case kind == packetio.RTCPBufferPacket:
		return sink(func(b []byte) { se.taker.takeRTCP(ssrc, b) })
	}
	return sink(se.taker.takeRTP)
}

// discard counts a packet that the WebRTC stack refused.
func (se *session) discard(cause string) {
	if se.taker != nil {
		se.taker.discard(cause)
	}
}

// sink passes on what is written.
type sink func(b []byte)

// Write implements io.Writer.
func (s sink) Write(b []byte) (int, error) {
	s(b)
	return len(b), nil
}

// Read implements io.Reader: there is nothing.
func (s sink) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer.
func (s sink) Close() error { return nil }
