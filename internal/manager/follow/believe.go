package follow

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/live777/recorder/internal/library/maintain"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// believe decides which of the recordings that the node tells of go into the catalogue,
// and returns them as the catalogue has them. On a walk through its whole feed the node
// may tell old news, because its database may be an old copy.
func (f *Feed) believe(ctx context.Context, told []media.Recording, at *Place) ([]media.Recording, error) {
	if len(told) == 0 {
		return nil, nil
	}
	rows := map[string]media.Recording{}
	if at.walk != nil || !f.node.Keeps() {
		dirs := make([]string, len(told))
		for i, r := range told {
			dirs[i] = f.node.Key(r.RecordDir)
		}
		found, err := f.findAll(ctx, dirs)
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
		if found, ok := rows[f.node.Key(r.RecordDir)]; ok {
			row = &found
		}
		mine, keep, err := f.attribute(ctx, r, row)
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
	return f.notOld(ctx, puts, rows, at.again)
}

// attribute decides which node a recording belongs to, and returns it as the catalogue
// has it, whose row of it may be nil. keep is false if another node has to tell of it:
// two nodes that took the same folder of shared storage both tell of it, but storage has
// the recording of one of them.
func (f *Feed) attribute(ctx context.Context, r media.Recording, row *media.Recording) (_ media.Recording, keep bool, err error) {
	name := r.Node
	r = f.node.Mount(r)
	if f.node.Keeps() { // no other node can have it
		return r, true, nil
	}
	if r.Node = f.o.Names.OwnerOf(f.alias, name); r.Node != f.alias {
		keep, err = f.mayTellOf(ctx, r, name, row)
		return r, keep, err
	}
	if err := f.o.Names.Recognise(ctx, f.alias, name); err != nil {
		return r, false, err
	}
	if row == nil || row.Node == f.alias { // no other node has told of it
		return r, true, nil
	}
	keep, err = f.winsFolder(ctx, name, *row)
	return r, keep, err
}

// mayTellOf reports whether n is believed when it tells of a recording of the node with
// another name.
func (f *Feed) mayTellOf(ctx context.Context, r media.Recording, name string, row *media.Recording) (bool, error) {
	if row == nil { // it was deleted, if storage does not have it
		return f.o.Shared.Has(ctx, r.RecordDir)
	}
	return row.Node == f.alias || row.Node == name, nil // it was not known then whose it is
}

// winsFolder reports whether n, which calls itself name, is believed to have the
// recording in a folder of which another node has told first. Only if storage has that
// node's recording there n is not.
func (f *Feed) winsFolder(ctx context.Context, name string, row media.Recording) (bool, error) {
	owner, err := f.o.Shared.Owner(ctx, row.RecordDir)
	if err != nil {
		return false, err
	}
	first := f.o.Fleet.Source(row.Node) // "": there is no such node any more
	ownName := f.o.Names.OwnerOf(f.alias, owner) == f.alias && (owner == name || f.o.Names.Has(f.alias, owner))
	switch {
	case owner == "": // storage does not say
	case ownName && first == "": // n had another alias
	case !f.o.Names.IsCalled(row.Node, owner): // it is not the first node's either
	case f.outranks(row.Node, first, owner): // both have that name
	default: // if two nodes have one name by mistake, the first must not lose its recordings
		f.log.Error("a recording is left out: shared storage has another node's in its folder",
			"stream", row.Stream, "record_dir", row.RecordDir, "owner", owner)
		return false, nil
	}
	return true, nil
}

// outranks reports whether n is to be believed rather than another node that claims the
// same name and told of it first. A node from the configuration outranks one that
// registered, because anybody with a registration token can register a node and let it
// say anything. Of two that registered, the one whose alias is the name wins.
func (f *Feed) outranks(other, source, name string) bool {
	mine := f.node.Source()
	if source == "" || mine != source {
		return source != "" && mine == Configured
	}
	return f.alias == name && other != name
}

// news is what the manager makes of a recording that a node tells of on a walk.
type news uint8

const (
	plausible news = iota // the manager knows nothing better
	changed               // the catalogue has another final state
	deleted               // the manager has deleted it, as far as it knows
)

// newsOf compares what a node tells of a recording with its row in the catalogue, which
// may be nil. removed says that the catalogue remembers its deletion, and again that the
// manager has followed the node before, and so knew everything but what is new.
func newsOf(told media.Recording, row *media.Recording, removed, again bool) news {
	switch {
	case row == nil && (removed || again) && maintain.Stored(told):
		return deleted
	case row != nil && row.Status != media.StatusRecording && !maintain.Same(*row, told):
		return changed
	}
	return plausible
}

// notOld corrects what the node tells where the manager knows better: it leaves out
// recordings that were deleted, and takes recording.json for those that have changed.
func (f *Feed) notOld(ctx context.Context, told []media.Recording, rows map[string]media.Recording, again bool) ([]media.Recording, error) {
	removed, err := f.removedOf(ctx, told, rows)
	if err != nil {
		return nil, err
	}
	var puts []media.Recording
	for _, r := range told {
		var row *media.Recording
		if known, ok := rows[r.RecordDir]; ok {
			row = &known
		}
		what := newsOf(r, row, removed[r.RecordDir], again)
		if what == plausible {
			puts = append(puts, r)
			continue
		}
		stored, found, err := f.description(ctx, r)
		switch {
		case err != nil:
			return nil, err
		case found && stored.Status != media.StatusRecording:
			puts = append(puts, stored)
		case found, what == changed: // there is nothing final to hold against it
			puts = append(puts, r)
		default:
			f.log.Info("a recording that was deleted is left out: the node's database is an old copy", "stream", r.Stream, "record_dir", r.RecordDir)
		}
	}
	return puts, nil
}

// removedOf returns the folders of those recordings without a row whose deletion the
// catalogue remembers.
func (f *Feed) removedOf(ctx context.Context, told []media.Recording, rows map[string]media.Recording) (map[string]bool, error) {
	var unknown []string
	for _, r := range told {
		if _, ok := rows[r.RecordDir]; !ok {
			unknown = append(unknown, r.RecordDir)
		}
	}
	dirs, err := f.removed(ctx, unknown)
	removed := make(map[string]bool, len(dirs))
	for _, dir := range dirs {
		removed[dir] = true
	}
	return removed, err
}

func (f *Feed) findAll(ctx context.Context, dirs []string) ([]media.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return f.o.Catalogue.FindAll(ctx, dirs)
}

func (f *Feed) removed(ctx context.Context, dirs []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return f.o.Catalogue.Removed(ctx, dirs)
}

// description returns what recording.json says of r now, as the catalogue has it. found
// is false if there is none, or it is damaged.
func (f *Feed) description(ctx context.Context, r media.Recording) (stored media.Recording, found bool, err error) {
	if f.node.Keeps() {
		stored, found, err = f.readInfo(ctx, folder.Unmount(r).RecordDir)
	} else {
		stored, found, err = f.o.Shared.Read(ctx, r.RecordDir)
	}
	stored.Node, stored.RecordDir, stored.MPDPath = r.Node, r.RecordDir, r.MPDPath
	return stored, found, err
}

// readInfo reads a recording.json from the node.
func (f *Feed) readInfo(ctx context.Context, dir string) (r media.Recording, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	resp, err := f.client.Do(ctx, peer.Call{
		Method: http.MethodGet, Path: "/api/record/object/" + api.EscapePath(dir+"/"+media.InfoName), Wait: f.o.Timeout,
	})
	if err != nil {
		return r, false, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return folder.Decode(resp.Body, dir)
	case http.StatusNotFound:
		return r, false, resp.Body.Close()
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, peer.MaxShort)) // for the message
	return r, false, errors.Join(peer.StatusError(resp.StatusCode, said), resp.Body.Close())
}

// sweep drops the node's recordings that were not seen on a walk through its whole
// feed: they were deleted while nobody followed. A recording that has a recording.json
// in shared storage stays, because the node may have lost its database, or keep its
// recordings itself by now.
func (f *Feed) sweep(ctx context.Context, seen *dirSet) error {
	return EachBatch(ctx, f.o.Catalogue, f.alias, func(dirs []string) error {
		var gone []string
		for _, dir := range dirs {
			if seen.has(dir) {
				continue
			}
			if !folder.IsMounted(dir) {
				if stored, err := f.o.Shared.Has(ctx, dir); err != nil {
					return err
				} else if stored {
					continue
				}
			}
			gone = append(gone, dir)
		}
		left, err := f.o.Catalogue.DeleteAll(ctx, f.alias, gone)
		for _, dir := range gone {
			f.o.Fleet.Forget(dir)
		}
		if left > 0 {
			f.log.Info("recordings are gone", "recordings", left, "first", gone[0])
		}
		return err
	})
}
