package recorder

import (
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/recording"
)

// lane is what tests call a place for a track.
type lane = arrange.Lane

// What verdicts say.
const (
	reasonUndecodable = recording.ReasonUndecodable
	reasonRecovered   = "the node stopped without ending the recording, which was recovered: what came just before, and until it ran again, is missing"
	reasonApart       = "%d frames left out, while this layer had no key frame at a picture at which the other layers have one"
	reasonLimit       = "the sender began anew, or changed its format, more often than once a second, which a recording does not follow"
)

// What manifests of running recordings may cost, beside a first part.
const (
	persistShare = 1000
	persistFree  = 256 << 10
)

// isLimit reports whether a gap is there because too many Periods would have begun.
func isLimit(g media.Gap) bool { return g.Cause == arrange.CauseLimit }
