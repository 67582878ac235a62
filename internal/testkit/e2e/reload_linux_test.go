package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// TestReloadByKey changes what can change while a node runs, one key after the other, with
// SIGHUP: each takes effect. What needs a restart and what is wrong change nothing, and the
// log says why. Meanwhile a stream is recorded, of which no frame is missing in the end.
func TestReloadByKey(t *testing.T) {
	t.Parallel()
	r := newReloaded(t)
	camera, door := r.publish("camera", 0), r.publish("door", 0)
	r.record("old")
	if st := r.status("door"); st.Recording {
		t.Errorf("door is recorded before anybody has asked for it: %+v", st)
	}
	r.before = r.await("a recording", "camera", func(st status) bool { return st.Recording && st.Duration > 0 })

	r.change("recorder.auto_streams", func(c *settings) { c.auto = `["camera", "door", "old"]` })
	r.await("the recording of a stream that is named now", "door", func(st status) bool { return st.Recording })
	r.change("recorder.retention.max_bytes recorder.retention.check_seconds", func(c *settings) { c.retention = "max_bytes = 1\ncheck_seconds = 1" })
	await.Until(t, "a recording is deleted by the policy", func() bool { return len(r.recordings("old")) == 0 })
	hook := newHook(t)
	r.change("webhooks", func(c *settings) { c.more = fmt.Sprintf("[[webhooks]]\nurl = %q\n", hook.URL) })
	door.end()
	await.Until(t, "a webhook is told", func() bool { return hook.told("io.github.live777.stream.ended door") })
	r.change("auth.tokens", func(c *settings) { c.token = "the-second" })
	if code, _ := r.request(http.MethodGet, "/api/streams", ""); code != http.StatusUnauthorized {
		t.Errorf("the token of before: %d", code)
	}
	r.token = "the-second"
	r.changeCertificate()
	if strings.Contains(r.log.String(), "level=DEBUG") {
		t.Error("the log is that of developers already")
	}
	r.change("log.level", func(c *settings) { c.level = "debug" })
	await.Until(t, "the log has more", func() bool {
		r.request(http.MethodGet, "/api/streams", "")
		return strings.Contains(r.log.String(), "level=DEBUG")
	})

	r.refused("http.base_path", func(c *settings) { c.token, c.http = "the-third", `base_path = "/studio"` })
	r.refused("auto_streams", func(c *settings) { c.token, c.auto = "the-third", "7" })
	r.refused("live777.toml", func(c *settings) { c.token, c.more = "the-third", "[recorder" })
	last := r.goesOn("all that")
	if err := r.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	camera.sentAway()
	camera.recordedWhole(r.root, last)
}

// settings are what the test changes of a configuration.
type settings struct{ http, token, level, auto, retention, more string }

// reloaded is a node whose configuration is changed while it runs.
type reloaded struct {
	*server
	dir, address string
	settings     settings
	before       status // of camera
}

func newReloaded(t *testing.T) *reloaded {
	t.Helper()
	r := &reloaded{dir: t.TempDir(), address: portlock.Address(t), settings: settings{token: "the-first", level: "info", auto: `["camera", "old"]`}}
	ca := newAuthority(t)
	r.server = &server{t: t}
	r.install(ca)
	r.write(&r.settings)
	cmd := exec.CommandContext(context.Background(), program(t))
	cmd.Dir = r.dir
	r.server = runNode(t, cmd, r.address, filepath.Join(r.dir, "storage"), ca)
	r.token = r.settings.token
	return r
}

