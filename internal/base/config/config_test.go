package config

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func mustLoad(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, err := load("live777.toml", []byte(text), environ)
	if err != nil {
		t.Fatalf("load: %v\nof:\n%s", err, text)
	}
	return c
}

func TestDefaults(t *testing.T) {
	want := &Config{
		HTTP:     HTTP{Listen: "127.0.0.1:7777", CORSOrigins: []string{"http://localhost:*", "http://127.0.0.1:*"}, RequestsPerAddress: 500, TLS: TLS{ACMECache: "./acme"}},
		WebRTC:   WebRTC{Listen: "127.0.0.1:7777", ConnectTimeout: 15, Grace: 30, Receiver: "pion"},
		Limits:   Limits{Sessions: 1000, Unconnected: 200},
		Log:      Log{Level: "info", Format: "text"},
		Tracing:  Tracing{Percent: 100},
		Database: Database{URL: "sqlite://live777.db"},
		Recorder: Recorder{
			MaxRecording: 86400, Segment: 6, Chunk: 500, Reconnect: 10, Drain: 30, Fsync: "segment",
			Storage:   Storage{Type: "fs", Root: "./storage", FileMode: "0640"},
			Spool:     Spool{Dir: "./spool", MaxBytes: "10GiB", Uploads: 8},
			Retention: Retention{MaxBytes: "0", MinFree: "0", Check: 60},
		},
		Manager: Manager{Register: 30},
		Events:  EventOptions{File: "live777-events.db", Keep: 72, MaxBytes: "256MiB", Timeout: 10, HookTimeout: 60, DiskLow: "10GB"},
	}
	got := Default()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults:\n%+v\nwant:\n%+v", got, want)
	}
	if got.Recorder.Segment.Duration() != 6*time.Second || got.Recorder.Chunk.Duration() != 500*time.Millisecond {
		t.Error("units are not converted")
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "live777.toml")
	if _, err := Load(path, true, nil); err == nil {
		t.Error("a file that was asked for and is not there: no error")
	}
	c, err := Load(path, false, nil)
	if err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("absent file: %v, %+v", err, c)
	}
	if _, err := Load(dir, false, nil); err == nil {
		t.Error("a directory: no error")
	}
	if err := os.WriteFile(path, []byte("\xef\xbb\xbf[http]\r\nlisten = \"127.0.0.1:1\"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = Load(path, true, nil); err != nil || c.HTTP.Listen != "127.0.0.1:1" {
		t.Errorf("byte order mark and CRLF: %v, %+v", err, c)
	}
	if err := os.WriteFile(path, []byte("[http]\nport = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Load(path, true, nil); err == nil || !strings.HasPrefix(err.Error(), path+":2: http.port: unknown key") {
		t.Errorf("error without file and line: %v", err)
	}
}

func TestExampleHasTheDefaults(t *testing.T) {
	const path = "../../../live777.example.toml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Empty and absent lists mean the same.
	if got, want := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", Default()); got != want {
		t.Errorf("%s loads to\n%s\nwant the defaults\n%s", path, got, want)
	}
	l := &loader{lines: lineNumbers(text)}
	for _, f := range leaves(reflect.ValueOf(c).Elem(), "") {
		key := f.path[strings.LastIndex(f.path, ".")+1:]
		commented := strings.Contains(string(text), "# "+key+" = ") || strings.Contains(string(text), "# [["+f.path+"]]")
		if l.lines[f.path] == 0 && !commented {
			t.Errorf("%s lacks %s", path, f.path)
		}
	}
}

