package recording

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/arrange"
)

// ReasonUndecodable is why a track has nothing that is recorded.
const ReasonUndecodable = "announced by the publisher, but nothing came that can be decoded"

// reasonRecovered is why a recording that a crash interrupted is not complete.
const reasonRecovered = "the node stopped without ending the recording, which was recovered: what came just before, and until it ran again, is missing"

// verdict returns the status of a recording that has ended, and why it is not complete.
func verdict(info *media.Recording, failure error) (media.Status, string) {
	if failure != nil {
		return media.StatusFailed, fault.Text(failure)
	}
	if info.Duration == 0 {
		return media.StatusFailed, "no media was received"
	}
	for _, t := range info.Tracks {
		if why := missing(&t); why != "" {
			return media.StatusDegraded, t.Kind + ": " + why
		}
	}
	if info.Recovered > 0 {
		return media.StatusDegraded, reasonRecovered
	}
	if why := discarded(info); why != "" {
		return media.StatusDegraded, why
	}
	if n := info.PacketsOverrun; n > 0 {
		return media.StatusDegraded, fmt.Sprintf("%d packets were dropped because storage was too slow", n)
	}
	return media.StatusComplete, ""
}

// discardedShare bounds the packets that may belong to no track without a verdict of
// degraded: one in this many of all packets.
const discardedShare = 100

// discarded returns how many packets belonged to no track, and why most of them did, if
// they were many.
func discarded(info *media.Recording) string {
	var received int64
	for _, t := range info.Tracks {
		received += t.PacketsReceived
	}
	packets := sumOf(info.Discarded)
	if packets*discardedShare <= received+packets {
		return ""
	}
	most := slices.MaxFunc(info.Discarded, func(a, b media.Discard) int { return cmp.Compare(a.Packets, b.Packets) })
	return fmt.Sprintf("%d packets could not be recorded: %s", packets, most.Cause)
}

// missing says what was sent of a track and is not in the recording.
func missing(t *media.RecordingTrack) string {
	if t.RID != "" && t.PacketsReceived == 0 && !hasLost(t) { // what was lost right behind a rotation is counted before it
		return "" // a layer that the sender never turned on
	}
	if !t.Recorded {
		if c, ok := codec.Lookup(t.Codec); ok && !c.Recordable() {
			return c.Why
		}
		if n := keptOut(t); n > 0 {
			return fmt.Sprintf(reasonApart, n)
		}
		return ReasonUndecodable
	}
	if t.Missing != "" {
		return t.Missing
	}
	byNode := slices.ContainsFunc(t.Gaps, func(g media.Gap) bool { return g.Cause == causeNode }) // which is told of the whole
	if t.Frames == 0 && t.FilledSeconds > 0 && !byNode && !paused(t) {
		return ReasonUndecodable
	}
	if t.RID != "" && t.PacketsLost == 0 && !hasLost(t) {
		if t.FramesDropped*layerShare <= t.Frames {
			return quiet(t) // it came or went, and waited for a Period
		}
		if n := keptOut(t); n > 0 {
			return fmt.Sprintf(reasonApart, n)
		}
	}
	if why := leftOut(t); why != "" {
		return why
	}
	if i := slices.IndexFunc(t.Gaps, isLoss); i >= 0 {
		return fmt.Sprintf("a gap of %.3f s at %.3f s", t.Gaps[i].Duration, t.Gaps[i].Start)
	}
	return quiet(t)
}

// paused reports whether a track of which there is nothing was sent before, and was off for as
// long as the recording lasts: a rotation is no reason to judge that otherwise.
func paused(t *media.RecordingTrack) bool {
	return t.PacketsReceived == 0 && !slices.ContainsFunc(t.Gaps, func(g media.Gap) bool { return g.Cause != arrange.CausePause })
}

// keptOut returns how many frames of a layer were left out for the sake of other
// layers, if that is why it has few or none.
func keptOut(t *media.RecordingTrack) int64 {
	if n := t.FramesDropped - t.FramesBeforeKey; t.RID != "" && t.PacketsLost == 0 && n > t.FramesBeforeKey {
		return n
	}
	return 0
}

// reasonApart is why a layer's frames were left out.
const reasonApart = "%d frames left out, while this layer had no key frame at a picture at which the other layers have one"

// isLoss reports whether a gap means that something that was sent is missing.
func isLoss(g media.Gap) bool {
	return g.Cause == arrange.CauseLoss || g.Cause == arrange.CauseOverrun || isLimit(g)
}

// isLimit reports whether a gap is there because too many Periods would have begun.
func isLimit(g media.Gap) bool { return g.Cause == arrange.CauseLimit }

// reasonLimit is why frames came and were left out.
const reasonLimit = "the sender began anew, or changed its format, more often than once a second, which a recording does not follow"

// hasLost reports whether something of a track was sent and is not there.
func hasLost(t *media.RecordingTrack) bool { return slices.ContainsFunc(t.Gaps, isLoss) }

// leftOut says what of a track did not come, or came and was left out.
func leftOut(t *media.RecordingTrack) string {
	before := beforeKey(t)
	if t.PacketsLost == 0 && t.FramesDropped == t.FramesBeforeKey {
		return before
	}
	why := fmt.Sprintf("%d packets were lost, %d frames left out", t.PacketsLost, t.FramesDropped)
	if slices.ContainsFunc(t.Gaps, isLimit) {
		why += "; " + reasonLimit
	}
	if before != "" {
		why += "; " + before
	}
	return why
}

// askedFor is how long a first key frame may take before the sender counts as ignoring
// requests, which are repeated every second.
const askedFor = 1.0

// beforeKey says what came before the first key frame, without which nobody can decode
// it. It is missing like all else that was sent while there was a recording.
func beforeKey(t *media.RecordingTrack) string {
	switch {
	case t.FramesBeforeKey == 0:
		return ""
	case t.KeyFrameWait < askedFor || t.PacketsLost > 0:
		return fmt.Sprintf("%d frames came before the first key frame, and could not be recorded", t.FramesBeforeKey)
	}
	return fmt.Sprintf("the sender ignored requests for a key frame for %.1f s: %d frames before the first one could not be recorded",
		t.KeyFrameWait, t.FramesBeforeKey)
}

// layerShare is the part of a layer's frames, one in this many, that may have come
// while the layer waited for a Period that it can be in.
const layerShare = 4

const (
	// quietLong is the shortest time without media that may be more than a still
	// picture or a pause in talking, and quietShare the part of a recording, one in
	// this many, from which on such times make it incomplete.
	quietLong  = 10.0
	quietShare = 10
)

// quiet says for how long a sender sent nothing, where that is much of the recording.
func quiet(t *media.RecordingTrack) string {
	sum := 0.0
	for _, g := range t.Gaps {
		if g.Duration >= quietLong && (g.Cause == arrange.CausePause || g.Cause == arrange.CauseAbsent) {
			sum += g.Duration
		}
	}
	all := t.MediaSeconds + t.FilledSeconds + t.GapSeconds
	if sum*quietShare < all || sum == 0 {
		return ""
	}
	return fmt.Sprintf("nothing came for %.1f s of %.1f s, in pauses of %.0f s and longer", sum, all, quietLong)
}
