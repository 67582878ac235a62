package recorder

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recording"
	"github.com/live777/recorder/internal/storage/journal"
)

// awaitMedia lets the recording begin with the publisher's first packet. It is called
// before run.
func (s *session) awaitMedia() {
	s.silent, s.hasBegun = true, make(chan struct{})
	s.begun = sync.OnceFunc(func() { close(s.hasBegun) })
}

// begin claims a record_dir for a new recording that starts about now: the session's
// first one, or one after a failure. rotate does it for the others.
func (s *session) begin(ctx context.Context, now time.Time) (err error) {
	if s.ticket == nil {
		if s.ticket, err = s.r.o.Quotas.Take(s.owner, s.stream, quota.Recordings); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	info, j, err := s.claim(ctx, s.blank(now))
	if err != nil {
		return err
	}
	s.beginIn(info, j)
	return nil
}

// blank describes a recording that starts about now and has no folder.
func (s *session) blank(now time.Time) media.Recording {
	return media.Recording{
		Stream: s.stream, Node: s.r.o.NodeAlias, Start: now.UTC().Round(time.Millisecond),
		Status: media.StatusRecording, Tracks: []media.RecordingTrack{},
	}
}

// beginIn begins a recording in a folder that has been claimed for it.
func (s *session) beginIn(info media.Recording, j *journal.Journal) {
	rec := recording.New(host{s.r}, info, j, s.limit())
	s.count(rec, s.rec)
	s.r.register(rec)
	s.dirs++
	s.use(rec)
	switch {
	case s.paused():
		rec.BeginPaused(s.pausedAt)
	case s.pub != nil:
		s.announce()
	}
	s.r.reporter.add(rec.Snapshot())
	s.report, s.reportIn = s.now.Add(reportEvery), 0
	s.begun()
	s.log.Info("recording started", "record_id", info.RecordID, "record_dir", info.RecordDir)
}

// use has what comes recorded in a recording.
func (s *session) use(rec *recording.Recording) {
	s.mu.Lock()
	s.rec, s.failure = rec, nil
	s.mu.Unlock()
	s.out.Use(rec)
}

// claim takes the folder of the session's next recording.
func (s *session) claim(ctx context.Context, info media.Recording) (media.Recording, *journal.Journal, error) {
	switch {
	case s.before != "" && s.dirs == 0 && s.baseDir != "":
		return s.r.claim(ctx, info, prefixOf(s.before), false, s.baseDir)
	case s.dirs > 0 && s.baseDir != "":
		return s.r.claim(ctx, info, prefixOf(s.info().RecordDir), false, s.baseDir)
	case s.baseDir != "":
		return s.r.claim(ctx, info, s.baseDir, true, s.baseDir)
	}
	for n := 1; ; n++ {
		dir := folderOf(s.stream, n)
		claimed, j, err := s.r.claim(ctx, info, dir, false, "")
		if !errors.Is(err, errIsRecording) || n == folderTries {
			return claimed, j, err
		}
		s.log.Warn("a recording has the folder of the stream's recordings, by its base_dir: another folder is taken", "folder", dir, "next", folderOf(s.stream, n+1))
	}
}

// resume begins a recording if the session has none. It does not begin one while
// nothing has come of the publisher, who may not even have connected; while it is too
// early to try again, or to begin one more recording of the stream; or if no track of
// the publication can be recorded.
func (s *session) resume() error {
	if s.now.Before(s.retryAt) || s.pub.refused || s.silent && !s.asked.Load() {
		return nil
	}
	if err := recordable(s.pub.announced); err != nil {
		s.log.Warn("stream is not recorded", "reason", err)
		s.pub.refused = true
		s.refuse(err)
		return nil
	}
	if err := s.mayBegin(); err != nil {
		s.hold(err)
		return nil
	}
	s.account() // what was lost until now belongs to no recording
	return s.begin(s.r.ctx, s.now)
}

// letGo gives back what the session has of the quota.
func (s *session) letGo() {
	s.ticket.Release()
	s.begun()
}
