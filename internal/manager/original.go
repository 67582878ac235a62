package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// This file and originalindex.go have what a node of the original live777 needs to be one
// of a fleet. It tells less than ours, and can do less: whether a stream is recorded has to
// be asked one by one, its index of recordings has no deletions and is emptied by managers
// of its own kind, it keeps no account of what is missing from a recording, and it deletes
// none.

// The kinds of nodes.
const (
	kindRecorder = "recorder" // this program's
	kindOriginal = "original"
)

// nodeInfo is what a node says of itself.
type nodeInfo struct {
	api.Info
	GitHash   *string `json:"gitHash"`
	BuildTime *string `json:"buildTime"`
}

// kind returns what a node is, or "" if it is no node. The original has no name, and
// tells how it was built.
func (i *nodeInfo) kind() string {
	switch {
	case i.Name == nodeName:
		return kindRecorder
	case i.Name == "" && i.GitHash != nil && i.BuildTime != nil && i.Features != nil:
		return kindOriginal
	}
	return ""
}

// askInfo asks the node what it is.
func (n *node) askInfo(ctx context.Context) (nodeInfo, error) {
	var info nodeInfo
	err := n.client.GetJSON(ctx, "/api/info", n.fleet.o.Timeout, &info)
	if err == nil && info.kind() == "" {
		err = errNoNode
	}
	info.Info = peer.BoundedInfo(info.Info)
	return info, err
}

func (n *node) IsOriginal() bool { return n.original.Load() }

func (f *fleet) isOriginal(alias string) bool {
	n := f.node(alias)
	return n != nil && n.IsOriginal()
}

// Keeps reports whether the node's recordings are on the node. Those of an original are
// always relayed from it, wherever it stores them.
func (n *node) Keeps() bool { return n.local || n.IsOriginal() }

// hasRecorder reports whether the node was built with its recorder.
func (n *node) HasRecorder() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.info.Features, "recorder")
}

const (
	// originalAsks is how many streams are asked for at the same time.
	originalAsks = 4
	// originalTries is how often the automatic start of a recording is tried. An
	// original does not tell whether it cannot record a stream or has no media of it
	// yet, and answers nothing else about recordings while it waits for media.
	originalTries = 3
	// originalStart is how long the start of a recording is waited for. If the stream
	// has media, the original answers at once.
	originalStart = 10 * time.Second
	// asideTimeout is how long an answer waits for what the catalogue can add to it.
	asideTimeout = time.Second
)

// followOriginal keeps what an original does not tell with its streams: which of them
// it records.
func (n *node) followOriginal(ctx context.Context) {
	for n.AwaitUp(ctx) {
		up, cancel := n.whileUp(ctx)
		if n.IsOriginal() && n.HasRecorder() && n.starting.Load() == 0 {
			if err := n.askRecordings(up); up.Err() == nil && n.starting.Load() == 0 {
				n.Note("recordings", err)
			}
		}
		peer.Pause(up, n.fleet.o.Poll, nil)
		cancel()
	}
}

// askRecordings asks for each stream whether it is recorded. It gives up at the first
// one that is not answered, because the others would wait for the same.
func (n *node) askRecordings(ctx context.Context) error {
	n.mu.Lock()
	var ids []string
	for id := range n.streams {
		ids = append(ids, id)
	}
	n.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var asked sync.WaitGroup
	turn := make(chan struct{}, originalAsks)
	for _, id := range ids {
		turn <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		asked.Go(func() {
			defer func() { <-turn }()
			recording, err := n.IsRecording(ctx, id)
			if err != nil {
				cancel(err)
				return
			}
			n.noteRecording(id, recording)
		})
	}
	asked.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("whether streams are recorded: %w", err)
	}
	return nil
}

func (n *node) IsRecording(ctx context.Context, stream string) (bool, error) {
	var status struct {
		Recording bool `json:"recording"`
	}
	err := n.client.GetJSON(ctx, recordPath(stream), n.fleet.o.Timeout, &status)
	return status.Recording, err
}

// noteRecording notes whether an original records a stream. If that changes, its index
// has news.
func (n *node) noteRecording(stream string, recording bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.streams[stream]
	if !ok || n.records[stream] == recording {
		return
	}
	if n.records == nil {
		n.records = map[string]bool{}
	}
	n.records[stream] = recording
	n.streams[stream] = n.completed(s)
	n.fleet.touch(stream)
	n.feed.Wake()
}

