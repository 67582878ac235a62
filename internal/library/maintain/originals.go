package maintain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// originalIndexName is the file in which an original node lists its recordings. It is
	// read where it lies at the top of the storage.
	originalIndexName = "index.json"
	// maxOriginals is the longest such file that is read, in bytes.
	maxOriginals = 256 << 20
)

// originalEntry is what an original node, or the database of an original liveman, says of
// a recording. A database has the first two only.
type originalEntry struct {
	Stream  string `json:"stream"`
	MPDPath string `json:"mpd_path"`
	Start   int64  `json:"start_ts"` // Unix time in microseconds; 0: not said
	End     *int64 `json:"end_ts"`
	Node    string `json:"node_alias"`
	Status  string `json:"status"`
}

// originalFailed is the status of a recording in which something is missing altogether.
const originalFailed = "Failed"

// originals are the entries that are known, by folder.
type originals struct {
	entries map[string]originalEntry
	twice   map[string]bool // folders that two streams were recorded into
}

func newOriginals() originals {
	return originals{entries: map[string]originalEntry{}, twice: map[string]bool{}}
}

// read adds entries, which are lines of JSON or arrays of them. Later ones replace earlier
// ones. The error is a fault.Invalid, or one of r.
func (o *originals) read(r io.Reader) error {
	lines := json.NewDecoder(io.LimitReader(r, maxOriginals))
	for n := 1; ; n++ {
		var raw json.RawMessage
		if err := lines.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fault.Errorf(fault.Invalid, "read the list of an original live777's recordings: entry %d: %w", n, err)
		}
		list := []originalEntry{{}}
		var into any = &list[0]
		if bytes.HasPrefix(raw, []byte("[")) {
			into = &list
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return fault.Errorf(fault.Invalid, "read the list of an original live777's recordings: entry %d: %w", n, err)
		}
		for _, e := range list {
			o.add(e)
		}
	}
}

func (o *originals) add(e originalEntry) {
	dir := path.Dir(strings.Trim(path.Clean("/"+e.MPDPath), "/"))
	if before, ok := o.entries[dir]; ok && before.Stream != e.Stream {
		o.twice[dir] = true
	}
	o.entries[dir] = e
}

// of returns what is known of a folder; nothing if it is in no list. The error is a
// fault.Invalid: an original with a base_prefix records all streams that begin in the same
// second into one folder, where they overwrite each other.
func (o *originals) of(dir string) (originalEntry, error) {
	if o.twice[dir] {
		return originalEntry{}, fault.New(fault.Invalid, "two streams were recorded into this folder by an original live777, and have overwritten each other")
	}
	return o.entries[dir], nil
}

// stream returns the stream that was recorded into a folder. If no list tells, the folder
// does, as an original names it by itself: stream/time.
func (e originalEntry) stream(dir string) string {
	if e.Stream != "" {
		return e.Stream
	}
	if media.RecordID(dir) == "" {
		return ""
	}
	return path.Base(path.Dir(dir))
}

// start returns when the recording in a folder began: by a list, by its manifest while it
// ran, or by the name of its folder. It is zero where nothing tells.
func (e originalEntry) start(dir string, manifest time.Time) time.Time {
	if e.Start > 0 {
		return time.UnixMicro(e.Start)
	}
	if !manifest.IsZero() {
		return manifest
	}
	seconds, err := strconv.ParseInt(media.RecordID(dir), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// end returns when it was ended; zero where nothing tells.
func (e originalEntry) end() time.Time {
	if e.End == nil {
		return time.Time{}
	}
	return time.UnixMicro(*e.End)
}

// readIndex reads the entries that were given, and those at the top of the storage. An
// index.json there may be anything, and is left alone where it is none.
func (r *rebuild) readIndex(ctx context.Context) error {
	data, err := storage.ReadAll(ctx, r.Backend, originalIndexName, maxOriginals)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	r.originals = newOriginals()
	if r.originals.read(bytes.NewReader(data)) != nil {
		r.originals = newOriginals()
	}
	if r.Originals == "" {
		return nil
	}
	list, err := os.Open(r.Originals)
	if err != nil {
		return fmt.Errorf("open the list of an original live777's recordings: %w", err)
	}
	return errors.Join(r.originals.read(list), list.Close())
}
