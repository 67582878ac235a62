package node

import (
	"context"
	"fmt"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging"
)

// Reload takes over what of a configuration can change while the node runs: the level of
// the log, recorder.auto_streams and who is told of events. If something else differs, nothing is changed, and
// the error names it. It is called by one goroutine at a time.
func (n *Node) Reload(next *config.Config) (changed []string, err error) {
	if changed, err = n.taken.Changes(next); err != nil {
		return nil, err
	}
	if err := n.recorder.setAutoStreams(next.Recorder.AutoStreams); err != nil {
		return nil, err
	}
	if err := n.events.Replace(context.Background(), next.Told()); err != nil {
		return nil, err
	}
	if err := logging.SetLevel(n.log, next.Log.Level); err != nil {
		return nil, fmt.Errorf("change the log: %w", err)
	}
	n.taken = next
	return changed, nil
}
