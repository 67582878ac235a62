package manager

import (
	"context"
	"fmt"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging"
)

// Reload takes over what of a configuration can change while the manager runs: the level
// of the log, and who is told of events. If something else differs, nothing is changed, and the error names it. It
// is called by one goroutine at a time.
func (m *Manager) Reload(next *config.Liveman) (changed []string, err error) {
	if changed, err = m.taken.Changes(next); err != nil {
		return nil, err
	}
	if err := m.events.Replace(context.Background(), next.Told()); err != nil {
		return nil, err
	}
	if err := logging.SetLevel(m.log, next.Log.Level); err != nil {
		return nil, fmt.Errorf("change the log: %w", err)
	}
	m.taken = next
	return changed, nil
}
