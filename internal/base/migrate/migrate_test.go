package migrate

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/command"
	"github.com/live777/recorder/internal/base/config"
)

// migrated returns what becomes of a file, and the lines by their keys, without notes.
func migrated(t *testing.T, file string, do func([]byte) (Result, error)) (Result, map[string][]Outcome) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := do(text)
	if err != nil {
		t.Fatal(err)
	}
	if r.Problem != nil {
		t.Errorf("it does not load: %v\n%s", r.Problem, r.TOML)
	}
	lines := map[string][]Outcome{}
	for _, l := range r.Lines {
		lines[l.Key] = append(lines[l.Key], l.Outcome)
		for _, s := range []string{
			"mqtt-password", "rtsp-password", "camera-password", "database-password", "anna-password", "the secret of all", "a-long-token",
			"upload-token", "target-token", "node-token", "turn-credential", "storage-secret", "coturn-secret", "live777\"",
		} {
			if strings.Contains(l.Note, s) {
				t.Errorf("a secret is told: %s", l)
			}
		}
	}
	return r, lines
}

func wantLines(t *testing.T, got map[string][]Outcome, want map[string][]Outcome) {
	t.Helper()
	for key, outcomes := range want {
		if !slices.Equal(got[key], outcomes) {
			t.Errorf("%s: %q, want %q", key, got[key], outcomes)
		}
	}
	for key, outcomes := range got {
		if want[key] == nil {
			t.Errorf("%s: %q is not wanted", key, outcomes)
		}
	}
}

func is(o ...Outcome) []Outcome { return o }

