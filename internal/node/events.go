package node

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/serve/events"
	"github.com/live777/recorder/internal/serve/metrics"
)

const (
	// levelEvery is how often it is looked at how full disk and spool are.
	levelEvery = 5 * time.Second
	// spoolFilling is the percentage of recorder.spool.max_bytes from which that is told,
	// and spoolEased the one below which it is told that it is over.
	spoolFilling, spoolEased = 70, 60
)

// eventSource is the CloudEvents source of a node's events.
func eventSource(cfg *config.Config) string {
	if cfg.Recorder.NodeAlias == "" {
		return "/live777"
	}
	return "/live777/" + url.PathEscape(cfg.Recorder.NodeAlias)
}

func eventOptions(cfg *config.Config, log *slog.Logger) events.Options {
	return events.Options{
		Source: eventSource(cfg), File: cfg.Events.File, Keep: cfg.Events.Keep.Duration(), Max: cfg.Events.MaxBytes.Bytes(),
		Targets: cfg.Told(), Logger: log,
	}
}

// TestEvents sends an event to all who are told, and writes what they answer. ok is false
// where one has not taken it.
func TestEvents(ctx context.Context, cfg *config.Config, w io.Writer) (ok bool, err error) {
	return events.Test(ctx, cfg.Told(), eventSource(cfg), w)
}

// published is told of each publisher that comes.
func (n *Node) published(st *live.Stream) {
	if pub, ok := st.Publication(); ok {
		session := pub.Session()
		tracks := []live.TrackInfo{}
		for _, t := range pub.Tracks() {
			tracks = append(tracks, live.TrackInfo{Kind: t.Kind.String(), Codec: t.Codec, RID: t.RID})
		}
		n.happened.Add(came(st.ID(), publisherSide, session))
		n.events.Came(st.ID(), session.ID, map[string]any{"stream": st.ID(), "session": session.ID, "tracks": tracks})
	}
	n.recorder.onPublish(st)
}

// left is told of each publisher that leaves.
func (n *Node) left(stream string, session live.SessionInfo) {
	n.happened.Add(gone(stream, publisherSide, session))
	n.events.Left(stream, map[string]any{"stream": stream, "session": session.ID, "started": session.CreatedAt.UTC()})
}

// watchLevels tells when a disk has little left, or the spool fills, until ctx ends.
func (n *Node) watchLevels(ctx context.Context) {
	var s metrics.Sources
	n.recorder.measure(&s)
	tick := time.NewTicker(levelEvery)
	defer tick.Stop()
	for {
		tellLevels(n.events, s, n.cfg.Events.DiskLow.Bytes())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellLevels looks at disk and spool once. What is told to be over has to be over by some
// more, so that not every byte is an event.
func tellLevels(told *events.Service, s metrics.Sources, low int64) {
	if !told.Active() {
		return
	}
	if s.Free != nil && low > 0 {
		for disk, free := range s.Free() {
			data := map[string]any{"disk": disk, "free_bytes": free, "disk_low_bytes": low}
			switch {
			case free < low:
				told.Level(true, events.Event{Type: config.EventDiskLow, Subject: disk, Data: data}, "disk "+disk)
			case free > low+low/10:
				told.Level(false, events.Event{Type: config.EventDiskOK, Subject: disk, Data: data}, "disk "+disk)
			}
		}
	}
	if s.Spool == nil {
		return
	}
	sp := s.Spool()
	if sp.MaxBytes <= 0 {
		return
	}
	data := map[string]any{"used_bytes": sp.UsedBytes, "max_bytes": sp.MaxBytes, "waiting_objects": sp.WaitingObjects, "failing": sp.Failing}
	switch used := sp.UsedBytes * 100; {
	case used >= sp.MaxBytes*spoolFilling:
		told.Level(true, events.Event{Type: config.EventSpoolFilling, Subject: "spool", Data: data}, "spool")
	case used < sp.MaxBytes*spoolEased:
		told.Level(false, events.Event{Type: config.EventSpoolOK, Subject: "spool", Data: data}, "spool")
	}
}