// The commented variants of the example must be valid when they are taken.
func TestExampleVariants(t *testing.T) {
	text, err := os.ReadFile("../../../live777.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, storage, _ := strings.Cut(string(text), "[recorder.storage]\n")
	for block := range strings.SplitSeq(storage, "\n\n") {
		block = strings.ReplaceAll(block, "# ", "")
		t.Run(strings.SplitN(block, "\n", 2)[0], func(t *testing.T) {
			mustLoad(t, "[recorder.storage]\n"+block)
		})
	}
	_, ice, _ := strings.Cut(string(text), "# [[webrtc.ice_servers]]\n")
	ice, _, _ = strings.Cut(ice, "\n\n")
	c := mustLoad(t, "[[webrtc.ice_servers]]\n"+strings.ReplaceAll(ice, "# ", ""))
	if len(c.WebRTC.ICEServers) != 1 || c.WebRTC.ICEServers[0].Credential != "password" {
		t.Errorf("ice servers: %+v", c.WebRTC.ICEServers)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name, text string
		environ    []string
		want       []string // what the message contains
	}{
		{name: "unknown key", text: "[recorder]\n\nsegment_second = 5", want: []string{"live777.toml:3: recorder.segment_second: unknown key", `did you mean "segment_seconds"`}},
		{name: "unknown table", text: "[recroder]\n", want: []string{"live777.toml:1: recroder: unknown key", `"recorder"`}},
		{name: "far from all", text: "[log]\nzzzzzzzz = 1", want: []string{":2: log.zzzzzzzz", "the keys of [log] are format, level"}},
		{name: "far from all tables", text: "zzzzzzzz = 1", want: []string{":1: zzzzzzzz", "[http], [limits], [log]"}},
		{name: "in the wrong table", text: "[recorder]\nbucket = 'x'", want: []string{":2: recorder.bucket", "bucket of [recorder.storage]"}},
		{name: "unknown in array table", text: "[[webrtc.ice_servers]]\nurls=['stun:a']\n[[webrtc.ice_servers]]\nurl=['stun:b']", want: []string{":4: webrtc.ice_servers[1].url", `"urls"`}},
		{name: "unknown in inline table", text: "webrtc = { ice_servers = [\n{urls=['stun:a']},\n{urls=['stun:a'], user='x'}] }", want: []string{":3: webrtc.ice_servers[1].user", `"username"`}},
		{name: "dotted key", text: "a = 1\nrecorder.storage.rot = 'x'", want: []string{":1: a", `:2: recorder.storage.rot: unknown key; did you mean "root"`}},
		{name: "wrong types", text: "[http]\nlisten = 7777\n[recorder]\nchunk_ms = '500'\nauto_streams = '*'\nsegment_seconds = 6.0\n[auth]\nanonymous = 1\ntokens = [\n'a',\n5]", want: []string{
			":2: http.listen: want a string, got an integer", ":4: recorder.chunk_ms: want an integer, got a string",
			":5: recorder.auto_streams: want an array of strings, got a string", ":6: recorder.segment_seconds: want an integer, got a float",
			":8: auth.anonymous: want a boolean", ":11: auth.tokens[1]: want a string, got an integer"}},
		{name: "table wanted", text: "http = 'x'\n[recorder]\nfsync = 1979-05-27", want: []string{":1: http: want a table, got a string", ":3: recorder.fsync: want a string, got a date or time"}},
		{name: "ranges", text: "[recorder]\nsegment_seconds = 0\nmax_recording_seconds = -1\nchunk_ms = 99999999999", want: []string{":2: recorder.segment_seconds: 0 is not allowed; use 1 to 60", ":3: recorder.max_recording_seconds", ":4: recorder.chunk_ms: 99999999999 is out of range"}},
		{name: "chunk longer than segment", text: "[recorder]\nsegment_seconds = 1\nchunk_ms = 1001", want: []string{":3: recorder.chunk_ms: 1001 is longer"}},
		{name: "one of", text: "[log]\nlevel = 'verbose'\n[recorder]\nfsync = 'never'", want: []string{`:2: log.level: "verbose" is not allowed; use "debug", "info", "warn" or "error"`, `:4: recorder.fsync`}},
		{name: "glob", text: "[recorder]\nauto_streams = [\n'ok-*',\n'bad[',\n'']", want: []string{`:4: recorder.auto_streams[1]: "bad["`, ":5: recorder.auto_streams[2]: is empty"}},
		{name: "addresses", text: "[http]\nlisten = 'localhost'\n[webrtc]\nlisten = '1.2.3.4:99999'\npublic_ips = ['1.2.3', '0.0.0.0']", want: []string{":2: http.listen", ":4: webrtc.listen", `:5: webrtc.public_ips[0]: "1.2.3"`, "public_ips[1]"}},
		{name: "public address of loopback", text: "[webrtc]\npublic_ips = ['203.0.113.1']", want: []string{`:2: webrtc.public_ips: has no effect while webrtc.listen is "127.0.0.1:7777"`, `":7777"`}},
		{name: "public address of a loopback that was set", text: "[http]\nlisten = ':7777'\n[auth]\ntokens = ['t']\n[webrtc]\nlisten = 'localhost:7777'\npublic_ips = ['203.0.113.1']", want: []string{":7: webrtc.public_ips: has no effect"}},
		{name: "short tokens beyond loopback", text: "[http]\nlisten = ':7777'\n[auth]\ntokens = ['0123456789abcdef', 'hunter2']", want: []string{
			":4: auth.tokens[1]: has 7 characters", "16 random ones"}},
		{name: "empty tokens of the environment", text: "[auth]\ntokens = ['t']", environ: []string{"LIVE777_AUTH_TOKENS="}, want: []string{"LIVE777_AUTH_TOKENS: auth.tokens: is empty; unset it"}},
		{name: "empty secret of the environment", text: "[auth]\nsecret = '0123456789abcdef'", environ: []string{"LIVE777_AUTH_SECRET="}, want: []string{"LIVE777_AUTH_SECRET: auth.secret: is empty; unset it"}},
		{name: "empty anonymous of the environment", environ: []string{"LIVE777_AUTH_ANONYMOUS="}, want: []string{"LIVE777_AUTH_ANONYMOUS: auth.anonymous: is empty; unset it"}},
		{name: "origins", text: "[http]\ncors_origins = ['example.com', 'https://a/b', 'https://*.a', 'https://a:1:*', 'null']", want: []string{"cors_origins[0]", "cors_origins[1]", "cors_origins[2]", "cors_origins[3]", "cors_origins[4]"}},
		{name: "open to the world", text: "[http]\nlisten = '0.0.0.0:7777'", want: []string{":2: http.listen", "auth.tokens or auth.secret or [[auth.users]]", "127.0.0.1", "auth.anonymous = true"}},
		{name: "all interfaces", text: "[http]\nlisten = ':7777'", want: []string{"http.listen", "no credentials"}},
		{name: "a name is not loopback", text: "[http]\nlisten = 'localhost.example.com:7777'", want: []string{"http.listen", "no credentials"}},
		{name: "mapped address", text: "[http]\nlisten = '[::ffff:10.0.0.1]:7777'", want: []string{"http.listen", "no credentials"}},
		{name: "empty tokens list does not protect", text: "[http]\nlisten = ':7777'\n[auth]\ntokens = []\nsecret = ''", want: []string{"http.listen", "no credentials"}},
		{name: "tokens", text: "[auth]\ntokens = ['', 'a b', 'x,y', '********']", want: []string{":2: auth.tokens[0]: is empty", "auth.tokens[1]: has a character", "auth.tokens[2]: has a character", "auth.tokens[3]: is the mask"}},
		{name: "short secret", text: "[auth]\nsecret = '123456789012345'", want: []string{":2: auth.secret: has 15 bytes"}},
		{name: "anonymous and token", text: "[auth]\ntokens=['x']\nanonymous = true", want: []string{":3: auth.anonymous"}},
		{name: "database", text: "[database]\nurl = 'mysql://u:hunter2@h/d'", want: []string{":2: database.url", "sqlite://"}},
		{name: "masked database", text: "[database]\nurl = 'postgres://u:********@h/d'", want: []string{":2: database.url", "mask"}},
		{name: "ice", text: "[[webrtc.ice_servers]]\n[[webrtc.ice_servers]]\nurls=['http://x', 'stun:', 'turn:a']", want: []string{":1: webrtc.ice_servers[0].urls: is missing", `:3: webrtc.ice_servers[1].urls[0]: "http://x"`, `urls[1]: "stun:"`, ":2: webrtc.ice_servers[1]: a TURN server"}},
		{name: "storage type", text: "[recorder.storage]\ntype = 'gcs'\nbucket = 'x'", want: []string{`:2: recorder.storage.type: "gcs" is not allowed; use "fs", "s3" or "oss"`}},
		{name: "key of others", text: "[recorder.storage]\nbucket = 'x'", want: []string{`:2: recorder.storage.bucket: belongs to storage of type "s3" or "oss", and type is "fs"`}},
		{name: "key of oss", text: "[recorder.storage]\ntype = 's3'\nbucket = 'b'\nsecurity_token = 'x'", want: []string{`:4: recorder.storage.security_token: belongs to storage of type "oss"`}},
		{name: "false is a key too", text: "[recorder.storage]\nenable_virtual_host_style = false", want: []string{`belongs to storage of type "s3"`}},
		{name: "s3 incomplete", text: "[recorder.storage]\ntype = 's3'\naccess_key_id = 'x'", want: []string{":1: recorder.storage.bucket: is missing", ":1: recorder.storage.secret_access_key: is missing"}},
		{name: "oss incomplete", text: "[recorder.storage]\ntype = 'oss'\nsecurity_token = 'x'\nroot = '/../x'", want: []string{"storage.bucket: is missing", "storage.region: is missing", "storage.endpoint: is missing", "access_key_id: is missing", ":4: recorder.storage.root"}},
		{name: "endpoint", text: "[recorder.storage]\ntype = 's3'\nbucket = 'b'\nendpoint = 'localhost:9000'", want: []string{":4: recorder.storage.endpoint"}},
		{name: "empty root", text: "[recorder.storage]\nroot = ''", want: []string{":2: recorder.storage.root: is empty"}},
		{name: "syntax", text: "[http]\nlisten = \n", want: []string{"live777.toml:2:"}},
		{name: "twice", text: "[http]\nlisten = 'a:1'\nlisten = 'a:2'\n", want: []string{"live777.toml:3:"}},
		{name: "variables", environ: []string{"LIVE777_HTTP_LISTN=x", "LIVE777_RECORDER_CHUNK_MS=soon", "LIVE777_AUTH_ANONYMOUS=yes", "LIVE777_LOG_LEVEL=loud", "LIVE777_RECORDER_AUTO_STREAMS=a,b["}, want: []string{
			"environment variable LIVE777_HTTP_LISTN: there is no such setting; did you mean LIVE777_HTTP_LISTEN?",
			`environment variable LIVE777_RECORDER_CHUNK_MS: recorder.chunk_ms: want an integer, got "soon"`,
			"LIVE777_AUTH_ANONYMOUS: auth.anonymous: want", "LIVE777_LOG_LEVEL: log.level", `LIVE777_RECORDER_AUTO_STREAMS: recorder.auto_streams[1]: "b["`}},
		{name: "variable far from all", environ: []string{"LIVE777_QQQQQQQQQQQQ=x"}, want: []string{"LIVE777_QQQQQQQQQQQQ: there is no such setting; the variables are LIVE777_HTTP_LISTEN, "}},
		{name: "empty token by variable", environ: []string{"LIVE777_AUTH_TOKENS=a,"}, want: []string{"LIVE777_AUTH_TOKENS: auth.tokens[1]: is empty"}},
		{name: "foreign database variable", environ: []string{"DATABASE_URL=mysql://u:hunter2@h"}, want: []string{"environment variable DATABASE_URL: database.url"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load("live777.toml", []byte(tt.text), tt.environ)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a password in: %v", err)
			}
			if tt.name != "syntax" && tt.name != "twice" && strings.Count(err.Error(), "\n")+1 > len(tt.want)+1 {
				t.Errorf("problems that are only consequences:\n%v", err)
			}
		})
	}
}

