package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// loadLiveman is LoadLiveman of a text.
func loadLiveman(text string, environ ...string) (*Liveman, error) {
	c := new(Liveman)
	return c, loadInto(c, liveman, "liveman.toml", []byte(text), environ)
}

func TestLivemanDefaults(t *testing.T) {
	want := &Liveman{
		HTTP:       HTTP{Listen: "127.0.0.1:8888", CORSOrigins: []string{"http://localhost:*", "http://127.0.0.1:*"}, RequestsPerAddress: 500, TLS: TLS{ACMECache: "./acme"}},
		Log:        Log{Level: "info", Format: "text"},
		Tracing:    Tracing{Percent: 100},
		Database:   Database{URL: "sqlite://liveman.db"},
		Fleet:      Fleet{Poll: 5, Timeout: 5, ControlTimeout: 60},
		AutoRecord: AutoRecord{Copies: "all", Retry: 5},
		Signalling: Signalling{Mode: "relay"},
		Playback:   Playback{SignedRedirectTTL: 300},
		Storage:    Storage{Type: "none", FileMode: "0640"},
		Events:     EventOptions{File: "liveman-events.db", Keep: 72, MaxBytes: "256MiB", Timeout: 10, HookTimeout: 60, DiskLow: "10GB"},
	}
	if got := DefaultLiveman(); !reflect.DeepEqual(got, want) {
		t.Errorf("defaults:\n%+v\nwant:\n%+v", got, want)
	}
	dir := t.TempDir()
	if _, err := LoadLiveman(filepath.Join(dir, "liveman.toml"), false, nil); err != nil {
		t.Errorf("absent file: %v", err)
	}
	if _, err := LoadLiveman(filepath.Join(dir, "liveman.toml"), true, nil); err == nil {
		t.Error("a file that was asked for and is not there: no error")
	}
}

// uncomment finds the beginnings of lines that are commented out.
var uncomment = regexp.MustCompile(`(?m)^# `)

func TestLivemanExample(t *testing.T) {
	const path = "../../../liveman.example.toml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadLiveman(path, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", DefaultLiveman()); got != want {
		t.Errorf("%s loads to\n%s\nwant the defaults\n%s", path, got, want)
	}
	lines := lineNumbers(text)
	for _, f := range leaves(reflect.ValueOf(c).Elem(), "") {
		key := f.path[strings.LastIndex(f.path, ".")+1:]
		if lines[f.path] == 0 && !strings.Contains(string(text), "# "+key+" = ") && !strings.Contains(string(text), "# [["+f.path+"]]") {
			t.Errorf("%s lacks %s", path, f.path)
		}
	}
	// What is commented is valid when it is taken.
	_, storage, _ := strings.Cut(string(text), "[storage]\n")
	for block := range strings.SplitSeq(storage, "\n\n") {
		if _, err := loadLiveman("[storage]\n" + uncomment.ReplaceAllString(block, "")); err != nil {
			t.Error(err)
		}
	}
	_, nodes, _ := strings.Cut(string(text), "# [[nodes]]\n")
	nodes, _, _ = strings.Cut(nodes, "\n\n")
	if c, err := loadLiveman("[[nodes]]\n" + uncomment.ReplaceAllString(nodes, "")); err != nil || len(c.Nodes) != 1 {
		t.Errorf("nodes: %v", err)
	}
}

