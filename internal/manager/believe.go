package manager

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/maintain"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage"
)

// believe decides which of the recordings that the node tells of go into the catalogue,
// and returns them as the catalogue has them. On a walk through its whole feed the node
// may tell old news, because its database may be an old copy.
func (n *node) believe(ctx context.Context, told []media.Recording, at *follower) ([]media.Recording, error) {
	if len(told) == 0 {
		return nil, nil
	}
	rows := map[string]media.Recording{}
	if at.walk != nil || !n.keeps() {
		dirs := make([]string, len(told))
		for i, r := range told {
			dirs[i] = n.key(r.RecordDir)
		}
		found, err := n.fleet.findAll(ctx, dirs)
		if err != nil {
			return nil, err
		}
		for _, row := range found {
			rows[row.RecordDir] = row
		}
	}
	var puts []media.Recording
	for _, r := range told {
		var row *media.Recording
		if found, ok := rows[n.key(r.RecordDir)]; ok {
			row = &found
		}
		mine, keep, err := n.attribute(ctx, r, row)
		if err != nil {
			return nil, err
		}
		if keep {
			puts = append(puts, mine)
		}
	}
	if at.walk == nil {
		return puts, nil
	}
	return n.notOld(ctx, puts, rows, at.again)
}

// attribute decides which node a recording belongs to, and returns it as the catalogue
// has it. keep is false if another node has to tell of it: two nodes that took the same
// folder of shared storage both tell of it, but storage has the recording of one of
// them.
func (n *node) attribute(ctx context.Context, r media.Recording, row *media.Recording) (_ media.Recording, keep bool, err error) {
	name := r.Node
	r = n.mount(r)
	if n.keeps() {
		return r, true, nil
	}
	if r.Node = n.ownerOf(name); r.Node != n.alias {
		if row == nil { // it was deleted, if storage does not have it
			keep, err = n.fleet.stored(ctx, r.RecordDir)
			return r, keep, err
		}
		return r, row.Node == n.alias || row.Node == name, nil // it was not known then whose it is
	}
	if err := n.recognise(ctx, name); err != nil {
		return r, false, err
	}
	if row == nil || row.Node == n.alias {
		return r, true, nil
	}
	owner, err := n.fleet.storedBy(ctx, r.RecordDir)
	if err != nil {
		return r, false, err
	}
	// If two nodes have one name by mistake, the first must not lose its recordings.
	others := n.ownerOf(owner) != n.alias || owner != name && !n.named(owner) || n.fleet.node(row.Node) != nil
	if owner != "" && others && n.fleet.isNamed(row.Node, owner) && !n.outranks(n.fleet.node(row.Node), owner) {
		n.log.Error("a recording is left out: shared storage has another node's in its folder",
			"stream", row.Stream, "record_dir", row.RecordDir, "owner", owner)
		return r, false, nil
	}
	return r, true, nil
}

// outranks reports whether n is to be believed rather than another node that claims the
// same name and told of it first. A node from the configuration outranks one that
// registered, because anybody with a registration token can register a node and let it
// say anything. Of two that registered, the one whose alias is the name wins.
func (n *node) outranks(other *node, name string) bool {
	if other == nil || n.source != other.source {
		return other != nil && n.source == configured
	}
	return n.alias == name && other.alias != name
}

// verify checks a recording against its recording.json before the manager uses its own
// rights in shared storage. A node that has registered itself might say that a
// recording belongs to another stream than it does.
func (f *fleet) verify(ctx context.Context, r media.Recording) error {
	n := f.node(r.Node)
	if n != nil && n.source == configured || f.found.isVerified(r) {
		return nil
	}
	_, epoch, _ := f.found.get(r.RecordDir)
	stored, found, err := f.readInfo(ctx, r.RecordDir)
	if err != nil {
		return fault.Errorf(fault.Unavailable, "shared storage does not answer: %w", err)
	}
	if found && stored.Stream == r.Stream || !found && (n == nil || n.isOriginal()) { // which do not describe what they record
		f.found.verified(r, epoch)
		return nil
	}
	f.log.Warn("a node has told of a recording that shared storage does not have as it says", "node", r.Node, "stream", r.Stream, "record_dir", r.RecordDir)
	return fault.Errorf(fault.NotFound, "there is no recording %q", r.RecordDir)
}