// One mistake is one message, without those that follow from it.
func TestNoConsequences(t *testing.T) {
	for _, text := range []string{
		"[recorder.storage]\nroot = 5", "[webrtc]\nlisten = 5", "[auth]\ntokens = [5]", "[recorder]\nauto_streams = [5]", "[http]\nlisten = 'x'",
		"webrtc.ice_servers = [5]", "[recorder.storage]\ntype = 'gcs'\nbucket = 'b'", "[recorder.storage]\ntype = 's3'\nbucket = 5", "http = 5",
	} {
		_, err := load("f", []byte(text), nil)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\n%v", text, err)
		}
	}
}

func TestAccepted(t *testing.T) {
	for _, text := range []string{
		"[http]\nlisten = 'localhost:0'",
		"[http]\nlisten = '[::1]:7777'",
		"[http]\nlisten = ':7777'\n[auth]\ntokens = ['0123456789abcdef']",
		"[auth]\ntokens = ['t']",
		"[http]\nlisten = ':7777'\n[auth]\nsecret = '1234567890123456'",
		"[http]\nlisten = ':7777'\n[auth]\nanonymous = true",
		"[http]\ncors_origins = ['https://a.example', 'http://b:8080', 'http://[::1]:*', '*']",
		"[webrtc]\nlisten = ':0'\npublic_ips = ['203.0.113.1', '2001:db8::1']",
		"[recorder]\nmax_recording_seconds = 0\nauto_streams = ['*', 'web-[0-9]?']",
		"[recorder.storage]\ntype = 's3'\nbucket = 'b'",
		"[recorder.storage]\ntype = 's3'\nbucket = 'b'\nroot=''\ndisable_config_load = true",
		"[database]\nurl = 'postgres://u:p@h/d?sslmode=disable'",
	} {
		mustLoad(t, text)
	}
	mustLoad(t, "", "LIVE777_SERVICE_HOST=10.0.0.1", "LIVE777_SERVICE_PORT=80", "LIVE777_PORT=tcp://10.0.0.1:80",
		"LIVE777_PORT_80_TCP_ADDR=10.0.0.1", "LIVE777_HTTP_SERVICE_PORT_API=80", "PATH=/bin", "=C:=x", "broken")
}

