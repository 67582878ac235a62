package manager

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

const (
	// feedLimit is how many changes are asked for at once.
	feedLimit = api.MaxPage
	// maxRows bounds the recordings of a node. A node that tells of more is not
	// followed any further.
	maxRows = 5_000_000
	// feedPause is the least time between two looks at a feed. Changes in between are
	// fetched together.
	feedPause = time.Second
	// feedPoll is how many polling intervals pass between two looks while events come.
	// Events are hints and may get lost.
	feedPoll = 6
	// applyTimeout bounds each use of the catalogue, and each look into storage.
	applyTimeout = 30 * time.Second
)

// feedPage is an answer of GET /api/recordings?since= of a node.
type feedPage struct {
	Feed    string          `json:"feed"` // id of the node's database
	Changes peer.ChangeList `json:"changes"`
	Next    int64           `json:"next"` // where to go on
	Base    int64           `json:"base"` // on a walk from the beginning: where that began
}

func (p *feedPage) cursor() media.Cursor { return media.Cursor{Seq: p.Next, Base: p.Base} }

// mount returns r as the manager's catalogue keeps it.
func (n *node) mount(r media.Recording) media.Recording {
	r.Node = n.alias
	if n.Keeps() {
		r.RecordDir, r.MPDPath = n.key(r.RecordDir), n.key(r.MPDPath)
	}
	return r
}

// key returns the catalogue's name for a path of the node.
func (n *node) key(path string) string {
	if n.Keeps() {
		return folder.Mount(n.alias) + path
	}
	return path
}

// follower is a place in a node's feed.
type follower struct {
	feed   string
	cursor media.Cursor
	// walk has the record_dirs that were seen on a walk from the beginning of the feed;
	// nil if there is no walk. What was not seen at its end is gone.
	walk *dirSet
	// again says that the node was followed before. What it tells on the walk may have
	// been deleted since, because its database may be an old copy.
	again bool
}

// followFeed applies the changes of the node's recordings to the catalogue.
func (n *node) followFeed(ctx context.Context) {
	if !n.fleet.awaitOpen(ctx) {
		return
	}
	at, known := follower{}, false
	for n.awaitUp(ctx) {
		var err error
		if !known {
			at, err = n.loadCursor(ctx)
			known = err == nil
		}
		if err == nil {
			if err = n.introduce(ctx); err != nil {
				err = ours(err)
			}
		}
		if err == nil {
			err = n.catchUp(ctx, &at)
		}
		if ctx.Err() != nil {
			return
		}
		n.note("feed", err)
		wait := n.fleet.o.Poll
		if err == nil && n.feedEvents.Load() {
			wait *= feedPoll
		}
		if !pause(ctx, min(feedPause, n.fleet.o.Poll), nil) || !pause(ctx, wait, n.feedNow) {
			return
		}
	}
}

// watchFeed wakes followFeed when the node's catalogue changes.
func (n *node) watchFeed(ctx context.Context) {
	for n.awaitUp(ctx) {
		n.mu.Lock()
		since := n.feed.Seq
		n.mu.Unlock()
		if since == 0 || n.isOriginal() { // not level yet, and not to be told everything twice; or there is none
			if !pause(ctx, feedPause, nil) {
				return
			}
			continue
		}
		_ = n.events(ctx, "/api/sse/recordings?since="+strconv.FormatInt(since, 10), func([]byte) error {
			n.feedEvents.Store(true)
			select {
			case n.feedNow <- struct{}{}:
			default:
			}
			return nil
		}) // why it ended shows at the next look at the feed
		n.feedEvents.Store(false)
		if !pause(ctx, n.fleet.o.Poll, nil) {
			return
		}
	}
}

func (n *node) loadCursor(ctx context.Context) (follower, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	nodes, err := n.fleet.o.Catalogue.Nodes(ctx)
	if err != nil {
		return follower{}, ours(err)
	}
	for _, saved := range nodes {
		if saved.Alias != n.alias {
			continue
		}
		if saved.Cursor == "" { // its first walk did not come to its end
			return follower{}, nil
		}
		cursor, err := media.ParseCursor(saved.Cursor)
		if err != nil {
			n.log.Warn("the place in the node's feed is damaged: beginning again", "error", err)
			return follower{}, nil
		}
		return follower{feed: saved.Feed, cursor: cursor}, nil
	}
	return follower{}, nil
}

