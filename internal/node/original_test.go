//go:build !norecorder

package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/load"
)

// originalManager does what a liveman of the original live777 does with a node of its
// configuration: it looks at the streams, relays WHIP and WHEP with the node's token,
// and keeps an index of recordings.
type originalManager struct {
	*httptest.Server
	t           *testing.T
	node, token string

	mu       sync.Mutex
	streams  map[string]originalStream
	sessions map[string]bool // paths
	cursor   *int64
	index    map[string]string // mpd_path by stream/record
}

// originalStream is read strictly: what lacks a field is lost, with the whole list.
type originalStream struct {
	ID                 *string
	CreatedAt          *int64
	Publish, Subscribe *struct {
		LeaveAt  *int64
		Sessions []struct {
			ID             *string
			CreatedAt      *int64
			LeaveAt        *int64
			State          *string
			HasDataChannel *bool
		}
	}
	Codecs *[]struct{ Kind, Codec, Fmtp *string }
}

func (s originalStream) whole() bool {
	ok := s.ID != nil && s.CreatedAt != nil && s.Publish != nil && s.Subscribe != nil && s.Codecs != nil
	if !ok || s.Publish.LeaveAt == nil || s.Subscribe.LeaveAt == nil {
		return false
	}
	for _, p := range append(s.Publish.Sessions, s.Subscribe.Sessions...) {
		ok = ok && p.ID != nil && p.CreatedAt != nil && p.LeaveAt != nil && p.State != nil && p.HasDataChannel != nil &&
			slices.Contains([]string{"new", "connecting", "connected", "disconnected", "failed", "closed"}, *p.State)
	}
	for _, c := range *s.Codecs {
		ok = ok && c.Kind != nil && c.Codec != nil && c.Fmtp != nil
	}
	return ok
}

func newOriginalManager(t *testing.T, node, token string) *originalManager {
	m := &originalManager{t: t, node: node, token: token, sessions: map[string]bool{}, index: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whip/{stream}", m.relay)
	mux.HandleFunc("POST /whep/{stream}", m.relay)
	mux.HandleFunc("/session/{stream}/{session}", m.relay)
	m.Server = httptest.NewServer(mux)
	t.Cleanup(m.Close)
	return m
}

// ask sends a request to the node, and decodes the answer into out if that is not nil.
func (m *originalManager) ask(method, path string, body any, out any) int {
	m.t.Helper()
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			m.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.node+path, reader)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			m.t.Fatalf("%s %s: %d %s: %v", method, path, resp.StatusCode, data, err)
		}
	}
	return resp.StatusCode
}

// take notes a list of streams, all of it or nothing.
func (m *originalManager) take(data []byte) {
	var list []originalStream
	if err := json.Unmarshal(data, &list); err != nil {
		m.t.Errorf("a list of streams: %s: %v", data, err)
		return
	}
	streams := map[string]originalStream{}
	for _, s := range list {
		if !s.whole() {
			m.t.Errorf("a list of streams is lost: a field is missing in %s", data)
			return
		}
		streams[*s.ID] = s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams = streams
}

// poll is mode = "poll".
func (m *originalManager) poll() {
	m.t.Helper()
	var list json.RawMessage
	if code := m.ask(http.MethodGet, "/api/streams/", nil, &list); code != http.StatusOK {
		m.t.Fatalf("streams: %d", code)
	}
	m.take(list)
}

// follow is mode = "sse".
func (m *originalManager) follow(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.node+"/api/sse/streams", nil)
	if err != nil {
		m.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the test has ended
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
			m.take([]byte(data))
		}
	}
}

// viewers returns how many there are of a stream; ok is false where it is unknown or
// has no publisher that is connected.
func (m *originalManager) viewers(stream string) (n int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.streams[stream]
	if !ok || len(s.Publish.Sessions) != 1 || *s.Publish.Sessions[0].State != "connected" || len(*s.Codecs) != 2 {
		return 0, false
	}
	return len(s.Subscribe.Sessions), true
}

