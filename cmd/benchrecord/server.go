package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/media"
)

const reference = "pion, thrown away"

// server is a WHIP server that is measured.
type server struct {
	name  string
	tells bool // it is a node, and tells what it allocates
	// launch starts it; url is the endpoint, with {n} for the number of a stream.
	launch func(ctx context.Context) (p *process, url string, err error)
	// check says what is wrong with what it has recorded of so many streams, whose
	// sessions have ended; nil: nobody looks.
	check func(ctx context.Context, p *process, streams int) error
}

// servers returns what is measured: the node, the receiver that throws everything away,
// and the others of the command line.
func servers(o *options) ([]server, error) {
	program, err := filepath.Abs(o.program)
	if err != nil {
		return nil, fmt.Errorf("find the node's program: %w", err)
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("find the node's program, make build makes it: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	all := []server{node(program, o.config), receiver(self)}
	for _, p := range o.peers {
		all = append(all, p.server())
	}
	return all, nil
}

// address matches the page's address in what a node says when it starts.
var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// node is a live777 that records everything to a local disk.
func node(program, config string) server {
	return server{name: "live777 recorder", tells: true, check: checkRecordings, launch: func(ctx context.Context) (*process, string, error) {
		p, err := start(ctx, func(dir string) ([]string, error) {
			text := "[http]\nlisten = \"127.0.0.1:0\"\n[webrtc]\nlisten = \"127.0.0.1:0\"\n[recorder]\nauto_streams = [\"*\"]\n" + config
			return []string{program}, os.WriteFile(filepath.Join(dir, "live777.toml"), []byte(text), 0o600)
		})
		if err != nil {
			return nil, "", err
		}
		err = p.await(ctx, "start a node", func() bool {
			p.base = address.FindString(p.log.String())
			return p.base != ""
		})
		return p, "/whip/bench{n}", err
	}}
}

// receiver is this program as a receiver that records nothing.
func receiver(self string) server {
	return server{name: reference, launch: func(ctx context.Context) (*process, string, error) {
		p, err := start(ctx, func(dir string) ([]string, error) {
			return []string{self, "-receive", filepath.Join(dir, "url")}, nil
		})
		if err != nil {
			return nil, "", err
		}
		err = p.await(ctx, "start the reference receiver", func() bool {
			text, err := os.ReadFile(filepath.Join(p.dir, "url"))
			p.base = string(text)
			return err == nil
		})
		return p, "/{n}", err
	}}
}

// peer is another server, which listens where its command says.
type peer struct {
	name    string
	url     string
	command []string
}

// server is the peer as it is measured.
func (o peer) server() server {
	return server{name: o.name, launch: func(ctx context.Context) (*process, string, error) {
		p, err := start(ctx, func(dir string) ([]string, error) {
			line := make([]string, len(o.command))
			for i, word := range o.command {
				line[i] = strings.ReplaceAll(word, "{dir}", dir)
			}
			return line, nil
		})
		if err != nil {
			return nil, "", err
		}
		host := strings.TrimPrefix(o.url, "http://")
		host, _, _ = strings.Cut(host, "/")
		err = p.await(ctx, "start "+o.name, func() bool {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		})
		return p, o.url, err
	}}
}

// checkRecordings waits until the node has sealed a recording of each stream, and says
// which are not complete.
func checkRecordings(ctx context.Context, p *process, streams int) error {
	for n := 1; n <= streams; n++ {
		if _, err := request(ctx, "DELETE", p.base+"/api/record/bench"+strconv.Itoa(n)); err != nil {
			return fmt.Errorf("stop a recording: %w", err)
		}
	}
	var all []media.Recording
	var failed error
	err := p.await(ctx, "wait until all is recorded", func() bool {
		all, failed = recordings(ctx, p.base)
		ended := 0
		for i := range all {
			if all[i].End != nil {
				ended++
			}
		}
		return failed != nil || ended == streams
	})
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	for i := range all {
		if all[i].Status != media.StatusComplete {
			return fmt.Errorf("%s is %s: %s", all[i].RecordDir, all[i].Status, all[i].Reason)
		}
	}
	return nil
}

// recordings reads what the node has recorded.
func recordings(ctx context.Context, base string) ([]media.Recording, error) {
	body, err := request(ctx, "GET", base+"/api/recordings?limit=1000")
	if err != nil {
		return nil, fmt.Errorf("list the recordings: %w", err)
	}
	var page struct {
		Changes []struct {
			Recording *media.Recording `json:"recording"`
		} `json:"changes"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("list the recordings: %w", err)
	}
	latest := map[string]media.Recording{}
	for _, c := range page.Changes {
		if c.Recording != nil {
			latest[c.Recording.RecordDir] = *c.Recording
		}
	}
	all := make([]media.Recording, 0, len(latest))
	for _, rec := range latest {
		all = append(all, rec)
	}
	return all, nil
}
