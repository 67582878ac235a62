package peer

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pause waits for about d: nodes that fail at the same time should not all be asked
// again at the same time. It returns false when ctx has ended.
func Pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d - d/10 + rand.N(d/5+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-t.C:
	}
	return ctx.Err() == nil
}
