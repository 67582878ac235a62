package manager

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// maxPicture bounds the bytes of a picture that a node answers with.
const maxPicture = 16 << 20

// typeWebM is the type of a picture of VP8.
const typeWebM = "video/webm"

// KeyFrame implements api.Playback: what a node may have newer, or alone, comes from the
// node.
func (l *library) KeyFrame(ctx context.Context, q media.KeyFrameQuery) (media.Picture, error) {
	page, _, err := l.page(ctx, playback.KeyRecordings(q))
	if err != nil {
		return media.Picture{}, unavailable(err)
	}
	for _, rec := range page.Recordings {
		p, err := l.keyFrameOf(ctx, rec, q)
		if fault.KindOf(err) != fault.NotFound || err == nil {
			return p, err
		}
	}
	return media.Picture{}, playback.NoKeyFrame(q)
}

// keyFrameOf is KeyFrame for one recording.
func (l *library) keyFrameOf(ctx context.Context, rec media.Recording, q media.KeyFrameQuery) (media.Picture, error) {
	n, err := l.nodeFor(rec)
	if err != nil {
		return media.Picture{}, err
	}
	if n != nil {
		p, err := l.keyFrameFrom(ctx, n, q)
		if err == nil || folder.Mounted(rec) {
			return p, err
		}
	}
	if err := l.fleet.verify(ctx, rec); err != nil {
		return media.Picture{}, err
	}
	return l.shared.KeyFrameOf(ctx, rec, q)
}

// nodeFor returns the node that is to be asked about a recording; nil: shared storage has
// all of it.
func (l *library) nodeFor(rec media.Recording) (*node, error) {
	n := l.fleet.node(rec.Node)
	switch {
	case folder.Mounted(rec) && n == nil:
		return nil, fault.Errorf(fault.Unavailable, "the recording is on node %q, which the manager does not know any more", rec.Node).Coded("node_forgotten", "node", rec.Node)
	case folder.Mounted(rec):
		err := n.isUp()
		return n, err
	case l.shared == nil:
		return nil, fault.New(fault.Unavailable, "the recording is in shared storage, and the manager has no [storage]").Coded("no_storage")
	case n != nil && !n.Keeps() && n.isUp() == nil && !l.settled(rec):
		return n, nil
	}
	return nil, nil //nolint:nilnil // nobody has to be asked
}

// keyFrameFrom asks a node for a key frame.
func (l *library) keyFrameFrom(ctx context.Context, n *node, q media.KeyFrameQuery) (media.Picture, error) {
	at := "now"
	if !q.Now {
		at = q.At.UTC().Format(time.RFC3339Nano)
	}
	resp, err := n.client.Do(ctx, peer.Call{
		Method: http.MethodGet, Path: "/api/archive/" + api.EscapePath(q.Stream) + "/at/" + api.EscapePath(at) + "/key.mp4",
		Query: heightOf(q.Height), Wait: l.fleet.o.Timeout,
	})
	if err != nil {
		n.suspect()
		return media.Picture{}, fault.Errorf(fault.Unavailable, "key frame from node %q: %w", n.alias, err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return media.Picture{}, playback.NoKeyFrame(q)
	case http.StatusConflict, http.StatusBadRequest:
		return media.Picture{}, refusedByNode(n, resp.StatusCode, peer.ErrorText(resp))
	default:
		return media.Picture{}, fault.Errorf(fault.Unavailable, "key frame from node %q: %w", n.alias, peer.StatusError(resp.StatusCode, peer.ErrorText(resp)))
	}
	shown, err := time.Parse(time.RFC3339Nano, resp.Header.Get(api.KeyTimeHeader))
	if err != nil {
		return media.Picture{}, fault.Errorf(fault.Unavailable, "key frame from node %q: it does not say when it is shown", n.alias)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPicture+1))
	if err != nil || len(data) > maxPicture {
		return media.Picture{}, fault.Errorf(fault.Unavailable, "key frame from node %q: %d bytes came, and %w", n.alias, len(data), peer.Explain(ctx, err))
	}
	sum := sha256.Sum256(data)
	p := media.Picture{Time: shown, ETag: fmt.Sprintf(`"%x"`, sum[:12]), Type: "video/mp4", Node: n.alias, Data: data}
	if resp.Header.Get("Content-Type") == typeWebM {
		p.Type = typeWebM
	}
	return p, nil
}

