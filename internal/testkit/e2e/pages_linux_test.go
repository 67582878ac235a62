package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/testkit/portlock"
)

// TestOperatePages runs the commands of the pages on how a node is secured and operated,
// one after the other, with the configuration that they make. They are the same in Chinese.
func TestOperatePages(t *testing.T) {
	t.Parallel()
	secure, operate := blocksOf(t, "secure"), blocksOf(t, "operate")
	p := &pages{t: t, dir: t.TempDir(), address: portlock.Address(t)}
	p.run(secure[0]) // a certificate and a token
	hash := p.run(secure[2])
	config := strings.NewReplacer("TOKEN", strings.TrimSpace(p.read("token")), "HASH", strings.TrimSpace(hash), `":7777"`, fmt.Sprintf("%q", p.address)).Replace(secure[1])
	if err := os.WriteFile(filepath.Join(p.dir, "live777.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if shown := p.run(secure[3]); strings.Contains(shown, p.read("token")) || !strings.Contains(shown, "studio-*") {
		t.Errorf("-check-config shows\n%s", shown)
	}
	ca := newAuthority(t)
	ca.roots.AppendCertsFromPEM([]byte(p.read("cert.pem")))
	cmd := exec.CommandContext(context.Background(), program(t))
	cmd.Dir = p.dir
	s := runNode(t, cmd, p.address, filepath.Join(p.dir, "storage"), ca)
	p.pid = s.cmd.Process.Pid
	if said := p.run(secure[4]); !strings.HasPrefix(said, "401\n") {
		t.Errorf("who has no credentials is told\n%s", said)
	}
	for _, block := range operate {
		p.run(block)
	}
	if log := s.log.String(); !strings.Contains(log, "SIGHUP: the configuration was read again") {
		t.Errorf("the log says nothing of SIGHUP")
	}
}

// blocksOf returns the commands and configurations of a page, which are those of the page in
// Chinese.
func blocksOf(t *testing.T, page string) []string {
	t.Helper()
	var all [2][]string
	for i, name := range []string{page + ".md", page + ".zh.md"} {
		text, err := os.ReadFile(filepath.Join(repository, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?s)\n```(?:sh|toml)\n(.*?\n)```\n").FindAllSubmatch(text, -1) {
			all[i] = append(all[i], string(m[1]))
		}
	}
	if !slices.Equal(all[0], all[1]) || len(all[0]) == 0 {
		t.Fatalf("%s.md has the commands\n%q\nand in Chinese\n%q", page, all[0], all[1])
	}
	return all[0]
}

// pages is where the commands run.
type pages struct {
	t       *testing.T
	dir     string
	address string
	pid     int // of the node
}

// run runs each line of a block, and returns what they print.
func (p *pages) run(block string) string {
	p.t.Helper()
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	block = strings.ReplaceAll(block, "localhost:7777", "localhost:"+port)
	block = strings.ReplaceAll(block, "pkill -HUP -x live777", fmt.Sprintf("kill -HUP %d", p.pid)) // and not those of other tests
	var out, stderr bytes.Buffer
	for line := range strings.Lines(block) {
		cmd := exec.CommandContext(p.t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, &out, &stderr
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program(p.t))+":"+os.Getenv("PATH"))
		if err := cmd.Run(); err != nil {
			p.t.Errorf("%s: %v\n%s%s", line, err, out.String(), stderr.String())
		}
	}
	return out.String()
}

func (p *pages) read(name string) string {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}
