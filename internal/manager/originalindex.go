package manager

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// originalSession is a recording as the index of an original has it.
type originalSession struct {
	Stream     string `json:"stream"`
	StartTS    int64  `json:"start_ts"` // µs
	EndTS      *int64 `json:"end_ts"`
	DurationMS *int64 `json:"duration_ms"`
	MPDPath    string `json:"mpd_path"`
	Status     string `json:"status"`
}

// maxIndex bounds a page of the index of an original, which may not obey a limit.
const maxIndex = 10_000

// sessionList is a page of the index of an original.
type sessionList []originalSession

// UnmarshalJSON implements json.Unmarshaler.
func (l *sessionList) UnmarshalJSON(data []byte) (err error) {
	*l, err = peer.DecodeList(data, "recordings in a page of its index", maxIndex, func(data []byte, s *originalSession) error {
		return json.Unmarshal(data, s)
	})
	return err
}

// The reasons of recordings whose node keeps no ledger.
const (
	reasonNoLedger  = "an original live777 recorded it, which does not tell what is missing"
	reasonFailed    = "an original live777 says that it failed"
	reasonForgotten = "an original live777 recorded it, and does not tell when it ended"
)

// recording returns s as a recording of this program. ok is false if it cannot be one.
func (s *originalSession) recording() (r media.Recording, ok bool) {
	mpd := strings.Trim(s.MPDPath, "/")
	r = media.Recording{
		Stream: s.Stream, RecordDir: path.Dir(mpd), MPDPath: mpd, Start: time.UnixMicro(s.StartTS).UTC(),
		Tracks: []media.RecordingTrack{}, Status: media.StatusRecording,
	}
	r.RecordID = media.RecordID(r.RecordDir)
	if media.CheckStreamID(r.Stream) != nil || media.CheckPath(mpd) != nil || path.Base(mpd) != media.ManifestName || r.RecordDir == "." {
		return r, false
	}
	if s.Status == "Active" {
		return r, true
	}
	if s.DurationMS != nil {
		r.Duration = float64(max(*s.DurationMS, 0)) / 1000
	}
	r.DurableThrough = r.Duration
	end := r.Start.Add(time.Duration(r.Duration * float64(time.Second)))
	if s.EndTS != nil {
		end = time.UnixMicro(*s.EndTS).UTC()
	}
	r.End, r.Status, r.Reason = &end, media.StatusDegraded, reasonNoLedger
	if s.Status == "Failed" {
		r.Status, r.Reason = media.StatusFailed, reasonFailed
	}
	return r, true
}

// catchUpOriginal applies the index of an original to the catalogue. It does not
// acknowledge the recordings, because the original would then take them off its lists.
func (n *node) catchUpOriginal(ctx context.Context, at *follower) error {
	feed := "original:" + n.alias // its index has no id of its own
	if at.feed != feed {
		*at = follower{feed: feed}
		if err := n.saveCursor(ctx, at); err != nil {
			return ours(err)
		}
	}
	if !n.hasRecorder() {
		return nil
	}
	over, err := n.over(ctx)
	if err != nil {
		return err
	}
	for {
		query := url.Values{"limit": {strconv.Itoa(feedLimit)}}
		if at.cursor.Seq > 0 {
			query.Set("since_ts", strconv.FormatInt(at.cursor.Seq, 10))
		}
		var page struct {
			Sessions sessionList `json:"sessions"`
			LastTS   *int64      `json:"last_ts"`
		}
		if err := n.client.GetList(ctx, "/api/recordings", query, n.fleet.o.Timeout, peer.MaxAnswer, &page); err != nil {
			return err
		}
		if err := n.putSessions(ctx, page.Sessions); err != nil {
			return ours(err)
		}
		if page.LastTS == nil || *page.LastTS <= at.cursor.Seq {
			break
		}
		at.cursor = media.Cursor{Seq: *page.LastTS}
		if err := n.saveCursor(ctx, at); err != nil {
			return ours(err)
		}
	}
	n.level(at.cursor.Seq)
	return n.endForgotten(ctx, over)
}

func (n *node) putSessions(ctx context.Context, sessions []originalSession) error {
	var puts []media.Recording
	for i := range sessions {
		r, ok := sessions[i].recording()
		if !ok {
			n.log.Warn("a recording of the node is left out: its stream or its path cannot be used", "stream", sessions[i].Stream)
			continue
		}
		puts = append(puts, n.mount(r))
	}
	return n.put(ctx, puts)
}

