package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// claimPoll is how often a claim is checked while remote storage is asked about it. It
// usually answers within milliseconds.
const claimPoll = 5 * time.Millisecond

// claims has the claims of folders that are not acknowledged, by the keys of their
// recording.json. A claim is empty until it is first uploaded.
type claims struct {
	store *fs.Store
	dir   string
	sync  bool
}

// name returns the name of a claim's file. All are in one folder, so that one fsync
// makes the removal of any of them durable.
func (claims) name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// begin makes an empty claim.
func (c *claims) begin(ctx context.Context, key string) error {
	return c.store.Put(ctx, c.name(key), bytes.NewReader(nil), 0)
}

// fill copies the present content of recording.json into an empty claim, and reports
// whether it did. A claim keeps its content, so that what may have been uploaded is
// recognised later.
func (c *claims) fill(ctx context.Context, key string, local *fs.Store) (filled bool, err error) {
	o, err := c.store.Stat(ctx, c.name(key))
	if err != nil && !errors.Is(err, storage.ErrNotFound) || o.Size > 0 {
		return false, err
	}
	data, err := contentOf(ctx, local, key)
	if err != nil {
		return false, err
	}
	return true, c.store.Put(ctx, c.name(key), bytes.NewReader(data), int64(len(data)))
}

func (c *claims) open(ctx context.Context, key string) (*os.File, error) {
	return c.store.Open(ctx, c.name(key))
}

// end removes a claim for good. If it came back after a power cut, after recording.json
// has been replaced remotely, it would look like a stranger's.
func (c *claims) end(ctx context.Context, key string) error {
	if err := c.store.Delete(ctx, c.name(key)); err != nil || !c.sync {
		return err
	}
	d, err := os.Open(c.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// all returns the sizes of all claims by their names.
func (c *claims) all(ctx context.Context) (map[string]int64, error) {
	names := map[string]int64{}
	for o, err := range c.store.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		names[o.Key] = o.Size
	}
	return names, nil
}

// scanClaims connects the claims on the disk with the entries.
func (s *Spool) scanClaims(ctx context.Context) error {
	names, err := s.disk.claims.all(ctx)
	if err != nil {
		return fmt.Errorf("read the claims in the spool: %w", err)
	}
	for _, f := range s.queue.folders {
		name := s.disk.claims.name(path.Join(f.name, media.InfoName))
		size, ok := names[name]
		switch {
		case !ok:
			continue
		case f.info != nil:
			s.happens(f, foundWithClaim)
		case size > 0: // a deletion of what is not to be uploaded was interrupted
			s.happens(f, foundClaimOnly)
		default:
			continue
		}
		delete(names, name)
	}
	for name := range names { // of objects that were never made
		if err := s.disk.claims.store.Delete(ctx, name); err != nil {
			return fmt.Errorf("remove a claim from the spool: %w", err)
		}
	}
	return nil
}

// Claimed implements storage.Store. It waits about two seconds for what remote
// storage says of the claim, and not at all while remote storage is known to fail.
func (s *Spool) Claimed(ctx context.Context, key string) error {
	limit := time.NewTimer(s.tune.ask)
	defer limit.Stop()
	look := time.NewTicker(claimPoll)
	defer look.Stop()
	for {
		s.mu.Lock()
		e := s.queue.entries[key]
		undecided := e != nil && e.isClaim() && !s.outage.breaker.open
		denied := e != nil && e.folder.state.stays()
		s.mu.Unlock()
		switch {
		case denied:
			return fault.Errorf(fault.Conflict, "claim %q: remote storage has another recording there: %w", key, iofs.ErrExist)
		case !undecided:
			return nil
		}
		select {
		case <-look.C:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Hold implements storage.Store.
func (s *Spool) Hold(folder string) {
	s.mu.Lock()
	defer s.unlock()
	if f := s.queue.folders[folder]; f != nil {
		s.happens(f, heldBack)
	}
}