func TestDerived(t *testing.T) {
	c := mustLoad(t, "[http]\nlisten = '[::1]:8080'\n[recorder.storage]\ntype='s3'\nbucket='b'\n[auth]\ntokens=['x']")
	if c.WebRTC.Listen != "[::1]:7777" {
		t.Errorf("webrtc.listen = %q", c.WebRTC.Listen)
	}
	if c.Recorder.Storage.Root != "/" {
		t.Errorf("root of s3 = %q", c.Recorder.Storage.Root)
	}
	if len(c.HTTP.CORSOrigins) != 1 || c.HTTP.CORSOrigins[0] != "*" {
		t.Errorf("cors_origins with tokens = %q", c.HTTP.CORSOrigins)
	}
	// Whoever lets everybody in on the network has not let in every web site that
	// somebody on it visits.
	c = mustLoad(t, "[auth]\nanonymous = true")
	if slices.Contains(c.HTTP.CORSOrigins, "*") || len(c.HTTP.CORSOrigins) == 0 {
		t.Errorf("cors_origins of an anonymous node = %q", c.HTTP.CORSOrigins)
	}
	c = mustLoad(t, "[http]\ncors_origins = []")
	if len(c.HTTP.CORSOrigins) != 0 {
		t.Errorf("an explicit empty list became %q", c.HTTP.CORSOrigins)
	}
}