// noteStopped remembers, or forgets, that the recording of a publication was stopped
// here, because the original does not. Called with n.mu held.
func (n *node) noteStopped(s api.NodeStream, stopped bool) {
	if n.records == nil {
		n.records = map[string]bool{}
	}
	if n.stops == nil {
		n.stops = map[string]string{}
	}
	n.records[s.ID] = !stopped
	delete(n.stops, s.ID)
	if stopped {
		n.stops[s.ID] = publisherOf(s)
	}
	n.feed.Wake()
}

func publisherOf(s api.NodeStream) string {
	if len(s.Publish.Sessions) == 0 {
		return ""
	}
	return s.Publish.Sessions[0].ID
}

// completed adds to a stream of an original what else is known of it. Called with n.mu
// held.
func (n *node) completed(s api.NodeStream) api.NodeStream {
	s.Tracks, s.Codecs = []live.TrackInfo{}, slices.Clone(s.Codecs)
	for i, c := range s.Codecs {
		s.Codecs[i].Codec = codecName(c.Codec)
		s.Tracks = append(s.Tracks, live.TrackInfo{Kind: c.Kind, Codec: s.Codecs[i].Codec})
	}
	s.Recording = n.records[s.ID]
	stopped, ok := n.stops[s.ID]
	s.Stopped = ok && !s.Recording && stopped == publisherOf(s)
	return s
}

// codecName returns our spelling of a codec.
func codecName(name string) string {
	if strings.EqualFold(name, "opus") {
		return "opus"
	}
	return strings.ToUpper(name)
}

// forgetGone drops what is remembered of streams that have ended. Called with n.mu
// held.
func (n *node) forgetGone(streams map[string]api.NodeStream) {
	for id := range n.records {
		if _, ok := streams[id]; !ok {
			delete(n.records, id)
		}
	}
	for id, publisher := range n.stops {
		if s, ok := streams[id]; !ok || publisherOf(s) != publisher {
			delete(n.stops, id)
		}
	}
}

// recordOriginal is record for an original, whose answers tell less.
func (n *node) recordOriginal(ctx context.Context, r api.RecordRequest) (api.NodeAnswer, error) {
	if !n.HasRecorder() {
		if r.Method == http.MethodPost {
			return api.NodeAnswer{}, fault.Errorf(fault.Unsupported, "node %q is an original live777 that was built without its recorder", n.alias).Coded("node_original", "node", n.alias)
		}
		return nothingRecorded(r)
	}
	switch r.Method {
	case http.MethodPost:
		return n.startOriginal(ctx, r)
	case http.MethodPatch:
		return api.NodeAnswer{}, fault.Errorf(fault.Unsupported, "node %q is an original live777, which cannot pause recordings", n.alias).Coded("node_original", "node", n.alias)
	}
	recording, err := n.IsRecording(ctx, r.Stream)
	if err != nil {
		n.suspect()
		return api.NodeAnswer{}, fault.Errorf(fault.Unavailable, "node %q: whether it records: %w", n.alias, err)
	}
	if r.Method == http.MethodGet {
		return n.statusOf(ctx, r.Stream, recording), nil
	}
	if recording {
		if _, err := n.passOriginal(ctx, r, nil, n.fleet.o.Control); err != nil {
			return api.NodeAnswer{}, err
		}
	}
	return n.say(map[string]any{"id": r.Stream, "recording": false, "stopped": recording}), nil
}

// startOriginal starts a recording. The original does not answer before the stream has
// media, and answers nothing else about recordings until then.
func (n *node) startOriginal(ctx context.Context, r api.RecordRequest) (api.NodeAnswer, error) {
	if _, ok := n.stream(r.Stream); !ok && n.notListed() == nil {
		return api.NodeAnswer{}, fault.Errorf(fault.NotFound, "node %q has no stream %q", n.alias, r.Stream).Coded("stream_unknown", "stream", r.Stream)
	}
	body := map[string]any{}
	if r.BaseDir != "" {
		body["base_dir"] = r.BaseDir
	}
	data, err := json.Marshal(body)
	if err != nil {
		return api.NodeAnswer{}, fmt.Errorf("encode request: %w", err)
	}
	n.starting.Add(1)
	defer n.starting.Add(-1)
	answer, err := n.passOriginal(ctx, r, data, min(n.fleet.o.Control, originalStart))
	if err != nil {
		return api.NodeAnswer{}, err
	}
	started := follow.OriginalRecording{Stream: r.Stream, StartTS: n.fleet.now().UnixMicro(), Status: "Active"}
	if err := json.Unmarshal(answer, &started); err != nil {
		return api.NodeAnswer{}, fault.Errorf(fault.Unavailable, "node %q: its answer is not what this version understands: %w", n.alias, err)
	}
	if err := n.feed.PutStarted(ctx, &started); err != nil {
		n.log.Debug("a recording is not in the catalogue before the node's index brings it", "stream", r.Stream, "error", err)
	}
	return api.NodeAnswer{Node: n.alias, Status: http.StatusOK, Body: answer}, nil
}