// heightOf is the query for a height.
func heightOf(height int) url.Values {
	v := url.Values{}
	if height > 0 {
		v.Set("height", strconv.Itoa(height))
	}
	return v
}

// KeyFrames implements api.Playback.
func (l *library) KeyFrames(ctx context.Context, q media.KeyFramesQuery) (media.KeyFrameList, error) {
	page, _, err := l.page(ctx, playback.KeySpan(q))
	if err != nil {
		return media.KeyFrameList{}, unavailable(err)
	}
	if page.Next != "" {
		return media.KeyFrameList{}, playback.ManyRecordings(page)
	}
	list := media.KeyFrameList{Stream: q.Stream, From: q.Span.From, To: q.Span.To}
	var stored []media.Recording
	nodes := map[string]*node{}
	for _, rec := range page.Recordings {
		n, err := l.nodeFor(rec)
		if err != nil {
			return list, err
		}
		if n != nil {
			nodes[n.alias] = n
		} else if err := l.fleet.verify(ctx, rec); err == nil {
			stored = append(stored, rec)
		}
	}
	if len(stored) > 0 {
		found, err := l.shared.KeyFramesOf(ctx, stored, q)
		if err != nil {
			return list, err
		}
		list.KeyFrames = found.KeyFrames
	}
	for _, alias := range slices.Sorted(maps.Keys(nodes)) {
		found, err := l.keyFramesFrom(ctx, nodes[alias], q)
		if err != nil {
			return list, err
		}
		list.KeyFrames = append(list.KeyFrames, found...)
	}
	list.KeyFrames = thin(list.KeyFrames, q)
	return list, nil
}

// keyFramesFrom asks a node for a list of key frames. The paths of objects are then those
// of the manager.
func (l *library) keyFramesFrom(ctx context.Context, n *node, q media.KeyFramesQuery) ([]media.KeyFrame, error) {
	v := heightOf(q.Height)
	v.Set("from", q.Span.From.UTC().Format(time.RFC3339Nano))
	v.Set("to", q.Span.To.UTC().Format(time.RFC3339Nano))
	v.Set("count", strconv.Itoa(q.Count))
	var said media.KeyFrameList
	if err := n.client.Get(ctx, "/api/archive/"+api.EscapePath(q.Stream)+"/keys", v, l.fleet.o.Timeout, peer.MaxShort, &said); err != nil {
		return nil, fault.Errorf(fault.Unavailable, "key frames from node %q: %w", n.alias, err)
	}
	if len(said.KeyFrames) > q.Count {
		return nil, fault.Errorf(fault.Unavailable, "key frames from node %q: it says %d, and was asked for %d", n.alias, len(said.KeyFrames), q.Count)
	}
	for i := range said.KeyFrames {
		k := &said.KeyFrames[i]
		for _, key := range []string{k.Object, k.Init, k.RecordDir} {
			if err := media.CheckPath(key); err != nil {
				return nil, fault.Errorf(fault.Unavailable, "key frames from node %q: %w", n.alias, err)
			}
		}
		k.Object, k.Init = n.Key(k.Object), n.Key(k.Init)
	}
	return said.KeyFrames, nil
}

// thin puts key frames of several sources in the order of time, and leaves at most as many
// as are wanted, about evenly apart.
func thin(keys []media.KeyFrame, q media.KeyFramesQuery) []media.KeyFrame {
	slices.SortStableFunc(keys, func(a, b media.KeyFrame) int { return a.Time.Compare(b.Time) })
	out, last := []media.KeyFrame{}, -1
	for _, k := range keys {
		part := int(k.Time.Sub(q.Span.From).Seconds() * float64(q.Count) / q.Span.To.Sub(q.Span.From).Seconds())
		if part > last && part < q.Count {
			out, last = append(out, k), part
		}
	}
	return out
}