// TestNode: each key of a file of the original has become something, and what is made of
// the file loads.
func TestNode(t *testing.T) {
	r, lines := migrated(t, "testdata/node.toml", Node)
	wantLines(t, lines, map[string][]Outcome{
		"http.listen": is(Taken), "http.cors": is(Renamed),
		"ice_servers[0]": is(Renamed), "ice_servers[1]": is(Renamed), "ice_servers[2]": is(NotSupported),
		"webrtc.ice_udp_addrs": is(Renamed), "webrtc.ice_lite": is(NotNeeded),
		"auth.secret": is(Taken), "auth.tokens[0]": is(Replaced), "auth.tokens[1]": is(Taken), "log.level": is(Taken),
		"strategy.each_stream_max_sub": is(NotNeeded), "strategy.cascade_push_close_sub": is(NotNeeded), "strategy.auto_create_whip": is(NotNeeded),
		"strategy.auto_create_whep": is(NotNeeded), "strategy.auto_delete_whip": is(NotSupported), "strategy.auto_delete_whep": is(NotNeeded),
		"hooks.timeout_ms": is(NotNeeded), "hooks.on_error": is(NotNeeded), "hooks.on_stream_created": is(NotSupported), "hooks.on_publish_stopped": is(NotNeeded),
		"sdp.video_codecs": is(NotSupported), "sdp.audio_codecs": is(NotNeeded),
		"net4mqtt.alias": is(NotSupported), "net4mqtt.mqtt_url": is(NotSupported), "rtsp.listen": is(NotSupported),
		"recorder.auto_streams": is(NotSupported, Taken), "recorder.node_alias": is(Taken), "recorder.index_path": is(Replaced), "recorder.max_recording_seconds": is(Taken),
		"recorder.upload.enabled": is(NotSupported), "recorder.upload.liveman_url": is(NotNeeded), "recorder.upload.liveman_token": is(NotNeeded), "recorder.upload.local_dir": is(NotNeeded),
		"recorder.storage.type": is(Taken), "recorder.storage.bucket": is(Taken), "recorder.storage.root": is(Taken), "recorder.storage.region": is(Taken),
		"recorder.storage.endpoint": is(Taken), "recorder.storage.access_key_id": is(Taken), "recorder.storage.secret_access_key": is(Taken),
		"recorder.storage.enable_virtual_host_style": is(Taken),
		"stream.idle": is(NotNeeded), "stream.cam.on_demand": is(NotNeeded), "stream.cam.colour": is(Unknown), "stream.cam.sources[0]": is(NotSupported),
		"stream.cam.sources[1]": is(NotSupported), "stream.cam.targets": is(NotSupported), "stream.cam.channel": is(NotSupported),
		"stream.cam.strategy.each_stream_max_sub": is(Renamed), "stream.cam.hooks.on_stream_deleted": is(NotSupported),
		"experimental.feature": is(Unknown),
	})
	c, err := config.Load(write(t, r.TOML), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Recorder.Storage
	if s.Bucket != "recordings" || s.Root != "/live" || s.SecretAccessKey != "storage-secret" || !s.EnableVirtualHostStyle {
		t.Errorf("storage: %+v", s)
	}
	if got := c.Recorder.AutoStreams; !slices.Equal(got, []string{"*", "room-[^0]"}) || c.Recorder.NodeAlias != "edge-1" || c.Recorder.MaxRecording != 3600 {
		t.Errorf("recorder: %+v", c.Recorder)
	}
	if c.HTTP.Listen != "0.0.0.0:8080" || c.WebRTC.Listen != "0.0.0.0:8080" || !slices.Equal(c.HTTP.CORSOrigins, []string{"*"}) || c.Log.Level != "debug" {
		t.Errorf("http, webrtc, log: %+v %+v %+v", c.HTTP, c.WebRTC, c.Log)
	}
	if len(c.WebRTC.ICEServers) != 2 || c.WebRTC.ICEServers[1].Credential != "turn-credential" {
		t.Errorf("ICE servers: %+v", c.WebRTC.ICEServers)
	}
	if a := c.Auth; len(a.Tokens) != 2 || len(a.Tokens[0]) != 64 || a.Tokens[1] != "a-long-token-of-32-characters-00" || a.Secret != "the secret of all tokens of this node" {
		t.Errorf("auth: %d tokens", len(a.Tokens))
	}
	if len(c.Limits.Rules) != 1 || c.Limits.Rules[0].Streams != "cam" || c.Limits.Rules[0].Viewers != 5 {
		t.Errorf("limits: %+v", c.Limits.Rules)
	}
}

func TestManager(t *testing.T) {
	r, lines := migrated(t, "testdata/manager.toml", Manager)
	wantLines(t, lines, map[string][]Outcome{
		"http.listen": is(Taken), "http.cors": is(Renamed), "http.public": is(NotNeeded),
		"auth.secret": is(Replaced), "auth.tokens[0]": is(Taken), "auth.accounts[0]": is(Renamed), "auth.accounts[1]": is(NotSupported),
		"log.level": is(Taken), "cascade.check_attempts": is(NotSupported), "cascade.mode": is(NotSupported),
		"extra_ice.override_upstream_ice_servers": is(NotSupported), "extra_ice.coturn.secret": is(NotSupported), "extra_ice.coturn.urls": is(NotSupported),
		"extra_ice.ice_servers[0].urls": is(NotSupported),
		"database.url":                  is(Replaced), "database.max_connections": is(NotNeeded), "database.connect_timeout": is(NotNeeded),
		"playback.signed_redirect": is(Taken), "playback.signed_ttl_seconds": is(Renamed),
		"recorder.storage.type": is(Renamed), "recorder.storage.bucket": is(Renamed), "recorder.storage.region": is(NotNeeded),
		"auto_record.enabled": is(NotNeeded), "auto_record.auto_streams": is(Renamed), "auto_record.base_prefix": is(NotSupported),
		"auto_record.tick_ms": is(NotNeeded), "auto_record.max_recording_seconds": is(NotSupported),
		"record_sync.enabled": is(NotNeeded), "record_sync.tick_ms": is(NotNeeded), "record_sync.limit": is(NotNeeded),
		"nodes[0]": is(Taken), "nodes[0].mode": is(NotNeeded), "nodes[1]": is(NotSupported), "liveion[0]": is(Taken), "liveion[0].url": is(NotSupported),
	})
	c, err := config.LoadLiveman(write(t, r.TOML), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Database.URL != "postgresql://user:database-password@db:5432/live777_catalogue" || c.Storage.Bucket != "recordings" || c.Playback.SignedRedirectTTL != 10 {
		t.Errorf("%+v %+v %+v", c.Database, c.Storage, c.Playback)
	}
	if len(c.Nodes) != 2 || c.Nodes[1].URL != "http://10.0.0.5:7777" || c.Nodes[1].Token != "node-token" || c.Nodes[0].Alias != "edge-3" {
		t.Errorf("nodes: %+v", c.Nodes)
	}
	if u := c.Auth.Users; len(u) != 1 || u[0].Name != "anna" || auth.CheckHash(string(u[0].PasswordHash)) != nil {
		t.Errorf("users: %+v", u)
	}
}

// TestAccess: a server that asked for credentials never becomes one that does not, and one
// that did not ask says so.
func TestAccess(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string
		not  string
	}{
		{"", `(?s)anonymous = true.*listen = '0.0.0.0:8888'`, "tokens"},
		{"[http]\nlisten = \"127.0.0.1:8888\"", `listen = '127.0.0.1:8888'`, "anonymous|tokens"},
		{"[auth]\ntokens = [\"short\"]", `tokens = \['[0-9a-f]{64}'\]`, "anonymous|short'"},
		{"[http]\nlisten = \"127.0.0.1:8888\"\n[auth]\ntokens = [\"short\"]", `tokens = \['short'\]`, "anonymous"},
		{"[auth]\ntokens = [\"a token with spaces in it\"]", `tokens = \['[0-9a-f]{64}'\]`, "anonymous|spaces"},
		{"[auth]\ntokens = [\"\"]\nsecret = \"\"", `anonymous = true`, "tokens = |secret ="},
		{"[[auth.accounts]]\nusername = \"bob\"\npassword = \"bob\"", `tokens = \['[0-9a-f]{64}'\]`, "anonymous"},
		{"[auth]\nsecret = \"0123456789abcdef\"", `secret = '0123456789abcdef'`, "anonymous"},
	} {
		r, err := Manager([]byte(tt.text))
		if err != nil || r.Problem != nil {
			t.Errorf("%q: %v, %v", tt.text, err, r.Problem)
		}
		text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(r.TOML), "")
		if !regexp.MustCompile(tt.want).MatchString(text) || regexp.MustCompile(tt.not).MatchString(text) {
			t.Errorf("%q: want %s and not %s\n%s", tt.text, tt.want, tt.not, text)
		}
	}
}

