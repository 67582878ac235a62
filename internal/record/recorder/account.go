package recorder

import (
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recording"
)

// reasonOrder is why pictures may be shown in another order than their sender meant.
const reasonOrder = "the stream has B-frames and does not tell when they are shown; encode without B-frames, or send presentation times"

// reasonNoKey is recording.ReasonUndecodable where pictures came.
const reasonNoKey = "the sender ignored all requests for a key frame: nothing that came can be decoded"

// noteUndecodable notes which tracks of a publication that has ended sent packets, but
// nothing that could be recorded.
func (s *session) noteUndecodable() {
	for _, tr := range s.pub.tracks {
		st := tr.dep.Stats()
		if s.rec == nil || s.pub.decoded[tr.lane] || st.PacketsReceived == tr.apart {
			continue
		}
		why := recording.ReasonUndecodable
		if st.FramesBeforeKey > 0 && st.PacketsLost == 0 && !tr.losing {
			why = reasonNoKey
		}
		s.rec.Update(tr.lane, func(t *media.RecordingTrack) { t.Missing = why })
	}
}

// noteWaiting writes to the journal the sound that has waited for longer than a chunk, and
// than is usual, or, with all, everything that waits. A crash then does not lose it.
func (s *session) noteWaiting(all bool) {
	if s.rec == nil {
		return
	}
	if !all && !s.arr.Waits() {
		s.rec.Placed()
	}
	f, samples := s.arr.Waiting(s.now.Add(-s.r.o.ChunkDuration), all)
	if len(samples) > 0 {
		s.rec.Waiting(f, samples)
	}
}

// account brings the recording's ledger up to date. If the publication is to begin
// another recording, what it sends is counted there.
func (s *session) account() {
	if s.pub == nil || s.next != nil {
		return // what comes while a folder is claimed is of the next recording
	}
	another := s.arr.BeginsAnother()
	for _, tr := range s.pub.tracks {
		apart := s.paused() || tr.resting
		if another && !apart {
			continue
		}
		st, was := tr.dep.Stats(), tr.counted
		tr.counted = st
		if s.rec == nil || apart {
			tr.apart += st.PacketsReceived - was.PacketsReceived
			continue // what happens between two recordings, or in a pause, belongs to none
		}
		if tr.dep.OrderUntold() && !tr.untold {
			tr.untold = true
			s.log.Warn("the pictures may be shown in the wrong order", "kind", tr.Kind.String(), "reason", reasonOrder)
		}
		s.rec.Update(tr.lane, func(t *media.RecordingTrack) {
			if tr.untold {
				t.Missing = reasonOrder
			}
			t.PacketsReceived += st.PacketsReceived - was.PacketsReceived
			t.PacketsLost += st.PacketsLost - was.PacketsLost
			t.PacketsRecovered += st.PacketsLate - was.PacketsLate
			t.FramesDropped += st.FramesDropped - was.FramesDropped
		})
		if reported, offset, ok := s.arr.Sync(tr.ID); ok {
			s.rec.Update(tr.lane, func(t *media.RecordingTrack) { t.Synced, t.Offset = reported, recording.Seconds(offset) })
		}
	}
}