// notOld corrects what the node tells where the manager knows better: it leaves out
// recordings that were deleted, and takes recording.json for those that differ from the
// manager's final state. again says that the manager has followed the node before, and
// so knew everything but what is new.
func (n *node) notOld(ctx context.Context, told []media.Recording, rows map[string]media.Recording, again bool) ([]media.Recording, error) {
	var unknown []string
	for _, r := range told {
		if _, ok := rows[r.RecordDir]; !ok {
			unknown = append(unknown, r.RecordDir)
		}
	}
	removed := map[string]bool{}
	dirs, err := n.fleet.removed(ctx, unknown)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		removed[dir] = true
	}
	var puts []media.Recording
	for _, r := range told {
		row, known := rows[r.RecordDir]
		differs := known && row.Status != media.StatusRecording && !maintain.Same(row, r)
		gone := (removed[r.RecordDir] || again && !known) && maintain.Stored(r)
		if !differs && !gone {
			puts = append(puts, r)
			continue
		}
		stored, found, err := n.description(ctx, r)
		switch {
		case err != nil:
			return nil, err
		case found && stored.Status != media.StatusRecording:
			puts = append(puts, stored)
		case found || !gone:
			puts = append(puts, r)
		default:
			n.log.Info("a recording that was deleted is left out: the node's database is an old copy", "stream", r.Stream, "record_dir", r.RecordDir)
		}
	}
	return puts, nil
}

func (f *fleet) findAll(ctx context.Context, dirs []string) ([]media.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return f.o.Catalogue.FindAll(ctx, dirs)
}

func (f *fleet) removed(ctx context.Context, dirs []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return f.o.Catalogue.Removed(ctx, dirs)
}

// description returns what recording.json says of r now, as the catalogue has it. found
// is false if there is none, or it is damaged.
func (n *node) description(ctx context.Context, r media.Recording) (stored media.Recording, found bool, err error) {
	if n.keeps() {
		stored, found, err = n.readInfo(ctx, unmount(r).RecordDir)
	} else {
		stored, found, err = n.fleet.readInfo(ctx, r.RecordDir)
	}
	stored.Node, stored.RecordDir, stored.MPDPath = r.Node, r.RecordDir, r.MPDPath
	return stored, found, err
}

// readInfo reads a recording.json from the shared storage.
func (f *fleet) readInfo(ctx context.Context, dir string) (r media.Recording, found bool, err error) {
	if f.o.Storage == nil {
		return r, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	body, err := f.o.Storage.Get(ctx, dir+"/"+media.InfoName, 0, media.MaxInfoSize)
	if errors.Is(err, storage.ErrNotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	return decodeInfo(body, dir)
}

// readInfo reads a recording.json from the node.
func (n *node) readInfo(ctx context.Context, dir string) (r media.Recording, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	resp, err := n.client.do(ctx, call{
		method: http.MethodGet, path: "/api/record/object/" + api.EscapePath(dir+"/"+media.InfoName), wait: n.fleet.o.Timeout,
	})
	if err != nil {
		return r, false, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return decodeInfo(resp.Body, dir)
	case http.StatusNotFound:
		return r, false, resp.Body.Close()
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxShort)) // for the message
	return r, false, errors.Join(statusError(resp.StatusCode, said), resp.Body.Close())
}

func decodeInfo(body io.ReadCloser, dir string) (r media.Recording, found bool, err error) {
	data, err := io.ReadAll(io.LimitReader(body, media.MaxInfoSize))
	if err := errors.Join(err, body.Close()); err != nil {
		return r, false, err
	}
	if parts(data) > maxParts {
		return r, false, nil // nor is it ours
	}
	r, _, err = media.DecodeRecording(data, dir)
	if err != nil {
		return r, false, nil //nolint:nilerr // it is damaged, and tells nothing
	}
	return r, true, nil
}

// sweep drops the node's recordings that were not seen on a walk through its whole
// feed: they were deleted while nobody followed. A recording that has a recording.json
// in shared storage stays, because the node may have lost its database, or keep its
// recordings itself by now.
func (n *node) sweep(ctx context.Context, seen *dirSet) error {
	return n.fleet.eachBatch(ctx, n.alias, func(dirs []string) error {
		var gone []string
		for _, dir := range dirs {
			if seen.has(dir) {
				continue
			}
			if !strings.HasPrefix(dir, mountMark) {
				if stored, err := n.fleet.stored(ctx, dir); err != nil {
					return err
				} else if stored {
					continue
				}
			}
			gone = append(gone, dir)
		}
		left, err := n.fleet.o.Catalogue.DeleteAll(ctx, n.alias, gone)
		for _, dir := range gone {
			n.fleet.forget(dir)
		}
		if left > 0 {
			n.log.Info("recordings are gone", "recordings", left, "first", gone[0])
		}
		return err
	})
}
