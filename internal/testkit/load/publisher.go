package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/media"
)

// Publisher publishes its sources over WHIP. It has no state of its own: every
// Run is a new session that begins with the first unit of the files. Any number
// of Publishers and Runs may go on at once.
type Publisher struct {
	opts Options
}

// New checks the options and returns a Publisher.
func New(o Options) (*Publisher, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("publisher options: %w", err)
	}
	return &Publisher{opts: o}, nil
}

// Run publishes until the duration or the number of units of the options is
// reached, or until ctx ends, which is a normal end: the session is then closed
// in order and the error is nil. Where the session cannot be established, or
// the server or the network ends it, the error says so; the log has what was
// sent until then and is never nil.
func (p *Publisher) Run(ctx context.Context) (*Log, error) {
	s, err := newSession(&p.opts)
	if err != nil {
		return &Log{URL: p.opts.URL}, err
	}
	err = s.run(ctx)
	return s.log, errors.Join(err, s.close())
}

// session is one Run.
type session struct {
	opts    *Options
	log     *Log
	tracks  []*track
	whip    *WHIPClient
	pc      *webrtc.PeerConnection
	socket  *socket // nil: the library has its own
	dropper *dropper

	rehearsal *Rehearsal // takes what would be sent; nil: it is sent

	connected chan struct{} // closed when media can flow
	failed    chan struct{} // closed when it no longer can
	readers   sync.WaitGroup
	mu        sync.Mutex // guards PLIs and NACKs of the logs while readers run

	start   time.Time // media time 0, carries a monotonic reading
	end     time.Duration
	endless bool // end is not set
	queue   heldQueue
}

// track is a source on its way through a session.
type track struct {
	src       *Source
	log       *TrackLog
	ssrc      uint32 // in force
	local     *webrtc.TrackLocalStaticRTP
	sender    *webrtc.RTPSender
	payloader rtp.Payloader
	impair    *impairment
	delay     time.Duration
	nack      bool // the receiver asks for lost packets
	off       Span
	labels    map[uint8]string // header extensions that tell the layer, by their ids

	cursor  cursor
	first   int64       // timestamp of the first unit
	pos     media.Ticks // of the next unit, from media time 0
	skew    float64     // speed of the RTP clock, 1 is right
	paused  bool        // the pause is behind it
	lied    bool        // a false report is behind it
	seq     uint16
	report  time.Duration // media time of the next sender report
	packets uint32        // counters of sender reports
	octets  uint32
	seekKey chan struct{} // a key frame was asked for; capacity 1
	wantKey bool          // the next unit is to be one

	asked map[uint16]bool // packets that the receiver asked for again; guarded by the session's mu
}

func newSession(o *Options) (*session, error) {
	s := &session{
		opts: o, log: &Log{URL: o.URL}, whip: NewWHIPClient(o.Token), dropper: newDropper(),
		connected: make(chan struct{}), failed: make(chan struct{}),
		end: o.Duration, endless: o.Duration == 0,
	}
	if o.Roots != nil {
		s.whip.Trust(o.Roots)
	}
	var err error
	if s.socket, err = newSocket(o); err != nil {
		return nil, err
	}
	if s.pc, err = newPeerConnection(o, s.dropper, s.socket); err != nil {
		return nil, errors.Join(err, s.socket.Close())
	}
	if err := s.addTracks(); err != nil {
		return nil, errors.Join(err, s.pc.Close(), s.socket.Close())
	}
	s.watchConnection()
	return s, nil
}

func (s *session) addTracks() error {
	o := s.opts
	if o.Video != nil {
		t, err := s.addTrack(o.Video, o.VideoSeq, o.VideoTimestamp, o.VideoDelay)
		if err != nil {
			return err
		}
		s.log.Video = t.log
	}
	for i, src := range o.Layers {
		t, err := s.addTrack(src, o.VideoSeq, o.VideoTimestamp, o.VideoDelay+time.Duration(i+1)*o.LayerDelay)
		if err != nil {
			return err
		}
		s.log.Layers = append(s.log.Layers, t.log)
	}
	if o.Audio != nil {
		t, err := s.addTrack(o.Audio, o.AudioSeq, o.AudioTimestamp, o.AudioDelay)
		if err != nil {
			return err
		}
		s.log.Audio = t.log
	}
	return nil
}

