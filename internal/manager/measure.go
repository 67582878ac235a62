package manager

import (
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/serve/metrics"
)

// measure returns the nodes as metrics have them.
func (f *fleet) measure() []metrics.NodeState {
	nodes := f.all()
	list := make([]metrics.NodeState, len(nodes))
	for i, n := range nodes {
		d := n.describe()
		list[i] = metrics.NodeState{
			Alias: d.Alias, State: d.State,
			Streams: d.Load.Streams, Publishers: d.Load.Publishers, Viewers: d.Load.Viewers, Recordings: d.Load.Recordings,
			Latency: time.Duration(d.LatencyMS * float64(time.Millisecond)), FeedLag: -1,
		}
		if at := d.Feed.UpdatedAt; !at.IsZero() {
			list[i].FeedLag = max(f.now().Sub(at), 0)
		}
	}
	return list
}

// relayed counts what was relayed of an object.
func (f *fleet) relayed(n *node, bytes int64, failed bool) {
	if f.o.Meter != nil {
		f.o.Meter.Relayed(n.alias, bytes, failed)
	}
}

// complaintPause is how soon an error of the same kind is logged again.
const complaintPause = time.Minute

// complaints prevents that an error that concerns all nodes is logged for each of them.
// Safe for concurrent use.
type complaints struct {
	mu sync.Mutex
	at map[fault.Kind]time.Time
}

// isNew reports whether err is to be logged. It does not compare texts, which differ
// between nodes.
func (c *complaints) isNew(err error, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := fault.KindOf(err)
	if last, ok := c.at[kind]; ok && now.Sub(last) < complaintPause {
		return false
	}
	if c.at == nil {
		c.at = map[fault.Kind]time.Time{}
	}
	c.at[kind] = now
	return true
}