func TestLivemanProblems(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		environ    []string
		want       []string
	}{
		{"short tokens beyond loopback", "[http]\nlisten = ':8888'\n[auth]\ntokens = ['hunter2']\n[registration]\ntoken = 'hunter3'", nil, []string{
			":4: auth.tokens[0]: has 7 characters", ":6: registration.token: has 7 characters"}},
		{"a short key", "[registration]\nseal_key = 'hunter2'", nil, []string{":2: registration.seal_key: has 7 bytes"}},
		{"two keys", "[registration]\nseal_key = 'hunter2 hunter2 hunter2'\nseal_key_file = 'x'", nil, []string{":3: registration.seal_key_file: has no effect"}},
		{"a node's key", "[recorder]\nx=1", nil, []string{":1: recorder: unknown key", "[auth], [auto_record]"}},
		{"nodes", "[[nodes]]\n[[nodes]]\nalias='a/b'\nurl='10.0.0.1:7777'\n[[nodes]]\nalias='c'\nurl='http://u:hunter2@h'\n[[nodes]]\nalias='c'\nurl='http://h'\nlocal_storage=true", nil, []string{
			":1: nodes[0].alias: is missing", ":1: nodes[0].url: is missing", `:3: nodes[1].alias: "a/b"`, ":4: nodes[1].url", ":7: nodes[2].url", ":9: nodes[3].alias: \"c\" is the alias of nodes[2] too", ":11: nodes[3].local_storage"}},
		{"masked tokens", "[[nodes]]\nalias='a'\nurl='http://h'\ntoken='********'\n[registration]\ntoken='********'", nil, []string{":4: nodes[0].token", ":6: registration.token"}},
		{"one token for nodes and users", "[auth]\ntokens=['one']\n[registration]\ntoken='one'", nil, []string{":4: registration.token: is one of auth.tokens"}},
		{"storage", "[storage]\nbucket='b'", nil, []string{`:2: storage.bucket: belongs to storage of type "s3" or "oss", and type is "fs"`}},
		{"no storage", "[storage]\ntype='none'\nroot='x'", nil, []string{":3: storage.root: has no effect"}},
		{"storage type", "[storage]\ntype='nfs'", nil, []string{`"none", "fs", "s3" or "oss"`}},
		{"redirect without signatures", "[playback]\nsigned_redirect=true", nil, []string{":2: playback.signed_redirect"}},
		{"redirect", "[playback]\nsigned_redirect_ttl_seconds=5", nil, []string{"use 10 to 604800"}},
		{"patterns", "[auto_record]\nstreams=['[']\ncopies='two'", nil, []string{":2: auto_record.streams[0]", ":3: auto_record.copies"}},
		{"open to the world", "[http]\nlisten=':8888'", nil, []string{":2: http.listen"}},
		{"variables", "", []string{"LIVEMAN_FLEET_POLL=x", "LIVEMAN_SERVICE_HOST=10.0.0.1", "LIVE777_X=1"}, []string{"LIVEMAN_FLEET_POLL: there is no such setting; did you mean LIVEMAN_FLEET_POLL_SECONDS?"}},
		{"empty token by variable", "", []string{"LIVEMAN_AUTH_TOKENS="}, []string{"LIVEMAN_AUTH_TOKENS: auth.tokens: is empty; unset it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := loadLiveman(tt.text, tt.environ...)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Count(err.Error(), "\n")+1 > len(tt.want) {
				t.Errorf("too much in:\n%v", err)
			}
		})
	}
}

func TestLivemanPrintReloads(t *testing.T) {
	for _, text := range []string{"", `
[[nodes]]
alias = "a"
url = "http://10.0.0.1:7777"
token = "hunter-node"
[[nodes]]
alias = "b"
url = "https://b"
local_storage = true
[registration]
token = "hunter-registration"
[playback]
signed_redirect = true
[storage]
type = "s3"
bucket = "b"
access_key_id = "AKIA"
secret_access_key = "hunter-key"
`, "[storage]\nroot='/srv/shared'"} {
		c, err := loadLiveman(text, "DATABASE_URL=postgres://u:hunter@h/d")
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := c.Print(&b); err != nil {
			t.Fatal(err)
		}
		printed := b.String()
		again, err := loadLiveman(strings.ReplaceAll(printed, mask, "filled-in"))
		if err != nil {
			t.Fatalf("%v\nof:\n%s", err, printed)
		}
		if got, want := fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", c); got != want || strings.Contains(printed, "hunter") {
			t.Errorf("printed:\n%s\nloads to\n%s\nwant\n%s", printed, got, want)
		}
	}
}

func TestManagerOfANode(t *testing.T) {
	const node = "[recorder]\nnode_alias = 'edge-1'\n[manager]\nurl = 'http://m:8888'\ntoken = 'r'\n"
	c := mustLoad(t, node+"[auth]\ntokens = ['first', 'second']")
	if c.Manager.NodeURL != "http://127.0.0.1:7777" || c.Manager.NodeToken != "first" {
		t.Errorf("%q, first token taken: %v", c.Manager.NodeURL, c.Manager.NodeToken == "first")
	}
	for text, want := range map[string]string{
		"[manager]\ntoken = 'r'":                                         ":2: manager.token: has no effect without manager.url",
		"[manager]\nurl = 'http://m'":                                    "recorder.node_alias: is missing",
		"[recorder]\nnode_alias='a'\n[manager]\nurl='m:8888'\ntoken='r'": ":4: manager.url",
		node + "[auth]\ntokens=['t']\n[http]\nlisten=':7777'":            ":3: manager.node_url: is missing",
		node + "[[auth.users]]\nname='a'\npassword_hash='" + userHash + "'\nrights=['view']\nstreams=['*']": ":3: manager.node_token: is missing",
		node + "node_url = 'ftp://x'": ":6: manager.node_url",
	} {
		if _, err := load("f", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n%v\nwant %s", text, err, want)
		}
	}
}