// install puts a certificate where the configuration has it.
func (r *reloaded) install(ca *authority) {
	r.t.Helper()
	for name, data := range map[string][]byte{"cert.pem": ca.cert, "key.pem": ca.key} {
		if err := os.WriteFile(filepath.Join(r.dir, name), data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *reloaded) write(c *settings) {
	r.t.Helper()
	text := fmt.Sprintf(`[http]
listen = %q
%s
[http.tls]
cert = "cert.pem"
key = "key.pem"
[webrtc]
listen = "127.0.0.1:0"
[auth]
tokens = [%q]
[log]
level = %q
[recorder]
auto_streams = %s
segment_seconds = 1
[recorder.retention]
%s
%s`, r.address, c.http, c.token, c.level, c.auto, c.retention, c.more)
	if err := os.WriteFile(filepath.Join(r.dir, "live777.toml"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// record leaves a recording of a stream that has ended.
func (r *reloaded) record(stream string) {
	r.t.Helper()
	p := r.publish(stream, 0)
	r.await("media", stream, func(st status) bool { return st.Duration >= 1 })
	p.end()
	r.request(http.MethodDelete, "/api/record/"+stream, "")
	await.Until(r.t, "a recording that has ended is listed", func() bool { return len(r.recordings(stream)) == 1 })
}

// hangUp writes a configuration, sends SIGHUP and returns what the log says to that.
func (r *reloaded) hangUp(c *settings) (said string) {
	r.t.Helper()
	r.write(c)
	before := len(r.log.String())
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
	await.Until(r.t, "an answer to SIGHUP in the log", func() bool {
		for line := range strings.Lines(r.log.String()[before:]) {
			if strings.Contains(line, "SIGHUP") && strings.HasSuffix(line, "\n") {
				said = line
				return true
			}
		}
		return false
	})
	return said
}

// change has a change taken over, of which the log names the keys.
func (r *reloaded) change(keys string, change func(*settings)) {
	r.t.Helper()
	change(&r.settings)
	said := r.hangUp(&r.settings)
	for key := range strings.FieldsSeq(keys) {
		if !strings.Contains(said, "was read again") || !strings.Contains(said, key) {
			r.t.Errorf("SIGHUP with another %s: %s", key, said)
		}
	}
	if r.token == r.settings.token { // else who may ask for it has to be known first
		r.goesOn(keys)
	}
}

// changeCertificate has another authority's certificate shown.
func (r *reloaded) changeCertificate() {
	r.t.Helper()
	ca := newAuthority(r.t)
	r.install(ca)
	r.hangUp(&r.settings)
	r.roots = ca.roots
	await.Until(r.t, "the certificate is the new one", func() bool {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+"/healthz", http.NoBody)
		if err != nil {
			r.t.Fatal(err)
		}
		resp, err := r.client().Do(req)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	})
	r.goesOn("another certificate")
}

// refused has a change refused, and the log say by what: nothing of it is taken over.
func (r *reloaded) refused(by string, change func(*settings)) {
	r.t.Helper()
	c := r.settings
	change(&c)
	if said := r.hangUp(&c); !strings.Contains(said, "was not taken over") || !strings.Contains(said, by) {
		r.t.Errorf("SIGHUP with what cannot be taken over of %s: %s", by, said)
	}
	own := r.token
	r.token = c.token
	if code, _ := r.request(http.MethodGet, "/api/streams", ""); code != http.StatusUnauthorized {
		r.t.Errorf("a configuration that is refused for its %s is taken over in part: %d", by, code)
	}
	r.token = own
	r.goesOn("what was refused")
}

// goesOn checks that the stream is recorded as it was.
func (r *reloaded) goesOn(after string) status {
	r.t.Helper()
	st := r.status("camera")
	if !st.Recording || st.RecordDir != r.before.RecordDir || st.Duration < r.before.Duration {
		r.t.Errorf("after %s the recording is %+v, and was %+v", after, st, r.before)
	}
	r.before.Duration = st.Duration
	return st
}

// hook is a receiver of events.
type hook struct {
	*httptest.Server
	mu  sync.Mutex
	got []string // the type and the subject of each
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var e struct{ Type, Subject string }
		body, err := io.ReadAll(req.Body)
		if err != nil || json.Unmarshal(body, &e) != nil {
			t.Errorf("an event is %q, %v", body, err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, e.Type+" "+e.Subject)
	}))
	t.Cleanup(h.Close)
	return h
}

// told reports whether an event has come.
func (h *hook) told(event string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.got {
		if one == event {
			return true
		}
	}
	return false
}