// TestMedia: where media come to, which is one address.
func TestMedia(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "0.0.0.0:7777",
		"[http]\nlisten = \"[::]:9000\"":       "[::]:9000",
		"[webrtc]\nice_udp_addrs = [\"auto\"]": "0.0.0.0:7777",
		"[webrtc]\nice_udp_addrs = [\"127.0.0.1:0\"]":                             "127.0.0.1:0",
		"[webrtc]\nice_udp_addrs = [\"auto\", \"10.0.0.1:4000\", \"10.0.0.2:1\"]": "10.0.0.1:4000",
	} {
		r, err := Node([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := config.Load(write(t, r.TOML), true, nil); err != nil || c.WebRTC.Listen != want {
			t.Errorf("%q: %v, want %s\n%s", text, err, want, r.TOML)
		}
	}
}

func TestCommand(t *testing.T) {
	call := func(do func([]byte) (Result, error), args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		p := command.Program{Name: "program", Commands: map[string]command.Command{"migrate-config": Command(do), command.Default: Command(do)}}
		code := p.Run(t.Context(), append([]string{"migrate-config"}, args...), command.Surroundings{Stdout: &stdout, Stderr: &stderr})
		return code, stdout.String(), stderr.String()
	}
	for name, tt := range map[string]struct {
		text   string
		code   int
		stdout string
		stderr string
	}{
		"all taken over": {"[http]\nlisten = \"127.0.0.1:7777\"\n[log]\nlevel = \"warn\"", 0, "# log.level: taken over\n", "3 keys: 0 are left"},
		"unknown":        {"[http]\nlisten = \"127.0.0.1:7777\"\nlisen = 1", 1, "# http.lisen: unknown", "http.lisen: unknown"},
		"a value that does not load": {
			"[http]\nlisten = \"nowhere\"\n[auth]\nsecret = \"0123456789abcdef\"", 1, "listen = 'nowhere'", `"nowhere" is no address`,
		},
		"no TOML": {"[http\n", 2, "", "old.toml: line 1, column"},
	} {
		file := filepath.Join(t.TempDir(), "old.toml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := call(Node, file); code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: code %d\n%s\n%s", name, code, stdout, stderr)
		}
	}
	if code, _, stderr := call(Node); code != 2 || !strings.Contains(stderr, "wants the file") {
		t.Errorf("without a file: %d %s", code, stderr)
	}
	if code, _, stderr := call(Node, "none.toml"); code != 2 || !strings.Contains(stderr, "none.toml") {
		t.Errorf("no such file: %d %s", code, stderr)
	}
}

// TestFilesNameTheCommand: a program that is started with a file of the original says what
// makes one of its own of it.
func TestFilesNameTheCommand(t *testing.T) {
	if _, err := config.Load("testdata/node.toml", true, nil); err == nil || !strings.Contains(err.Error(), "live777 migrate-config testdata/node.toml") {
		t.Errorf("node: %v", err)
	}
	if _, err := config.LoadLiveman("testdata/manager.toml", true, nil); err == nil || !strings.Contains(err.Error(), "liveman migrate-config testdata/manager.toml") {
		t.Errorf("manager: %v", err)
	}
	if _, err := config.Load(write(t, []byte("[http]\nlisen = \"x\"")), true, nil); err == nil || strings.Contains(err.Error(), "migrate-config") {
		t.Errorf("a slip of the finger: %v", err)
	}
	for text, hint := range map[string]bool{"[[nodes]]\nalias=\"a\"\nurl=\"http://h\"\nmode=\"sse\"": true, "[[nodes]]\nalias=\"a\"": false} {
		if _, err := config.LoadLiveman(write(t, []byte(text)), true, nil); err == nil || strings.Contains(err.Error(), "migrate-config") != hint {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func write(t *testing.T, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "new.toml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
