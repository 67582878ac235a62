package whip

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/ingest/receive"
)

// direct is the connection of a publisher through the node's own receiver. It tells the
// session's ingest what comes (receive.Handler).
type direct struct {
	*session
	cs        []chosen
	passive   bool             // the client is the DTLS server
	transport *receive.Session // nil before the first offer
	number    uint64           // of the answer's session
	version   uint64           // of the answer
	in        *ingest
}

func (d *direct) setOffer(offer *sdp.SessionDescription) error {
	remote := receive.Credentials{Ufrag: transportAttribute(offer, "ice-ufrag"), Password: transportAttribute(offer, "ice-pwd")}
	if d.transport != nil {
		d.transport.Restart(remote)
		return nil
	}
	fingerprints, err := fingerprintsOf(offer)
	if err != nil {
		return err
	}
	d.transport = d.server.receiver.Session(receive.SessionOptions{
		Remote: remote, Fingerprints: fingerprints, Client: d.passive, Handler: d,
	})
	return nil
}

// transportAttribute returns the value that holds for the first m-line, which is the one
// whose transport the bundle uses.
func transportAttribute(d *sdp.SessionDescription, key string) string {
	if v, ok := d.MediaDescriptions[0].Attribute(key); ok {
		return v
	}
	v, _ := d.Attribute(key)
	return v
}

// fingerprintsOf reads the certificates' fingerprints that hold for the first m-line.
func fingerprintsOf(d *sdp.SessionDescription) ([]receive.Fingerprint, error) {
	var out []receive.Fingerprint
	for _, attributes := range [][]sdp.Attribute{d.MediaDescriptions[0].Attributes, d.Attributes} {
		for _, a := range attributes {
			fields := strings.Fields(a.Value)
			if a.Key != "fingerprint" || len(fields) != 2 {
				continue
			}
			if f := (receive.Fingerprint{Algorithm: fields[0], Value: fields[1]}); f.Check() == nil {
				out = append(out, f)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, fault.New(fault.Invalid, "the SDP offer has no a=fingerprint with a hash that is known, such as sha-256")
}

func (d *direct) answer(context.Context) (*sdp.SessionDescription, error) {
	d.version++
	return d.describe(), nil
}

func (d *direct) writeRTCP(pkts ...rtcp.Packet) error { return d.transport.WriteRTCP(pkts) }
func (d *direct) writeRaw(b []byte) error             { return d.transport.WriteRaw(b) }
func (d *direct) isUp() bool                          { return d.transport != nil && d.transport.IsUp() }

func (d *direct) source(ssrc uint32, has bool) {
	if has {
		d.transport.Source(ssrc)
	} else {
		d.transport.ForgetSource(ssrc)
	}
}

func (d *direct) hangUp() bool {
	if d.transport == nil {
		return false
	}
	d.transport.HangUp()
	return true
}

func (d *direct) close() error {
	if d.transport != nil {
		d.transport.Close()
	}
	return nil
}

// TakeRTP implements receive.Handler.
func (d *direct) TakeRTP(packets []receive.Packet, at time.Time) { d.in.takeBatch(packets, at) }

// TakeRTCP implements receive.Handler.
func (d *direct) TakeRTCP(ssrc uint32, b []byte, at time.Time) {
	d.link.hearAt(at, false)
	d.in.takeControl(ssrc, b, at)
}

// Checked implements receive.Handler.
func (d *direct) Checked(at time.Time) {
	d.link.checks.Add(1)
	d.link.hearAt(at, false)
}

// Moved implements receive.Handler.
func (d *direct) Moved(old, now netip.AddrPort) {
	d.log.Log(d.ctx, d.link.changes.level(), "the client sends from another address", "from", old.String(), "to", now.String())
}

// StateChanged implements receive.Handler.
func (d *direct) StateChanged(s receive.State) {
	switch s {
	case receive.Connecting:
		d.stateChanged(webrtc.PeerConnectionStateConnecting)
	case receive.Connected:
		d.stateChanged(webrtc.PeerConnectionStateConnected)
	case receive.Disconnected:
		d.stateChanged(webrtc.PeerConnectionStateDisconnected)
	case receive.Failed:
		d.stateChanged(webrtc.PeerConnectionStateFailed)
	case receive.Closed:
		d.stateChanged(webrtc.PeerConnectionStateClosed)
	}
}

// Lost implements receive.Handler.
func (d *direct) Lost(l receive.Loss) {
	switch l {
	case receive.Undecrypted:
		d.in.discarded.count(causeDecryption)
	case receive.Early:
		d.in.discarded.count(causeEarly)
	case receive.Malformed:
		d.in.discarded.count(causeHeader)
	}
}

// TooMany implements receive.Handler.
func (d *direct) TooMany(l receive.Limit) {
	if l == receive.Addresses {
		d.end(endAddresses)
		return
	}
	d.end(endSSRCs)
}
