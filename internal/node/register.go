package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/serve/api"
)

const (
	// registerTimeout bounds one registration.
	registerTimeout = 10 * time.Second
	// nodeTokenLife is how long a token is valid that the node signs for its
	// manager. Each registration brings a new one once half of that has passed.
	nodeTokenLife = 24 * time.Hour
)

// register makes the node known to its manager, and again from time to time: the
// manager may have been replaced. It returns when ctx ends.
func (n *Node) register(ctx context.Context) {
	tick := time.NewTicker(n.cfg.Manager.Register.Duration())
	defer tick.Stop()
	told := "" // the last problem
	var token string
	var signed time.Time
	var by *config.Config
	for {
		if now := time.Now(); token == "" || now.Sub(signed) > nodeTokenLife/2 || by != n.taken.Load() {
			by = n.taken.Load()
			token, signed = n.nodeToken(now), now
		}
		switch err := n.registerOnce(ctx, token); {
		case ctx.Err() != nil:
			return
		case err != nil && fault.Text(err) != told: // without addresses: each connection has another port
			told = fault.Text(err)
			n.log.Warn("the node could not register with its manager, will try again", "manager", n.cfg.Manager.URL, "error", err)
		case err == nil && told != "-":
			told = "-"
			n.log.Info("registered with the manager", "manager", n.cfg.Manager.URL, "alias", n.cfg.Recorder.NodeAlias)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// nodeToken returns what the manager is to use the node with; "" where the node
// asks nobody.
func (n *Node) nodeToken(now time.Time) string {
	cfg := n.taken.Load()
	if t := cfg.Manager.NodeToken; t != "" {
		return string(t)
	}
	if cfg.Auth.Secret == "" {
		return ""
	}
	token, err := auth.Sign(string(cfg.Auth.Secret), now.Add(nodeTokenLife), []string{"*"}, auth.Admin)
	if err != nil {
		n.log.Error("no token can be signed for the manager", "error", err)
	}
	return token
}

func (n *Node) registerOnce(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	body, err := json.Marshal(api.NodeRegistration{
		Alias: n.cfg.Recorder.NodeAlias, URL: n.nodeURL(), Token: token,
		LocalStorage: n.cfg.Recorder.Storage.Type == config.StorageFS,
	})
	if err != nil {
		return fmt.Errorf("encode registration: %w", err)
	}
	target := strings.TrimRight(n.cfg.Manager.URL, "/") + "/api/nodes"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("use manager.url: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+string(n.cfg.Manager.Token))
	req.Header.Set("Content-Type", "application/json")
	resp, err := registerClient.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the URL is in the log line already
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated {
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // for the message
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("it takes no registrations (%d), as a liveman of the original live777 does not: "+
			"put the node into its [[nodes]], and take manager.url out of the node's configuration", resp.StatusCode)
	}
	return fmt.Errorf("it answers %d: %s", resp.StatusCode, bytes.TrimSpace(said))
}

// nodeURL is where the manager reaches this node. Where http.listen asked for any
// free port, only the listener knows it.
func (n *Node) nodeURL() string {
	if n.cfg.Manager.NodeURL == n.cfg.HTTP.Scheme()+"://"+n.cfg.HTTP.Listen {
		return n.URL()
	}
	return n.cfg.Manager.NodeURL
}

// registerClient follows no redirects: they would take the node's token elsewhere.
var registerClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