var errLate = errors.New("no answer in time: an original live777 gives none while a stream has no media")

// passOriginal is pass for answers that a client cannot be given: errors are plain
// text, and a stop is answered with nothing.
func (n *node) passOriginal(ctx context.Context, r api.RecordRequest, body []byte, limit time.Duration) (answer []byte, err error) {
	late := fmt.Errorf("no answer within %v", limit)
	if r.Method == http.MethodPost {
		late = errLate
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	resp, err := n.client.Do(ctx, peer.Call{Method: r.Method, Path: recordPath(r.Stream), Body: body, Wait: 2 * limit})
	if err != nil {
		if !errors.Is(err, errLate) {
			n.suspect()
		}
		return nil, fault.Errorf(fault.Unavailable, "node %q: %w", n.alias, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, peer.MaxShort))
	if err != nil {
		n.suspect()
		return nil, fault.Errorf(fault.Unavailable, "node %q: read its answer: %w", n.alias, peer.Explain(ctx, err))
	}
	if resp.StatusCode/100 != 2 {
		return nil, fault.Errorf(fault.Unavailable, "node %q: %w", n.alias, peer.StatusError(resp.StatusCode, answer))
	}
	return answer, nil
}

// say makes an answer in place of an original.
func (n *node) say(fields map[string]any) api.NodeAnswer {
	body, _ := json.Marshal(fields) // strings, numbers and truth values always can be
	return api.NodeAnswer{Node: n.alias, Status: http.StatusOK, Body: append(body, '\n')}
}

// statusOf returns the state of a recording, with what the catalogue knows of it.
func (n *node) statusOf(ctx context.Context, stream string, recording bool) api.NodeAnswer {
	said := map[string]any{"recording": recording}
	if !recording {
		return n.say(said)
	}
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	if list, err := n.feed.Running(ctx, stream); err == nil && len(list) > 0 { // the newest; without the catalogue it is less
		r := list[0]
		dir := folder.Unmount(r).RecordDir
		said["record_id"], said["record_dir"], said["mpd_path"] = r.RecordID, dir, path.Join(dir, media.ManifestName)
		said["started_at"], said["status"] = r.Start, r.Status
	}
	return n.say(said)
}

// deleteOriginal forgets a recording of which the node has nothing any more. An
// original cannot delete recordings.
func (s *shelf) deleteOriginal(ctx context.Context, n *node, r media.Recording) error {
	if r.Status == media.StatusRecording {
		return fault.Errorf(fault.Conflict, "the recording runs; stop it first").Coded("recording_runs")
	}
	there, err := n.hasObject(ctx, path.Join(folder.Unmount(r).RecordDir, media.ManifestName))
	if err != nil {
		return err
	}
	if there {
		return fault.Errorf(fault.Unsupported, "node %q is an original live777, which deletes no recordings: remove %q from its storage, and then delete it here", n.alias, folder.Unmount(r).RecordDir).Coded("node_original", "node", n.alias)
	}
	return s.fleet.o.Catalogue.Delete(ctx, r.RecordDir)
}

// hasObject asks the node whether it has an object.
func (n *node) hasObject(ctx context.Context, key string) (bool, error) {
	resp, err := n.client.Do(ctx, peer.Call{Method: http.MethodGet, Path: "/api/record/object/" + api.EscapePath(key), Wait: n.fleet.o.Timeout})
	if err != nil {
		n.suspect()
		return false, fault.Errorf(fault.Unavailable, "node %q: %w", n.alias, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		return true, nil
	}
	said := peer.ErrorText(resp)
	if isMissing(resp.StatusCode, said) {
		return false, nil
	}
	return false, fault.Errorf(fault.Unavailable, "node %q: %w", n.alias, peer.StatusError(resp.StatusCode, said))
}

// isMissing reports whether an answer says that there is no such object. An original
// has no status of its own for that.
func isMissing(status int, said []byte) bool {
	return status == http.StatusNotFound || status == http.StatusInternalServerError && strings.HasPrefix(string(said), "NotFound")
}