// relay passes on what clients of the manager want of the node.
func (m *originalManager) relay(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	known := m.sessions[r.URL.Path]
	m.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/session/") && !known {
		http.NotFound(w, r)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, m.node+r.URL.RequestURI(), r.Body)
	if err != nil {
		m.t.Error(err)
		return
	}
	req.Header = r.Header.Clone()
	req.Host = r.Host // as the client said
	req.Header.Set("Authorization", "Bearer "+m.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if location := resp.Header.Get("Location"); location != "" {
		m.mu.Lock()
		m.sessions[location] = true
		m.mu.Unlock()
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// sync pulls the node's index, takes it over, says so, and has it dropped there.
func (m *originalManager) sync() (status map[string]string) {
	m.t.Helper()
	path := "/api/recordings?limit=200"
	if m.cursor != nil {
		path += fmt.Sprintf("&since_ts=%d", *m.cursor)
	}
	var page struct {
		Sessions []struct {
			ID, Stream string
			MPDPath    string `json:"mpd_path"`
			Status     string
		}
		LastTS *int64 `json:"last_ts"`
	}
	if code := m.ask(http.MethodGet, path, nil, &page); code != http.StatusOK {
		m.t.Fatalf("sync: %d", code)
	}
	status = map[string]string{}
	type key struct {
		Stream string `json:"stream"`
		Record string `json:"record"`
	}
	records := []key{}
	for _, s := range page.Sessions {
		m.index[s.Stream+"/"+s.ID] = s.MPDPath
		status[s.Stream+"/"+s.ID] = s.Status
		records = append(records, key{s.Stream, s.ID})
	}
	if len(records) > 0 {
		body := map[string]any{"records": records}
		for _, method := range []string{http.MethodPatch, http.MethodDelete} {
			if code := m.ask(method, "/api/recordings", body, nil); code != http.StatusOK {
				m.t.Fatalf("%s: %d", method, code)
			}
		}
	}
	if page.LastTS != nil {
		m.cursor = page.LastTS
	}
	return status
}

// newViewer returns a peer that wants audio and video, and what receives when media come.
func newViewer(t *testing.T) (pc *webrtc.PeerConnection, got <-chan struct{}) {
	t.Helper()
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	packets := make(chan struct{}, 1)
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if _, _, err := track.ReadRTP(); err == nil {
			select {
			case packets <- struct{}{}:
			default:
			}
		}
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	return pc, packets
}

// send sends an SDP to a WHEP endpoint, or ends a session.
func send(t *testing.T, method, target, token, body string) (status int, location, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/sdp")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(data)
}

// watch is a viewer, who leaves with the function that is returned.
func watch(t *testing.T, server, stream, token string) (leave func()) {
	t.Helper()
	pc, got := newViewer(t)
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	status, session, answer := send(t, http.MethodPost, server+"/whep/"+stream, token, pc.LocalDescription().SDP)
	if status != http.StatusCreated || !strings.HasPrefix(session, "/session/"+stream+"/") {
		t.Fatalf("WHEP: %d %q %s", status, session, answer)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-time.After(time.Minute):
		t.Fatal("no media")
	}
	return func() {
		t.Helper()
		if status, _, said := send(t, http.MethodDelete, server+session, token, ""); status/100 != 2 {
			t.Errorf("leave: %d %s", status, said)
		}
	}
}

// TestOriginalManager: a liveman of the original live777 has the node among its own. It
// finds what is published through it, records it, shows it to viewers, and knows the
// recordings afterwards.
func TestOriginalManager(t *testing.T) {
	const token = "token-of-the-node"
	n := startNode(t, func(c *config.Config) { c.Auth.Tokens = []config.Secret{token} })
	m := newOriginalManager(t, n.url, token)
	var strategy struct {
		Max *int `json:"each_stream_max_sub"`
	}
	if code := m.ask(http.MethodGet, "/api/strategy/", nil, &strategy); code != http.StatusOK || strategy.Max == nil || *strategy.Max != 65535 {
		t.Errorf("strategy: %d %v", code, strategy.Max)
	}
	following, stop := context.WithCancel(t.Context())
	var followed sync.WaitGroup
	followed.Go(func() { m.follow(following) })
	p, err := load.New(load.Options{
		URL: m.URL + "/whip/cam", Token: "token-of-a-client", Video: open(t, "h264_baseline.h264"), Audio: open(t, "opus_stereo.ogg"),
		SenderReports: true, KeyFrameOnPLI: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	publishing, end := context.WithCancel(t.Context())
	var published sync.WaitGroup
	published.Go(func() { _, _ = p.Run(publishing) })
	defer published.Wait()
	defer end()
	await.Until(t, "the stream is told of", func() bool { _, ok := m.viewers("cam"); return ok })
	stop()
	followed.Wait()

	var started recordAnswer
	if code := m.ask(http.MethodPost, "/api/record/cam", map[string]any{"base_dir": nil}, &started); code != http.StatusOK || len(started.RecordID) != 10 {
		t.Fatalf("start: %d %+v", code, started)
	}
	recording := func() bool {
		var status recordAnswer
		return m.ask(http.MethodGet, "/api/record/cam", nil, &status) == http.StatusOK && status.Recording
	}
	if !recording() {
		t.Error("it is not recorded")
	}
	key := "cam/" + started.RecordID
	await.Until(t, "the recording that runs is in the index", func() bool { return m.sync()[key] == "Active" })

	leave := watch(t, m.URL, "cam", "token-of-a-client")
	m.poll()
	if n, ok := m.viewers("cam"); !ok || n != 1 {
		t.Errorf("%d viewers, %v", n, ok)
	}
	leave()
	await.Until(t, "the viewer has left", func() bool { m.poll(); n, ok := m.viewers("cam"); return ok && n == 0 })

	if code := m.ask(http.MethodDelete, "/api/record/cam", nil, nil); code/100 != 2 || recording() {
		t.Errorf("stop: %d", code)
	}
	await.Until(t, "the recording that has ended is in the index", func() bool { return m.sync()[key] == "Completed" })
	if got := m.index[key]; got != started.MPDPath || len(m.index) != 1 {
		t.Errorf("the index is %v, want %s", m.index, started.MPDPath)
	}
	// The node still has it, for itself and for a manager whose index was lost.
	m.cursor = nil
	if status := m.sync(); status[key] != "Completed" {
		t.Errorf("from the beginning: %v", status)
	}
	if code := m.ask(http.MethodGet, "/api/record/object/"+m.index[key], nil, nil); code != http.StatusOK {
		t.Errorf("the manifest: %d", code)
	}
}

// TestOriginalManagerTakesNoRegistrations: a node that is to register with one says what
// to do instead.
func TestOriginalManagerTakesNoRegistrations(t *testing.T) {
	n := &Node{cfg: config.Default()}
	m := newOriginalManager(t, "", "")
	n.cfg.Manager.URL, n.cfg.Manager.NodeURL = m.URL, "http://node:7777"
	if err := n.registerOnce(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "put the node into its [[nodes]]") {
		t.Errorf("it says %v", err)
	}
}
