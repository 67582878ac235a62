package recorder

import (
	"path"
	"slices"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/ingest/live"
)

// OnPublish starts a session for a stream that auto_streams names, or that is to go on.
// live.Options.OnPublish calls it before the publisher's first packet, so that no
// packet is missed. The recording itself begins with the first packet, because many
// publishers never connect. OnPublish does not wait for storage.
func (r *Recorder) OnPublish(st *live.Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.sessions[st.ID()]
	if r.closed {
		return
	}
	before, goesOn := r.takeUnfinished(st)
	if !r.auto(st.ID()) && !goesOn {
		r.beginPreroll(st)
		return
	}
	if old != nil && !old.ended.Load() {
		return // a running session sees the publisher come back
	}
	if p := r.takePreroll(st.ID()); p != nil { // of the publisher before
		r.wg.Go(p.end)
	}
	s, err := r.newSession(st, before.BaseDir, nil)
	if err != nil {
		r.log.Error("automatic recording did not start", "stream", st.ID(), "error", err)
		return
	}
	if old != nil { // storage may hold it up for long
		r.sealing[old] = struct{}{}
	}
	s.before = before.RecordDir
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

// SetAutoStreams replaces auto_streams. Streams that it names now, and that have a
// publisher whose recording nobody has stopped, are recorded from here on. No recording
// ends.
func (r *Recorder) SetAutoStreams(patterns []string) error {
	if err := checkPatterns("auto_streams", patterns); err != nil {
		return err
	}
	r.mu.Lock()
	r.o.AutoStreams = slices.Clone(patterns)
	r.mu.Unlock()
	for _, info := range r.o.Streams.List() {
		if st, err := r.o.Streams.Get(info.ID); err == nil && r.missing(st) {
			r.OnPublish(st)
		}
	}
	return nil
}

// missing reports whether a stream is to be recorded and nobody has begun to.
func (r *Recorder) missing(st *live.Stream) bool {
	pub, ok := st.Publication()
	r.mu.Lock()
	defer r.mu.Unlock()
	return ok && r.auto(st.ID()) && r.sessions[st.ID()] == nil && r.stopped[st.ID()] != pub
}

func checkPatterns(key string, patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return fault.Errorf(fault.Invalid, "recorder.%s: pattern %q: %w", key, p, err)
		}
	}
	return nil
}