func (s *session) addTrack(src *Source, seq uint16, timestamp uint32, delay time.Duration) (*track, error) {
	t := &track{
		src: src, delay: delay, impair: newImpairment(s.opts, uint64(src.Kind)|uint64(len(s.tracks))<<8),
		log: &TrackLog{
			Kind: src.Kind, Codec: src.Codec, ClockRate: src.ClockRate, ParameterSets: src.ParameterSets,
			FirstSeq: seq,
		},
		cursor: cursor{src: src}, first: int64(timestamp), seq: seq, skew: 1,
		report: s.opts.ReportDelay, seekKey: make(chan struct{}, 1), asked: map[uint16]bool{},
	}
	if src.Kind == media.Audio {
		t.skew += s.opts.AudioSkew / 1e6
		t.off = s.opts.AudioOff
	} else {
		t.cursor.next = s.opts.VideoFrom % len(src.Units)
		t.off = s.opts.VideoOff
	}
	t.skipOff(t.cursor.unit().Duration)
	var err error
	if t.payloader, err = payloader(src.Codec, s.opts.Packetize, uint16(t.impair.jitter.Uint32())); err != nil {
		return nil, err
	}
	if s.rehearsal != nil {
		t.ssrc = uint32(len(s.tracks) + 1)
		t.log.SSRC = t.ssrc
	} else if err := s.addLocal(t); err != nil {
		return nil, fmt.Errorf("add %s track: %w", src.Kind, err)
	}
	s.tracks = append(s.tracks, t)
	return t, nil
}

// addLocal gives the track to the PeerConnection: as a track of its own, or as
// the next layer of the first.
func (s *session) addLocal(t *track) (err error) {
	var options []func(*webrtc.TrackLocalStaticRTP)
	if t.src.Kind == media.Video && len(s.opts.Layers) > 0 {
		t.log.RID = strconv.Itoa(len(s.tracks))
		options = append(options, webrtc.WithRTPStreamID(t.log.RID))
	}
	t.local, err = webrtc.NewTrackLocalStaticRTP(capabilities(t.src)[0], t.src.Kind.String(), "load", options...)
	if err != nil {
		return err
	}
	if t.log.RID != "" && len(s.tracks) > 0 {
		t.sender = s.tracks[0].sender
		err = t.sender.AddEncoding(t.local)
	} else {
		var transceiver *webrtc.RTPTransceiver
		transceiver, err = s.pc.AddTransceiverFromTrack(t.local,
			webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err == nil {
			t.sender = transceiver.Sender()
		}
	}
	if err != nil {
		return err
	}
	encodings := t.sender.GetParameters().Encodings
	t.ssrc = uint32(encodings[len(encodings)-1].SSRC)
	t.log.SSRC = t.ssrc
	return nil
}

// label looks up how the packets of a layer tell which one they are of (RFC 8852).
func (s *session) label(t *track) {
	if t.log.RID == "" {
		return
	}
	t.labels = map[uint8]string{}
	for _, e := range t.sender.GetParameters().HeaderExtensions {
		switch e.URI {
		case sdp.SDESMidURI:
			t.labels[uint8(e.ID)] = s.pc.GetTransceivers()[0].Mid()
		case sdp.SDESRTPStreamIDURI:
			t.labels[uint8(e.ID)] = t.log.RID
		}
	}
}

// payloader returns a new packetizer for a codec; VP9 counts its pictures from
// pictureID.
func payloader(codec string, p Packetization, pictureID uint16) (rtp.Payloader, error) {
	switch codec {
	case "H264":
		if p != PacketizeBrowser {
			return &nalPayloader{aggregate: p == PacketizeAggregate}, nil
		}
		return &codecs.H264Payloader{}, nil
	case "H265":
		return &codecs.H265Payloader{}, nil
	case "AV1":
		return &codecs.AV1Payloader{}, nil
	case "VP8":
		return &codecs.VP8Payloader{EnablePictureID: true}, nil
	case "VP9":
		return &codecs.VP9Payloader{InitialPictureIDFn: func() uint16 { return pictureID }}, nil
	case "opus", "multiopus":
		return &codecs.OpusPayloader{}, nil
	}
	return nil, fmt.Errorf("cannot packetize %q", codec)
}

func (s *session) watchConnection() {
	var connected, failed sync.Once
	s.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			connected.Do(func() { close(s.connected) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			failed.Do(func() { close(s.failed) })
		}
	})
}