// catchUp applies pages until there are no more changes. It notes the cursor after it
// has applied a page. If a crash comes in between, the page is applied again, with the
// same result. A walk is noted only at its end, because what it has seen is not stored.
func (n *node) catchUp(ctx context.Context, at *follower) error {
	if n.isOriginal() {
		return n.catchUpOriginal(ctx, at)
	}
	for {
		if at.feed == "" && at.walk == nil {
			*at = follower{walk: newDirSet()}
		}
		page, err := n.fetch(ctx, at.cursor)
		if errors.Is(err, catalogue.ErrFeedTruncated) || err == nil && at.feed != "" && page.Feed != at.feed {
			if at.walk != nil && at.cursor == (media.Cursor{}) {
				return fmt.Errorf("the node's feed cannot be followed from its beginning: %w", err)
			}
			n.log.Info("following the node's recordings from the beginning: its database was replaced, or restored, or goes back too far")
			*at = follower{walk: newDirSet(), again: true}
			continue
		}
		if err != nil {
			return err
		}
		if at.walk.len()+len(page.Changes) > n.fleet.maxRows {
			return fault.Errorf(fault.Unavailable, "it tells of more than %d recordings", n.fleet.maxRows)
		}
		if len(page.Changes) > 0 && page.Next <= at.cursor.Seq {
			return fault.Errorf(fault.Unavailable, "its feed of recordings does not go on: after change %d it leads to %d", at.cursor.Seq, page.Next)
		}
		if at.feed == "" {
			if err := n.begin(ctx, page.Feed, at.again); err != nil {
				return err
			}
		}
		if err := n.apply(ctx, at, page); err != nil {
			return ours(err)
		}
		at.feed, at.cursor = page.Feed, page.cursor()
		if len(page.Changes) > 0 {
			continue
		}
		if at.walk != nil {
			if err := n.sweep(ctx, at.walk); err != nil {
				return ours(err)
			}
			at.walk, at.again = nil, false
			if err := n.saveCursor(ctx, at); err != nil {
				return ours(err)
			}
		}
		n.level(at.cursor.Seq)
		return nil
	}
}

// begin gives the node the recordings that a node with the same feed has left. It
// stores whose feed it is before the first recording, because the node may come back
// under another alias before the walk ends.
func (n *node) begin(ctx context.Context, feed string, again bool) error {
	if err := n.succeed(ctx, feed); err != nil {
		return ours(err)
	}
	if again {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := n.fleet.o.Catalogue.SetCursor(ctx, n.alias, feed, ""); err != nil {
		return ours(err)
	}
	return nil
}

// fetch asks the node for a page of changes.
func (n *node) fetch(ctx context.Context, cursor media.Cursor) (*feedPage, error) {
	page := new(feedPage)
	query := url.Values{"since": {strconv.FormatInt(cursor.Seq, 10)}, "limit": {strconv.Itoa(feedLimit)}}
	if cursor.Base > 0 {
		query.Set("base", strconv.FormatInt(cursor.Base, 10))
	}
	err := n.client.GetList(ctx, "/api/recordings", query, n.fleet.o.Timeout, peer.MaxAnswer, page)
	if fault.KindOf(err) == fault.Conflict {
		return nil, fmt.Errorf("%w: %w", catalogue.ErrFeedTruncated, err)
	}
	if err == nil && page.Feed == "" {
		return nil, fault.New(fault.Unavailable, "its feed of recordings has no id")
	}
	return page, err
}

// apply puts a page of changes into the catalogue.
func (n *node) apply(ctx context.Context, at *follower, page *feedPage) error {
	if len(page.Changes) == 0 {
		return nil
	}
	defer func() { // afterwards: until then what was before may be looked up
		for _, c := range page.Changes {
			n.fleet.forget(n.key(c.RecordDir))
		}
	}()
	var puts []media.Recording
	for _, c := range page.Changes {
		switch {
		case c.Deleted:
			if err := n.remove(ctx, n.key(c.RecordDir)); err != nil {
				return err
			}
		case c.Recording != nil:
			r := *c.Recording
			if !n.Keeps() && folder.IsMounted(r.RecordDir) {
				n.log.Error("a recording is left out: its folder looks like one of a node's own", "stream", r.Stream, "record_dir", r.RecordDir)
				continue
			}
			puts = append(puts, r)
			if at.walk != nil {
				at.walk.add(n.key(r.RecordDir))
			}
		}
	}
	puts, err := n.believe(ctx, puts, at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err = n.fleet.o.Catalogue.PutAll(ctx, puts)
	if fault.KindOf(err) == fault.Invalid {
		n.log.Error("recordings are left out of the catalogue", "error", err)
		err = nil // the others are in it; asking again would not help
	}
	if err != nil {
		return err
	}
	if at.walk != nil {
		return nil
	}
	return n.saveCursor(ctx, &follower{feed: page.Feed, cursor: page.cursor()})
}

// remove takes a recording out of the catalogue, unless another node has made one
// in the same folder since.
func (n *node) remove(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	r, err := n.fleet.o.Catalogue.Get(ctx, dir)
	switch {
	case errors.Is(err, catalogue.ErrNotFound):
		return nil
	case err != nil:
		return err
	case r.Node != n.alias:
		return nil
	}
	return n.fleet.o.Catalogue.Delete(ctx, dir)
}

func (n *node) saveCursor(ctx context.Context, at *follower) error {
	return n.fleet.o.Catalogue.SetCursor(ctx, n.alias, at.feed, at.cursor.String())
}

// level notes that the catalogue has everything that the node has told of, up to seq.
func (n *node) level(seq int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.feed.Seq, n.feed.UpdatedAt = seq, n.fleet.now()
}
