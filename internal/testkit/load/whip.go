package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/media"
)

const (
	requestTimeout = 10 * time.Second
	connectTimeout = 15 * time.Second
	maxAnswer      = 1 << 20 // bytes of an answer that are read
)

// newPeerConnection returns a PeerConnection that offers the codecs of the
// sources only, answers NACKs, and sends nothing on its own.
func newPeerConnection(o *Options, d *dropper, sock *socket) (*webrtc.PeerConnection, error) {
	engine := &webrtc.MediaEngine{}
	if err := registerCodecs(engine, o); err != nil {
		return nil, err
	}
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("create NACK responder: %w", err)
	}
	registry := &interceptor.Registry{}
	registry.Add(d) // the first added is the nearest to the network
	registry.Add(responder)

	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	if isLoopback(o.URL) {
		settings.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	}
	if sock != nil {
		settings.SetICEUDPMux(ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: sock}))
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings))
	pc, err := api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, fmt.Errorf("create peer connection: %w", err)
	}
	return pc, nil
}

func isLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func registerCodecs(engine *webrtc.MediaEngine, o *Options) error {
	if o.Audio != nil {
		params := webrtc.RTPCodecParameters{RTPCodecCapability: capabilities(o.Audio)[0], PayloadType: 111}
		if err := engine.RegisterCodec(params, webrtc.RTPCodecTypeAudio); err != nil {
			return fmt.Errorf("register audio codec: %w", err)
		}
	}
	if o.Video == nil {
		return nil
	}
	if len(o.Layers) > 0 {
		for _, uri := range []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI} {
			if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo); err != nil {
				return fmt.Errorf("register header extension: %w", err)
			}
		}
	}
	pt := webrtc.PayloadType(96)
	for _, c := range capabilities(o.Video) {
		rtx := webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeRTX, ClockRate: c.ClockRate, SDPFmtpLine: fmt.Sprintf("apt=%d", pt),
		}
		for i, capability := range []webrtc.RTPCodecCapability{c, rtx} {
			params := webrtc.RTPCodecParameters{RTPCodecCapability: capability, PayloadType: pt + webrtc.PayloadType(i)}
			if err := engine.RegisterCodec(params, webrtc.RTPCodecTypeVideo); err != nil {
				return fmt.Errorf("register video codec: %w", err)
			}
		}
		pt += 2
	}
	return nil
}

// capabilities returns the formats to offer for s, best first.
func capabilities(s *Source) []webrtc.RTPCodecCapability {
	c := webrtc.RTPCodecCapability{
		MimeType: s.Kind.String() + "/" + s.Codec, ClockRate: s.ClockRate, Channels: s.Channels,
		RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}},
	}
	if s.Kind == media.Video {
		c.RTCPFeedback = append(c.RTCPFeedback, webrtc.RTCPFeedback{Type: "nack", Parameter: "pli"},
			webrtc.RTCPFeedback{Type: "ccm", Parameter: "fir"})
	}
	switch s.Codec {
	case "opus":
		c.SDPFmtpLine = "minptime=10;useinbandfec=1;stereo=1"
	case "multiopus":
		c.SDPFmtpLine = s.Fmtp
	case "VP9":
		c.SDPFmtpLine = "profile-id=0"
	case "AV1":
		c.SDPFmtpLine = "level-idx=5;profile=0;tier=0"
	case "H265":
		c.SDPFmtpLine = "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST"
	case "H264":
		var all []webrtc.RTPCodecCapability
		for _, id := range s.profileLevelIDs() {
			c.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + id
			all = append(all, c)
		}
		return all
	}
	return []webrtc.RTPCodecCapability{c}
}

// profileLevelIDs returns the profiles to offer, in the spelling of browsers:
// servers match the first two bytes (RFC 6184 8.1). Constrained baseline comes
// last in any case, for servers that know nothing else but do not look at the
// stream.
func (s *Source) profileLevelIDs() []string {
	const baseline = "42e01f"
	for _, nal := range s.ParameterSets {
		if nal[0]&0x1f != nalSPS || len(nal) < 2 {
			continue
		}
		switch nal[1] { // profile_idc
		case 77:
			return []string{"4d001f", baseline}
		case 100:
			return []string{"64001f", baseline}
		}
	}
	return []string{baseline}
}

// WHIPClient speaks WHIP (RFC 9725) with one endpoint, for one session. Not safe for
// concurrent use.
type WHIPClient struct {
	http    *http.Client
	token   string
	session string // URL, empty before Post
}

// NewWHIPClient returns a client that sends a bearer token; empty for none.
func NewWHIPClient(token string) *WHIPClient {
	return &WHIPClient{http: &http.Client{Transport: &http.Transport{}, Timeout: requestTimeout}, token: token}
}

// Trust has the server's certificate be signed by one of the authorities.
func (c *WHIPClient) Trust(roots *x509.CertPool) {
	c.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
}

// Post sends the offer and returns the answer.
func (c *WHIPClient) Post(ctx context.Context, endpoint, offer string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(offer))
	if err != nil {
		return "", fmt.Errorf("post offer: %w", err)
	}
	req.Header.Set("Content-Type", "application/sdp")
	answer, err := c.do(req)
	if err != nil {
		return "", fmt.Errorf("post offer: %w", err)
	}
	c.session = answer.location
	if answer.code != http.StatusCreated || answer.location == "" {
		return "", fmt.Errorf("post offer: server answers %s, session URL %q: %s", answer.status, answer.location, answer.body)
	}
	return answer.body, nil
}

// Delete ends the session; without one it does nothing.
func (c *WHIPClient) Delete(ctx context.Context) error {
	if c.session == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.session, nil)
	if err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	answer, err := c.do(req)
	if err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	if answer.code/100 != 2 {
		return fmt.Errorf("delete session: server answers %s: %s", answer.status, answer.body)
	}
	return nil
}

// httpAnswer is what of an HTTP response is used.
type httpAnswer struct {
	code     int
	status   string
	location string // absolute; empty where the response has none
	body     string
}

func (c *WHIPClient) do(req *http.Request) (*httpAnswer, error) {
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	answer := &httpAnswer{code: resp.StatusCode, status: resp.Status, body: string(body)}
	if location, err := resp.Location(); err == nil {
		answer.location = location.String()
	}
	return answer, nil
}

// Close gives back the connections.
func (c *WHIPClient) Close() { c.http.CloseIdleConnections() }

// acceptsNACK checks that the answer takes every m-line and returns, by media
// kind, whether the receiver will ask for lost packets.
func acceptsNACK(answer *webrtc.SessionDescription) (map[string]bool, error) {
	parsed, err := answer.Unmarshal()
	if err != nil {
		return nil, fmt.Errorf("parse answer: %w", err)
	}
	nacks := map[string]bool{}
	for _, m := range parsed.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			return nil, fmt.Errorf("the server does not accept the %s track", m.MediaName.Media)
		}
		nacks[m.MediaName.Media] = hasNACK(m)
	}
	return nacks, nil
}

func hasNACK(m *sdp.MediaDescription) bool {
	for _, a := range m.Attributes {
		if fields := strings.Fields(a.Value); a.Key == "rtcp-fb" && len(fields) == 2 && fields[1] == "nack" {
			return true
		}
	}
	return false
}
