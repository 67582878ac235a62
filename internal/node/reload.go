package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging"
)

// Reload takes over what of a configuration can change while the node runs: what the
// fields of package config are tagged with. If something else differs, nothing is changed,
// and the error names it. It is called by one goroutine at a time. What can fail was
// checked when the configuration was loaded.
func (n *Node) Reload(next *config.Config) (changed []string, err error) {
	if changed, err = n.taken.Load().Changes(next); err != nil {
		return nil, err
	}
	if err := n.recorder.reload(next.Recorder); err != nil {
		return nil, err
	}
	if err := n.events.Replace(context.Background(), next.Told()); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(changed, func(key string) bool { return strings.HasPrefix(key, "auth.") }) {
		n.api.SetAuth(n.api.Auth().Next(next.Auth.Options()))
	}
	n.api.SetOrigins(next.HTTP.CORSOrigins)
	if err := logging.SetLevel(n.log, next.Log.Level); err != nil {
		return nil, fmt.Errorf("change the log: %w", err)
	}
	n.taken.Store(next)
	return changed, nil
}
