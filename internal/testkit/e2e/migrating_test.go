package e2e

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// madeByOriginal is a recording that an original live777 has made.
const madeByOriginal = "internal/library/maintain/testdata/original"

// originalFiles are what users of the original have before they begin, but for recordings.
var originalFiles = map[string]string{
	"original.toml": "[http]\nlisten = \"127.0.0.1:0\"\ncors = true\n[webrtc]\nice_udp_addrs = [\"127.0.0.1:0\"]\n" +
		"[auth]\nsecret = \"a-secret-of-the-old-cluster\"\n[recorder]\nindex_path = \"recordings/index.json\"\n[recorder.storage]\ntype = \"fs\"\nroot = \"recordings\"\n",
	"original-liveman.toml": "[http]\nlisten = \"127.0.0.1:0\"\n[auth]\nsecret = \"a-secret-of-the-old-cluster\"\n[database]\nurl = \"sqlite://original-liveman.db\"\n" +
		"[[nodes]]\nalias = \"old-1\"\nurl = \"http://127.0.0.1:9\"\nmode = \"poll\"\n[recorder.storage]\ntype = \"fs\"\nroot = \"shared\"\n",
	"recordings/index.json": `{"record":"1796235531","stream":"camera","mpd_path":"camera/1796235531/manifest.mpd","start_ts":1796235531340749,"status":"Active","node_alias":"old-1"}` + "\n",
}

// moving is what docs/migrating.md has its reader do.
type moving struct {
	t   *testing.T
	dir string
	old *httptest.Server // an original node
	env []string
}

func newMoving(t *testing.T) *moving {
	m := &moving{t: t, dir: t.TempDir()}
	for _, dir := range []string{"recordings/camera/1796235531", "shared/records/1796235531"} {
		if err := os.CopyFS(filepath.Join(m.dir, dir), os.DirFS(filepath.Join(repository, madeByOriginal))); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range originalFiles {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	recording := true
	m.old = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer a-token", r.URL.Path != "/api/record/camera":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodDelete:
			recording = false
		case !recording:
			_, _ = io.WriteString(w, `{"recording":false}`)
		}
	}))
	t.Cleanup(m.old.Close)
	m.env = append(os.Environ(), "TOKEN=a-token", "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"))
	m.run(`sqlite3 original-liveman.db "CREATE TABLE recordings (id, stream, record, mpd_path); INSERT INTO recordings VALUES (1, 'hall', '1796235531', 'records/1796235531/manifest.mpd')"`)
	return m
}

// run runs a command and returns what it says, and whether it succeeded.
func (m *moving) run(command string) (out string, ok bool) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", strings.NewReplacer("http://old-1:7777", m.old.URL, "curl ", "curl -fsS ").Replace(command))
	cmd.Dir, cmd.Env = m.dir, m.env
	text, err := cmd.CombinedOutput()
	return string(text), err == nil
}

// TestMigratingRecipes runs the commands of docs/migrating.md, in both languages, as they stand
// there and in their order, in the folder of an original's user.
func TestMigratingRecipes(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"docs/migrating.md", "docs/migrating.zh.md"} {
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			m := newMoving(t)
			want := map[string]string{ // what commands begin with, and say
				"live777 migrate-config":  "rebuild -originals recordings/index.json",
				"live777 -config":         "storage",
				"liveman migrate-config":  "recorder.storage: replaced",
				"liveman -config":         "old-1",
				"curl -X DELETE":          "",
				"curl -H":                 `{"recording":false}`,
				"live777 rebuild -config": "stream=camera record_id=1796235531 record_dir=camera/1796235531",
				"live777 verify":          "as an original live777 writes it",
				"sqlite3 -json":           "",
				"liveman rebuild -config": "stream=hall record_id=1796235531 record_dir=records/1796235531",
			}
			for _, command := range pageCommands(t, page) {
				out, ok := m.run(command)
				known := false
				for begin, says := range want {
					if !strings.HasPrefix(command, begin) {
						continue
					}
					known = true
					delete(want, begin)
					// The first two say by their code that something is left to do.
					if mayFail := strings.Contains(command, " migrate-config ") || strings.HasPrefix(command, "live777 verify"); !ok && !mayFail || !strings.Contains(out, says) {
						t.Errorf("%s: %v\n%s", command, ok, out)
					}
				}
				if !known {
					t.Errorf("%s: the test does not know what it does", command)
				}
			}
			for begin := range want {
				t.Errorf("the page does not have %q any more", begin)
			}
		})
	}
}