func (n *node) put(ctx context.Context, recordings []media.Recording) error {
	if len(recordings) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err := n.fleet.o.Catalogue.PutAll(ctx, recordings)
	if fault.KindOf(err) == fault.Invalid {
		n.log.Error("recordings are left out of the catalogue", "error", err)
		err = nil // the others are in it; asking again would not help
	}
	for _, r := range recordings {
		n.fleet.forget(r.RecordDir)
	}
	return err
}

// running returns the recordings of the node that run as far as the catalogue knows,
// newest first; of all streams if none is given.
func (n *node) running(ctx context.Context, stream string) ([]media.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	list, _, err := n.fleet.o.Catalogue.List(ctx, media.RecordingQuery{Node: n.alias, Stream: stream, Status: media.StatusRecording})
	return slices.DeleteFunc(list, func(r media.Recording) bool { return !folder.Mounted(r) }), err
}

// over returns the folders of recordings that run in the catalogue and not on the node.
// It is called before the index is read, so that the index tells of their ends.
func (n *node) over(ctx context.Context) (dirs map[string]bool, err error) {
	list, err := n.running(ctx, "")
	if err != nil {
		return nil, ours(err)
	}
	dirs = map[string]bool{}
	latest := map[string]bool{}
	for _, r := range list {
		if !latest[r.Stream] {
			latest[r.Stream] = true
			recording, err := n.isRecording(ctx, r.Stream)
			if err != nil {
				return nil, fmt.Errorf("whether streams are recorded: %w", err)
			}
			if recording {
				continue
			}
		}
		dirs[r.RecordDir] = true
	}
	return dirs, nil
}

// endForgotten ends recordings that are over and whose end the index did not tell: the
// original died while it recorded, or a manager of its own kind has taken the recording
// off.
func (n *node) endForgotten(ctx context.Context, over map[string]bool) error {
	if len(over) == 0 {
		return nil
	}
	list, err := n.running(ctx, "")
	if err != nil {
		return ours(err)
	}
	list = slices.DeleteFunc(list, func(r media.Recording) bool { return !over[r.RecordDir] })
	for i := range list {
		r := &list[i]
		end := n.fleet.now().UTC()
		if seconds := n.manifestDuration(ctx, path.Join(folder.Unmount(*r).RecordDir, media.ManifestName)); seconds > 0 {
			r.Duration, r.DurableThrough = seconds, seconds
			end = r.Start.Add(time.Duration(seconds * float64(time.Second)))
		}
		r.End, r.Status, r.Reason = &end, media.StatusDegraded, reasonForgotten
	}
	if err := n.put(ctx, list); err != nil {
		return ours(err)
	}
	return nil
}

// maxHead is how much of a manifest is read to get its first element.
const maxHead = 16 << 10

// manifestDuration returns the seconds that a manifest says it has; 0 where it says nothing.
func (n *node) manifestDuration(ctx context.Context, key string) float64 {
	resp, err := n.client.Do(ctx, peer.Call{Method: http.MethodGet, Path: "/api/record/object/" + api.EscapePath(key), Wait: n.fleet.o.Timeout})
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return 0
	}
	d := xml.NewDecoder(io.LimitReader(resp.Body, maxHead))
	for {
		token, err := d.Token()
		if err != nil {
			return 0
		}
		if mpd, ok := token.(xml.StartElement); ok {
			for _, a := range mpd.Attr {
				if a.Name.Local == "mediaPresentationDuration" {
					return xsSeconds(a.Value)
				}
			}
			return 0
		}
	}
}

// xsSeconds reads the hours, minutes and seconds of an xs:duration; 0 for what is none.
func xsSeconds(s string) (seconds float64) {
	m := xsDuration.FindStringSubmatch(s)
	for i, unit := range []float64{3600, 60, 1} {
		if len(m) > i+1 && m[i+1] != "" {
			x, err := strconv.ParseFloat(m[i+1], 64)
			if err != nil {
				return 0
			}
			seconds += x * unit
		}
	}
	return seconds
}

var xsDuration = regexp.MustCompile(`^PT(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,8}(?:\.\d{1,9})?)S)?$`)

// deleteOriginal forgets a recording of which the node has nothing any more. An
// original cannot delete recordings.
func (s *shelf) deleteOriginal(ctx context.Context, n *node, r media.Recording) error {
	if r.Status == media.StatusRecording {
		return fault.Errorf(fault.Conflict, "the recording runs; stop it first")
	}
	there, err := n.hasObject(ctx, path.Join(folder.Unmount(r).RecordDir, media.ManifestName))
	if err != nil {
		return err
	}
	if there {
		return fault.Errorf(fault.Unsupported, "node %q is an original live777, which deletes no recordings: remove %q from its storage, and then delete it here", n.alias, folder.Unmount(r).RecordDir)
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