func TestEnvironment(t *testing.T) {
	c := mustLoad(t, "[http]\nlisten = '127.0.0.1:1'\n[recorder]\nauto_streams = ['x']",
		"LIVE777_HTTP_LISTEN=127.0.0.1:2", "LIVE777_RECORDER_AUTO_STREAMS=room1, web-*", "LIVE777_RECORDER_CHUNK_MS=1_000",
		"LIVE777_AUTH_TOKENS=a,b", "LIVE777_RECORDER_STORAGE_ROOT=/srv/a=b", "LIVE777_DATABASE_URL=sqlite://ours.db", "DATABASE_URL=sqlite://theirs.db")
	if c.HTTP.Listen != "127.0.0.1:2" || c.Recorder.Chunk != 1000 || c.Recorder.Storage.Root != "/srv/a=b" {
		t.Errorf("%+v", c)
	}
	if !reflect.DeepEqual(c.Recorder.AutoStreams, []string{"room1", "web-*"}) || !reflect.DeepEqual(c.Auth.Tokens, []Secret{"a", "b"}) {
		t.Errorf("lists: %q, %d tokens", c.Recorder.AutoStreams, len(c.Auth.Tokens))
	}
	if c.Database.URL != "sqlite://ours.db" {
		t.Errorf("database.url = %s", c.Database.URL)
	}
	c = mustLoad(t, "[database]\nurl = 'sqlite://file.db'", "DATABASE_URL=postgres://u:p@h/d")
	if c.Database.URL != "postgres://u:p@h/d" {
		t.Errorf("DATABASE_URL was not taken: %s", c.Database.URL)
	}
	if c = mustLoad(t, "", "LIVE777_RECORDER_AUTO_STREAMS="); len(c.Recorder.AutoStreams) != 0 {
		t.Errorf("an empty variable became %q", c.Recorder.AutoStreams)
	}
}

