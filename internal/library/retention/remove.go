package retention

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// workers is how many objects are deleted at the same time: each costs a remote
// backend a round trip.
const workers = 8

// remove deletes the objects of a recording and nothing else: what lies in its
// folder and has the name of none of its objects stays, and so do the folders of
// other recordings below it.
//
// What makes a recording of the rest goes first. The objects are those that are
// there at the beginning: what another recording writes later is not touched.
func (k *Keeper) remove(ctx context.Context, d *deletion) error {
	dir := d.rec.RecordDir
	if _, runs := k.o.Live.Running(dir); runs {
		return fault.New(fault.Conflict, "a new recording is being written to its folder")
	}
	if d.attempts > 0 || d.rec.Stream == "" {
		// A node that did not know of the deletion may have taken the folder again. Its
		// new recording has this status; the old one had ended.
		switch stored, err := k.info(ctx, dir); {
		case err == nil && stored.Status == media.StatusRecording:
			return notHere(stored)
		case err != nil && !errors.Is(err, storage.ErrNotFound) && fault.KindOf(err) != fault.Invalid:
			return err
		}
	}
	head, rest, others, err := k.objects(ctx, dir)
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	if others > 0 && d.attempts == 0 {
		k.log.Info("files that are not of the recording stay in its folder", "record_dir", dir, "files", others)
	}
	for _, o := range head {
		if err := k.removeOne(ctx, d, o); err != nil {
			return err
		}
	}
	return k.removeAll(ctx, d, rest)
}

// objects lists the objects of a recording: its manifests and description, and
// the others; and how many are in its folder that are none.
func (k *Keeper) objects(ctx context.Context, dir string) (head, rest []storage.Object, others int, err error) {
	for o, err := range k.o.Backend.List(ctx, dir) {
		if err != nil {
			return nil, nil, 0, err
		}
		if path.Dir(o.Key) != dir {
			continue
		}
		switch name := path.Base(o.Key); {
		case storage.ClassOf(name) != storage.Media:
			head = append(head, o)
		case media.IsObjectName(name):
			rest = append(rest, o)
		default:
			others++
		}
	}
	return head, rest, others, nil
}

// removeAll deletes objects, some at a time. After an error it begins with no more.
func (k *Keeper) removeAll(ctx context.Context, d *deletion, objects []storage.Object) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan storage.Object)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for o := range next {
				if errs[i] = k.removeOne(ctx, d, o); errs[i] != nil {
					cancel()
					return
				}
			}
		})
	}
feed:
	for _, o := range objects {
		select {
		case next <- o:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err // the one that made the others end
		}
	}
	return errors.Join(errors.Join(errs...), ctx.Err())
}

func (k *Keeper) removeOne(ctx context.Context, d *deletion, o storage.Object) error {
	if err := k.renew(ctx, d); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := k.o.Backend.Delete(ctx, o.Key); err != nil {
		return err
	}
	k.mu.Lock()
	d.bytes += o.Size
	d.objects++
	k.mu.Unlock()
	return nil
}