func (s *session) run(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.opts.Logger.Debug("publishing", "url", s.opts.URL, "session", s.log.Session)
	s.start = time.Now()
	s.log.Started = s.start.Add(s.opts.ClockOffset).Round(0)
	err := s.send(ctx)
	s.log.Ended = time.Now()
	if err != nil {
		return err
	}
	s.drain()
	return nil
}

// drain lets what was sent last arrive, and what was dropped be sent again: the
// receiver may take a while to ask for it.
func (s *session) drain() {
	limit := time.After(askedLimit)
	for !s.askedForAll() {
		select {
		case <-time.After(askedPoll):
			continue
		case <-limit:
		case <-s.failed:
		}
		break
	}
	select {
	case <-time.After(s.opts.Drain):
	case <-s.failed:
	}
}

// askedForAll reports whether the receiver has asked for all dropped packets that
// it can know of.
func (s *session) askedForAll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tracks {
		last := t.seq // one beyond
		for _, d := range slices.Backward(t.log.Dropped) {
			switch {
			case d.Seq == last-1:
				last-- // nothing came behind it
			case !d.Final && !t.asked[d.Seq]:
				return false
			}
		}
	}
	return true
}

// connect offers the tracks and waits until packets can be sent.
func (s *session) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	offer, err := s.pc.CreateOffer(nil)
	if err != nil {
		return fmt.Errorf("create offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(offer); err != nil {
		return fmt.Errorf("set offer: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return fmt.Errorf("gather ICE candidates: %w", ctx.Err())
	}
	text, err := s.whip.Post(ctx, s.opts.URL, s.pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	s.log.Session = s.whip.session
	answer := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}
	nacks, err := acceptsNACK(&answer)
	if err != nil {
		return err
	}
	if err := s.pc.SetRemoteDescription(answer); err != nil {
		return fmt.Errorf("set answer: %w", err)
	}
	for _, t := range s.tracks {
		t.nack = nacks[t.src.Kind.String()]
		s.label(t)
		s.readers.Go(func() { s.readFeedback(t) })
	}
	select {
	case <-s.connected:
		return nil
	case <-s.failed:
		return errors.New("the connection for media failed")
	case <-ctx.Done():
		return fmt.Errorf("connect for media: %w", ctx.Err())
	}
}

// readFeedback reads the receiver's RTCP until the connection is closed. It
// must run even if nobody cares: reading drives the NACK responder.
func (s *session) readFeedback(t *track) {
	for {
		packets, err := t.readRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			s.feedback(t, p)
		}
	}
}

func (t *track) readRTCP() (packets []rtcp.Packet, err error) {
	if t.log.RID != "" {
		packets, _, err = t.sender.ReadSimulcastRTCP(t.log.RID)
	} else {
		packets, _, err = t.sender.ReadRTCP()
	}
	return packets, err
}

func (s *session) feedback(t *track, p rtcp.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p := p.(type) {
	case *rtcp.TransportLayerNack:
		for _, n := range p.Nacks {
			lost := n.PacketList()
			t.log.NACKs += len(lost)
			for _, seq := range lost {
				t.asked[seq] = true
			}
		}
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		t.log.PLIs = append(t.log.PLIs, time.Now())
		select {
		case t.seekKey <- struct{}{}:
		default: // one request is pending, and serves this one too
		}
	}
}

// close ends the session and waits for everything that belongs to it.
func (s *session) close() error {
	if s.opts.Vanish {
		s.socket.vanish()
	}
	steps := []func() error{s.leave, s.hangUp}
	if s.opts.HangUp {
		slices.Reverse(steps)
	}
	var errs []error
	for _, step := range steps {
		errs = append(errs, step())
	}
	s.whip.Close()
	return errors.Join(append(errs, s.socket.Close())...)
}

// leave tells the server that the session is over, with WHIP's DELETE.
func (s *session) leave() error {
	if s.opts.NoDelete || s.opts.Vanish {
		return nil
	}
	// The end must reach the server even if the caller's context is over.
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	return s.whip.Delete(ctx)
}

// hangUp ends DTLS, and what belongs to the connection.
func (s *session) hangUp() error {
	err := s.pc.GracefulClose()
	s.readers.Wait()
	if err != nil {
		return fmt.Errorf("close peer connection: %w", err)
	}
	return nil
}
