package manager

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging"
)

// Reload takes over what of a configuration can change while the manager runs: the level
// of the log, and who may do what. If something else differs, nothing is changed, and the error names it. It
// is called by one goroutine at a time.
func (m *Manager) Reload(next *config.Liveman) (changed []string, err error) {
	if changed, err = m.taken.Load().Changes(next); err != nil {
		return nil, err
	}
	if err := m.events.Replace(context.Background(), next.Told()); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(changed, func(key string) bool { return strings.HasPrefix(key, "auth.") }) {
		m.api.SetAuth(m.api.Auth().Next(next.Auth.Options()))
	}
	m.api.SetOrigins(next.HTTP.CORSOrigins)
	if err := logging.SetLevel(m.log, next.Log.Level); err != nil {
		return nil, fmt.Errorf("change the log: %w", err)
	}
	m.taken.Store(next)
	return changed, nil
}