// secrets are the values that must never show, and where they stand.
const everySecret = `
[auth]
tokens = ["hunter-one-of-some", "hunter-two-of-some"]
secret = "hunter-secret-of-32-bytes-length"
[http]
listen = "0.0.0.0:80"
[log]
format = "json"
[database]
url = "postgres://user:hunter-db@host/name?password=hunter-query&sslmode=disable"
[recorder]
node_alias = "\"quoted\" \\ é"
auto_streams = ["a-*", 'b\*']
[[webrtc.ice_servers]]
urls = ["turn:a", "stun:b"]
username = "u"
credential = "hunter-ice"
[[webrtc.ice_servers]]
urls = ["stun:c"]
[recorder.storage]
type = "s3"
bucket = "b"
access_key_id = "AKIA"
secret_access_key = "hunter-key"
session_token = "hunter-session"
`

func TestPrintReloads(t *testing.T) {
	for _, text := range []string{"", everySecret, "[recorder.storage]\ntype='oss'\nbucket='b'\nregion='r'\nendpoint='https://e'\naccess_key_id='i'\naccess_key_secret='hunter'"} {
		c := mustLoad(t, text)
		var b bytes.Buffer
		if err := c.Print(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "hunter") {
			t.Errorf("a secret is printed:\n%s", b.String())
		}
		if c.Auth.Configured() {
			if _, err := load("printed", b.Bytes(), nil); err == nil || !strings.Contains(err.Error(), "mask") {
				t.Errorf("the mask was accepted as a secret: %v", err)
			}
		}
		again := mustLoad(t, fillIn(b.String()))
		if got, want := fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", c); got != want {
			t.Errorf("printed:\n%s\nloads to\n%s\nwant\n%s", b.String(), got, want)
		}
	}
}

// fillIn puts secrets in place of the masks, as a person would.
func fillIn(printed string) string {
	return strings.ReplaceAll(printed, mask, "filled-in-with-32-bytes-of-secret")
}

func TestSecretsDoNotShow(t *testing.T) {
	c := mustLoad(t, everySecret)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.Auth.Secret, "db", c.Database.URL, "config", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", c.Auth.Secret, "db", c.Database.URL, "config", c)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&log, verb, *c)
	}
	if strings.Contains(log.String(), "hunter") {
		t.Errorf("a secret shows in:\n%s", log.String())
	}
	if !strings.Contains(log.String(), "postgres://user:********@host/name") {
		t.Errorf("the database's host does not show in:\n%s", log.String())
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ a, b string }{{"", "abc"}, {"abc", ""}, {"abc", "abd"}, {"kitten", "sitting"}} {
		want := map[string]int{"": 3, "abc": 1, "kitten": 3}[tt.a]
		if tt.b == "" {
			want = 3
		}
		if got := editDistance(tt.a, tt.b); got != want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tt.a, tt.b, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../../../live777.example.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example), "")
	f.Add(everySecret, "LIVE777_RECORDER_AUTO_STREAMS=a,b")
	f.Add("[[webrtc.ice_servers]]\nurls=[\n'stun:a',#x\n'turn:b']\n[webrtc.ice_servers.x]\ny=1", "DATABASE_URL=x")
	f.Add("webrtc.ice_servers=[{urls=[]},[],{'a.b'={c=1}}]", "LIVE777_=")
	f.Fuzz(func(t *testing.T, text, variable string) {
		c, err := load("f", []byte(text), []string{variable})
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := c.Print(&b); err != nil {
			t.Fatal(err)
		}
		again, err := load("printed", []byte(fillIn(b.String())), nil)
		if err != nil {
			t.Fatalf("printed configuration does not load: %v\n%s", err, b.String())
		}
		if got, want := fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", c); got != want {
			t.Fatalf("printed:\n%s\nloads to\n%s\nwant\n%s", b.String(), got, want)
		}
	})
}
