package whip

import (
	"context"
	"fmt"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/fault"
)

// connection is what carries a session.
type connection interface {
	// setOffer takes an offer. A refusal is the client's fault: what is wrong with the
	// offer and was not found before.
	setOffer(offer *sdp.SessionDescription) error
	// answer completes a negotiation and returns the answer with all candidates. Media
	// may flow from here on.
	answer(ctx context.Context) (*sdp.SessionDescription, error)
	writeRTCP(pkts ...rtcp.Packet) error
	// writeRaw is writeRTCP of a packet that is written already, which is not kept.
	writeRaw(b []byte) error
	// source tells that an SSRC is of the session, or is no more.
	source(ssrc uint32, has bool)
	// isUp reports whether the client has chosen a way.
	isUp() bool
	// hangUp tells the client that the session ends. It is false where nothing that comes
	// afterwards would be taken.
	hangUp() bool
	// close ends it and waits for it.
	close() error
}

// stack is the connection of a PeerConnection.
type stack struct{ *session }

func (s stack) setOffer(offer *sdp.SessionDescription) error {
	text, err := offer.Marshal()
	if err != nil {
		return fault.Errorf(fault.Invalid, "the SDP offer cannot be used: %w", err)
	}
	err = s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(text)})
	if err != nil {
		return fault.Errorf(fault.Invalid, "the SDP offer cannot be used: %w", err)
	}
	return nil
}

func (s stack) answer(ctx context.Context) (*sdp.SessionDescription, error) {
	gathered := webrtc.GatheringCompletePromise(s.pc)
	answer, err := s.pc.CreateAnswer(&webrtc.AnswerOptions{
		OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: true},
	})
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "the SDP offer cannot be answered: %w", err)
	}
	if err := s.pc.SetLocalDescription(answer); err != nil {
		return nil, fault.Errorf(fault.Invalid, "the SDP offer cannot be answered: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	select {
	case <-gathered:
	case <-ctx.Done():
		return nil, fmt.Errorf("gather candidates: %w", ctx.Err())
	}
	out := new(sdp.SessionDescription)
	if err := out.UnmarshalString(s.pc.LocalDescription().SDP); err != nil {
		return nil, fmt.Errorf("parse answer: %w", err)
	}
	return out, nil
}

func (s stack) writeRTCP(pkts ...rtcp.Packet) error { return s.pc.WriteRTCP(pkts) }

func (s stack) writeRaw(b []byte) error {
	raw := rtcp.RawPacket(b)
	return s.pc.WriteRTCP([]rtcp.Packet{&raw})
}

func (s stack) source(ssrc uint32, has bool) {
	if has {
		s.server.sockets.paths.register(ssrc, s.session)
	} else {
		s.server.sockets.paths.forgetSource(ssrc, s.session)
	}
}

func (s stack) isUp() bool {
	state := s.pc.ICEConnectionState()
	return state == webrtc.ICEConnectionStateConnected || state == webrtc.ICEConnectionStateCompleted
}

// hangUp implements connection: the stack tells the client, and takes nothing more, in close.
func (s stack) hangUp() bool { return false }

func (s stack) close() error {
	err := s.pc.GracefulClose()
	s.server.sockets.paths.forget(s.session)
	return err
}
