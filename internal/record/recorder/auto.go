package recorder

import (
	"path"

	"github.com/live777/recorder/internal/ingest/live"
)

// OnPublish starts a session for a stream that auto_streams names.
// live.Options.OnPublish calls it before the publisher's first packet, so that no
// packet is missed. The recording itself begins with the first packet, because many
// publishers never connect. OnPublish does not wait for storage.
func (r *Recorder) OnPublish(st *live.Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.auto(st.ID()) {
		r.beginPreroll(st)
		return
	}
	old := r.sessions[st.ID()]
	if r.closed || old != nil && !old.ended.Load() {
		return // a running session sees the publisher come back
	}
	if p := r.takePreroll(st.ID()); p != nil { // of the publisher before
		r.wg.Go(p.end)
	}
	s, err := r.newSession(st, "", nil)
	if err != nil {
		r.log.Error("automatic recording did not start", "stream", st.ID(), "error", err)
		return
	}
	if old != nil { // storage may hold it up for long
		r.sealing[old] = struct{}{}
	}
	s.awaitMedia()
	r.sessions[st.ID()] = s
	r.wg.Go(s.run)
}

// auto reports whether auto_streams names the stream.
func (r *Recorder) auto(stream string) bool {
	for _, p := range r.o.AutoStreams {
		if ok, _ := path.Match(p, stream); ok { // New has checked the patterns
			return true
		}
	}
	return false
}
