package follow

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

// OriginalRecording is a recording as the index of an original has it.
type OriginalRecording struct {
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
type sessionList []OriginalRecording

// UnmarshalJSON implements json.Unmarshaler.
func (l *sessionList) UnmarshalJSON(data []byte) (err error) {
	*l, err = peer.DecodeList(data, "recordings in a page of its index", maxIndex, func(data []byte, s *OriginalRecording) error {
		return json.Unmarshal(data, s)
	})
	return err
}

// The reasons of recordings whose node keeps no ledger.
const (
	ReasonNoLedger  = "an original live777 recorded it, which does not tell what is missing"
	ReasonFailed    = "an original live777 says that it failed"
	ReasonForgotten = "an original live777 recorded it, and does not tell when it ended"
)

// Recording returns s as a recording of this program. ok is false if it cannot be one.
func (s *OriginalRecording) Recording() (r media.Recording, ok bool) {
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
	r.End, r.Status, r.Reason = &end, media.StatusDegraded, ReasonNoLedger
	if s.Status == "Failed" {
		r.Status, r.Reason = media.StatusFailed, ReasonFailed
	}
	return r, true
}

// catchUpOriginal applies the index of an original to the catalogue. It does not
// acknowledge the recordings, because the original would then take them off its lists.
func (f *Feed) catchUpOriginal(ctx context.Context, at *Place) error {
	feed := "original:" + f.alias // its index has no id of its own
	if at.feed != feed {
		*at = Place{feed: feed}
		if err := f.saveCursor(ctx, at); err != nil {
			return ours(err)
		}
	}
	if !f.node.HasRecorder() {
		return nil
	}
	over, err := f.over(ctx)
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
		if err := f.client.GetList(ctx, "/api/recordings", query, f.o.Timeout, peer.MaxAnswer, &page); err != nil {
			return err
		}
		if err := f.putSessions(ctx, page.Sessions); err != nil {
			return ours(err)
		}
		if page.LastTS == nil || *page.LastTS <= at.cursor.Seq {
			break
		}
		at.cursor = media.Cursor{Seq: *page.LastTS}
		if err := f.saveCursor(ctx, at); err != nil {
			return ours(err)
		}
	}
	f.setLevel(at.cursor.Seq)
	return f.endForgotten(ctx, over)
}

func (f *Feed) putSessions(ctx context.Context, sessions []OriginalRecording) error {
	var puts []media.Recording
	for i := range sessions {
		r, ok := sessions[i].Recording()
		if !ok {
			f.log.Warn("a recording of the node is left out: its stream or its path cannot be used", "stream", sessions[i].Stream)
			continue
		}
		puts = append(puts, f.node.Mount(r))
	}
	return f.put(ctx, puts)
}

func (f *Feed) put(ctx context.Context, recordings []media.Recording) error {
	if len(recordings) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err := f.o.Catalogue.PutAll(ctx, recordings)
	if fault.KindOf(err) == fault.Invalid {
		f.log.Error("recordings are left out of the catalogue", "error", err)
		err = nil // the others are in it; asking again would not help
	}
	for _, r := range recordings {
		f.o.Fleet.Forget(r.RecordDir)
	}
	return err
}

// Running returns the recordings of the node that run as far as the catalogue knows,
// newest first; of all streams if none is given.
func (f *Feed) Running(ctx context.Context, stream string) ([]media.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	list, _, err := f.o.Catalogue.List(ctx, media.RecordingQuery{Node: f.alias, Stream: stream, Status: media.StatusRecording})
	return slices.DeleteFunc(list, func(r media.Recording) bool { return !folder.Mounted(r) }), err
}

// over returns the folders of recordings that run in the catalogue and not on the node.
// It is called before the index is read, so that the index tells of their ends.
func (f *Feed) over(ctx context.Context) (dirs map[string]bool, err error) {
	list, err := f.Running(ctx, "")
	if err != nil {
		return nil, ours(err)
	}
	dirs = map[string]bool{}
	latest := map[string]bool{}
	for _, r := range list {
		if !latest[r.Stream] {
			latest[r.Stream] = true
			recording, err := f.node.IsRecording(ctx, r.Stream)
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
func (f *Feed) endForgotten(ctx context.Context, over map[string]bool) error {
	if len(over) == 0 {
		return nil
	}
	list, err := f.Running(ctx, "")
	if err != nil {
		return ours(err)
	}
	list = slices.DeleteFunc(list, func(r media.Recording) bool { return !over[r.RecordDir] })
	for i := range list {
		r := &list[i]
		end := f.o.Now().UTC()
		if seconds := f.manifestDuration(ctx, path.Join(folder.Unmount(*r).RecordDir, media.ManifestName)); seconds > 0 {
			r.Duration, r.DurableThrough = seconds, seconds
			end = r.Start.Add(time.Duration(seconds * float64(time.Second)))
		}
		r.End, r.Status, r.Reason = &end, media.StatusDegraded, ReasonForgotten
	}
	if err := f.put(ctx, list); err != nil {
		return ours(err)
	}
	return nil
}

// maxHead is how much of a manifest is read to get its first element.
const maxHead = 16 << 10

// manifestDuration returns the seconds that a manifest says it has; 0 where it says nothing.
func (f *Feed) manifestDuration(ctx context.Context, key string) float64 {
	resp, err := f.client.Do(ctx, peer.Call{Method: http.MethodGet, Path: "/api/record/object/" + api.EscapePath(key), Wait: f.o.Timeout})
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

// asideTimeout is how long an answer waits for what the catalogue can add to it.
const asideTimeout = time.Second

// PutStarted puts a recording that was started into the catalogue, unless it has it. If
// a manager of the original takes it off the node's index, nobody else tells of it.
func (f *Feed) PutStarted(ctx context.Context, s *OriginalRecording) error {
	r, ok := s.Recording()
	if !ok {
		return nil
	}
	r = f.node.Mount(r)
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	known, err := f.findAll(ctx, []string{r.RecordDir})
	if err != nil || len(known) > 0 {
		return err
	}
	return f.put(ctx, []media.Recording{r})
}
