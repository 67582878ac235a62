package manager

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/serve/api"
)

// Span implements api.Playback: a span may have parts of several nodes' recordings, and of
// copies the one that lacks the least.
func (l *library) Span(w http.ResponseWriter, r *http.Request, stream string, s media.TimeSpan, name string, until time.Time) error {
	if name == media.FileName {
		return fault.New(fault.Unsupported, "a manager makes no file of a span: ask the node that has recorded it, or save whole recordings")
	}
	return l.spans.Serve(w, r, stream, s, name, until)
}

// Overlapping implements span.Source. The record_dirs are those of the manager's
// catalogue, by which each recording is found again, whatever other nodes have. A page
// may be shorter than asked for.
func (l *library) Overlapping(ctx context.Context, q media.OverlapQuery) (media.OverlapPage, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	page, err := l.fleet.o.Catalogue.Overlapping(ctx, q)
	if err != nil {
		return page, unavailable(err)
	}
	page.Recordings = slices.DeleteFunc(page.Recordings, l.fleet.isGone)
	return page, nil
}

// Manifest implements span.Source.
func (l *library) Manifest(ctx context.Context, recordDir string) (data []byte, err error) {
	err = l.object(ctx, path.Join(recordDir, media.ManifestName), ways{
		relay: func(n *node, key string) (err error) {
			data, err = l.manifestOf(ctx, n, key)
			return err
		},
		stored: func(rec media.Recording, key string) error {
			if err := l.fleet.verify(ctx, rec); err != nil {
				return err
			}
			data, err = l.shared.Manifest(ctx, path.Dir(key))
			return err
		},
	})
	return data, err
}

// manifestOf reads a manifest from a node.
func (l *library) manifestOf(ctx context.Context, n *node, key string) ([]byte, error) {
	failed := func(err error) error {
		l.fleet.relayed(n, 0, true)
		return fault.Errorf(fault.Unavailable, "%w from node %q: %w", errNotRelayed, n.alias, err)
	}
	resp, err := n.client.Do(ctx, peer.Call{Method: http.MethodGet, Path: "/api/record/object/" + api.EscapePath(key), Wait: l.fleet.o.Timeout})
	if err != nil {
		n.suspect()
		return nil, failed(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		said := peer.ErrorText(resp)
		if resp.StatusCode == http.StatusNotFound || n.IsOriginal() && isMissing(resp.StatusCode, said) {
			return nil, fmt.Errorf("%w: %w", noObject(key), errNotRelayed)
		}
		return nil, failed(peer.StatusError(resp.StatusCode, said))
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, media.MaxManifest+1))
	switch {
	case err != nil:
		n.suspect()
		return nil, failed(err)
	case len(data) > media.MaxManifest:
		return nil, failed(fmt.Errorf("%q is longer than %d bytes", key, media.MaxManifest))
	}
	l.fleet.relayed(n, int64(len(data)), false)
	return data, nil
}

// Edge implements span.Source. Only the node knows the chunks of what it records.
func (l *library) Edge(string) (tail manifest.Tail, more <-chan struct{}, ok bool) {
	return manifest.Tail{}, nil, false
}

// Await implements span.Source: there is nothing to wait for.
func (l *library) Await(ctx context.Context, _ <-chan struct{}) (came bool, err error) {
	return false, ctx.Err()
}

// NoMedia implements span.Source.
func (l *library) NoMedia(ctx context.Context, stream string, s media.TimeSpan) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return unavailable(l.archive.NoMedia(ctx, stream, s))
}
