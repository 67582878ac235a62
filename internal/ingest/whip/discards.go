package whip

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pion/logging"

	"github.com/live777/recorder/internal/media"
)

// Why packets of a publisher are no part of a track. Other causes name payload types.
const (
	causeHeader         = "the RTP header cannot be read"
	causePadding        = "the padding is longer than the packet"
	causeLayer          = "the SSRC belongs to no simulcast layer"
	causeReplaced       = "the SSRC was replaced by a newer one"
	causeRetransmission = "a retransmission of nothing"
	causeDecryption     = "the packet cannot be decrypted"
	causeEarly          = "the packet came before the keys"
	causeOverrun        = "the node was too slow"
	causeOther          = "other causes"
)

const (
	maxCauses       = 16          // in a session; the rest is counted as causeOther
	discardInterval = time.Second // between two items of one cause
)

// discards counts packets of a publisher that belong to no track. The recorder is told;
// otherwise a recording would be called complete that is not.
type discards struct {
	now   func() time.Time
	log   *slog.Logger
	write func(*media.Discard)

	mu     sync.Mutex
	causes map[string]*discard
}

type discard struct {
	waiting int64 // not told yet
	told    time.Time
}

func newDiscards(now func() time.Time, log *slog.Logger, write func(*media.Discard)) *discards {
	return &discards{now: now, log: log, write: write, causes: make(map[string]*discard)}
}

// count counts one packet.
func (d *discards) count(cause string) {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.causes[cause]
	if !ok && len(d.causes) >= maxCauses {
		cause = causeOther
		c, ok = d.causes[cause]
	}
	if !ok {
		c = new(discard)
		d.causes[cause] = c
		d.log.Warn("packets of the publisher are ignored", "cause", cause)
	}
	c.waiting++
	d.tellLocked(cause, c, now)
}

// tell hands on what waits, all of it at the end.
func (d *discards) tell(end bool) {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for cause, c := range d.causes {
		if end {
			c.told = time.Time{}
		}
		d.tellLocked(cause, c, now)
	}
}

func (d *discards) tellLocked(cause string, c *discard, now time.Time) {
	if c.waiting == 0 || !c.told.IsZero() && now.Sub(c.told) < discardInterval {
		return
	}
	d.write(&media.Discard{Cause: cause, Packets: c.waiting})
	c.waiting, c.told = 0, now
}

// countingLogs is the log of the WebRTC stack of one session. The stack tells of
// packets that it refuses only there. The messages are recognised by a part of their
// text, which a test holds.
type countingLogs struct {
	pionLogs
	count   func(cause string)
	control func() // RTCP cannot be decrypted
	srtp    *int   // loggers of that scope: the first is the one of RTP, the second of RTCP
}

// NewLogger implements logging.LoggerFactory.
func (f countingLogs) NewLogger(scope string) logging.LeveledLogger {
	l := f.pionLogs.NewLogger(scope)
	switch scope {
	case "srtp":
		if *f.srtp++; *f.srtp > 1 {
			return countingLogger{l, func(string) { f.control() }}
		}
		return countingLogger{l, func(msg string) {
			if !strings.Contains(msg, "duplicated packet") { // what it repeats was taken
				f.count(causeDecryption)
			}
		}}
	case "mux":
		return countingLogger{l, func(msg string) {
			switch {
			case strings.Contains(msg, "not adding to queue"):
				f.count(causeEarly)
			case strings.Contains(msg, "buffer is full"):
				f.count(causeOverrun)
			}
		}}
	case "ice":
		return countingLogger{l, func(msg string) {
			if strings.Contains(msg, "Failed to write packet") {
				f.count(causeOverrun)
			}
		}}
	}
	return l
}
