package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/maintain"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/media"
)

// Command is what a command on the catalogue needs beside the configuration.
type Command struct {
	// Originals is a file that lists what an original live777 recorded (maintain.RebuildOptions); may be empty.
	Originals      string
	Index, Fill    bool // what else is made in shared storage (maintain.RebuildOptions)
	JSON           bool // what there is to say, as JSON
	Stdout, Stderr io.Writer
	Logger         *slog.Logger // nil means slog.Default()
}

// Rebuild makes the catalogue from what is in shared storage (package maintain)
// and, for nodes that keep their recordings themselves, from what they tell. Whose a
// recording in shared storage is, its recording.json says by the node's own name;
// nodes that answer are asked for theirs. ok is false where something could not be
// read, or a node that keeps its recordings did not answer. When the manager is started
// the next time it follows all nodes from the beginning but those that have answered here.
func Rebuild(ctx context.Context, cfg *config.Liveman, c Command) (ok bool, err error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if cfg.Storage.Type == config.StorageFS {
		if _, err := os.Stat(cfg.Storage.Root); err != nil { // a folder that is not there, or not mounted, is not empty
			return false, fmt.Errorf("storage.root: %w", err)
		}
	}
	store, err := openStorage(ctx, cfg.Storage, c.Logger)
	if store.close != nil {
		defer func() { err = errors.Join(err, store.close.Close()) }()
	}
	if err != nil {
		return false, err
	}
	db, err := catalogue.Open(ctx, string(cfg.Database.URL))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	f := newFleet(fleetOptions{
		Catalogue: sealTokens(db, cfg, c.Logger), Storage: store.backend, Poll: cfg.Fleet.Poll.Duration(), Timeout: cfg.Fleet.Timeout.Duration(),
		Control: cfg.Fleet.ControlTimeout.Duration(), Now: time.Now, Logger: c.Logger,
	})
	defer f.close()
	nodes, err := f.known(ctx, cfg.Nodes)
	if err != nil {
		return false, err
	}
	for _, n := range nodes {
		f.nodes[n.alias] = n // and nobody follows them
	}
	if err := f.introduceAll(ctx, nodes); err != nil {
		return false, err
	}
	ok = true
	if (c.Originals != "" || c.Index || c.Fill) && store.backend == nil {
		return false, fault.New(fault.Invalid, "-originals, -index and -fill are about shared storage ([storage]), and there is none: run live777 rebuild on the node that keeps the recordings")
	}
	if store.backend != nil {
		if ok, err = rebuildShared(ctx, store, db, f, c); err != nil {
			return false, err
		}
	}
	for _, n := range nodes {
		if err := db.SetCursor(ctx, n.alias, "", ""); err != nil {
			return false, err
		}
		if n.Keeps() && !rebuildNode(ctx, n, c) {
			ok = false
		}
	}
	return ok, ctx.Err()
}

// introduceAll asks the nodes what they call themselves. Nodes that do not answer are
// known by what they said before.
func (f *fleet) introduceAll(ctx context.Context, nodes []*node) error {
	var asked sync.WaitGroup
	errs := make([]error, len(nodes))
	for i, n := range nodes {
		asked.Go(func() {
			info, err := n.askInfo(ctx)
			if err != nil {
				return
			}
			n.original.Store(info.kind() == kindOriginal)
			n.mu.Lock()
			n.info, n.seen = info.Info, f.now()
			n.mu.Unlock()
			errs[i] = n.feed.Introduce(ctx)
		})
	}
	asked.Wait()
	return errors.Join(errs...)
}

// rebuildShared rebuilds what shared storage has. A recording that is not there stays
// in the catalogue if its node keeps its recordings itself, or it waits for its upload.
func rebuildShared(ctx context.Context, store shared, db *catalogue.DB, f *fleet, c Command) (ok bool, err error) {
	out := maintain.NewOutput(c.Stdout, c.Stderr, c.JSON)
	o := maintain.RebuildOptions{
		Backend: store.backend, Catalogue: db, Partial: true, Index: c.Index, Fill: c.Fill, Originals: c.Originals, Logger: c.Logger,
		InCatalogue: f.names.InCatalogue,
		Elsewhere:   func(r media.Recording) bool { return folder.IsMounted(r.RecordDir) },
		Progress: func(s maintain.RebuildSummary) {
			out.Progress(s.Recordings, 0, fmt.Sprintf(", %d added to the catalogue, %d corrected", s.Added, s.Updated))
		},
	}
	sum, err := maintain.Rebuild(ctx, o)
	if err != nil {
		return false, err
	}
	out.Rebuilt(sum)
	return len(sum.Problems) == 0, out.Err()
}

// rebuildNode walks through the feed of a node.
func rebuildNode(ctx context.Context, n *node, c Command) (ok bool) {
	err := n.feed.Walk(ctx)
	said := struct {
		Node  string `json:"node"`
		Error string `json:"error,omitempty"`
	}{Node: n.alias}
	text := fmt.Sprintf("node %s: its recordings are in the catalogue\n", n.alias)
	if err != nil {
		said.Error = err.Error()
		text = fmt.Sprintf("node %s could not be asked for its recordings: %v\n", n.alias, err)
	}
	if c.JSON {
		line, _ := json.Marshal(said) // strings always can be
		text = string(line) + "\n"
	}
	_, _ = io.WriteString(c.Stdout, text) // where that fails, the code tells
	return err == nil
}

// configured returns the nodes of the configuration, without following them.
func (f *fleet) configured(nodes []config.Node) []*node {
	list := make([]*node, len(nodes))
	for i, c := range nodes {
		list[i] = newNode(f, c.Alias, configured, c.URL, string(c.Token), c.LocalStorage || f.o.Storage == nil)
	}
	return list
}

// known is configured, with the nodes that have registered. It stores the nodes in the
// catalogue, and loads the names that nodes have had.
func (f *fleet) known(ctx context.Context, nodes []config.Node) ([]*node, error) {
	saved, err := f.o.Catalogue.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	had, err := f.o.Catalogue.NodeNames(ctx)
	if err != nil {
		return nil, err
	}
	f.names.Load(had)
	list := f.configured(nodes)
	inConfig := map[string]bool{} // by aliases in small letters
	for i, n := range list {
		inConfig[strings.ToLower(n.alias)] = true
		// The token stays in the configuration.
		if err := f.o.Catalogue.PutNode(ctx, catalogue.Node{Alias: n.alias, URL: n.client.Base, Local: n.local}); err != nil {
			return nil, err
		}
		for _, name := range nodes[i].NodeAliases {
			if err := f.names.Claim(ctx, catalogue.NodeName{Name: name, Alias: n.alias, Sure: true}); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range saved {
		held := slices.ContainsFunc(list, func(n *node) bool { return n.source == configured && n.client.Base == s.URL })
		switch {
		case inConfig[strings.ToLower(s.Alias)]:
		case s.Registered && held: // as in takePlace
			if err := f.o.Catalogue.PutNode(ctx, catalogue.Node{Alias: s.Alias, URL: s.URL, Local: s.Local}); err != nil {
				return nil, err
			}
		case s.Registered:
			list = append(list, newNode(f, s.Alias, registered, s.URL, s.Token, s.Local || f.o.Storage == nil))
		default:
			f.log.Warn("a node is neither in the configuration nor registered any more; its recordings stay in the catalogue", "node", s.Alias)
		}
	}
	return list, nil
}
