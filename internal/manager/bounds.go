package manager

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// A node's answer takes more memory when it is decoded than as text: a null may become
// a whole stream. So lists are decoded element by element, up to a limit, and the
// values of each element are counted before it is decoded.
const (
	// maxStreams and maxSessions bound what a node has. If it tells of more streams,
	// none of them is taken (takeStreams). maxTracks bounds the tracks, and the codecs,
	// of a stream or a recording.
	maxStreams  = 20_000
	maxSessions = 100_000
	maxTracks   = 64
	// maxParts bounds the values (numbers, texts and so on) of one stream or recording,
	// and maxAnswerParts those of a whole answer.
	maxParts       = 600_000
	maxAnswerParts = 4_000_000
	// maxIndex bounds a page of the index of an original, which may not obey a limit.
	maxIndex = 10_000
	// maxNames bounds the features, and the codecs, that a node says it has.
	maxNames = 100
)

// parts returns an upper bound of the number of values in data. It counts commas in
// texts too.
func parts(data []byte) int {
	return bytes.Count(data, []byte(",")) + bytes.Count(data, []byte("{")) + bytes.Count(data, []byte("["))
}

func tooMuch(format string, args ...any) error {
	return fault.Errorf(fault.Unavailable, format, args...)
}

// decode decodes an answer, if it does not have too many values.
func decode(data []byte, out any) error {
	if parts(data) > maxAnswerParts {
		return tooMuch("it has more than %d parts", maxAnswerParts)
	}
	return json.Unmarshal(data, out)
}

// decodePart decodes one stream or recording, if it does not have too many values. what
// names it in the error.
func decodePart(data []byte, what string, out any) error {
	if parts(data) > maxParts {
		return tooMuch("a %s has more than %d parts", what, maxParts)
	}
	return json.Unmarshal(data, out)
}

// errMore is the error of a list that is too long.
var errMore = tooMuch("it tells of more")

// decodeList decodes a list of at most so many elements, one by one. Of a longer list
// it returns the beginning and an error.
func decodeList[T any](data []byte, what string, most int, decode func([]byte, *T) error) ([]T, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	switch first, err := d.Token(); {
	case err != nil:
		return nil, err
	case first == nil:
		return nil, nil
	case first != json.Delim('['):
		return nil, fmt.Errorf("%s are no list", what)
	}
	list := []T{}
	var one json.RawMessage
	for d.More() {
		if len(list) == most {
			return list, fmt.Errorf("%w than %d %s", errMore, most, what)
		}
		if err := d.Decode(&one); err != nil {
			return nil, err
		}
		var v T
		if err := decode(one, &v); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// streamList is the streams of a node.
type streamList []api.NodeStream

// UnmarshalJSON implements json.Unmarshaler.
func (l *streamList) UnmarshalJSON(data []byte) (err error) {
	sessions := 0
	*l, err = decodeList(data, "streams", maxStreams+1, func(data []byte, s *api.NodeStream) error {
		if err := decodePart(data, "stream", s); err != nil {
			return err
		}
		sessions += len(s.Publish.Sessions) + len(s.Subscribe.Sessions)
		switch {
		case len(s.Tracks) > maxTracks || len(s.Codecs) > maxTracks:
			return tooMuch("a stream has more than %d tracks", maxTracks)
		case sessions > maxSessions:
			return tooMuch("it tells of more than %d sessions", maxSessions)
		}
		return nil
	})
	if errors.Is(err, errMore) {
		err = nil // one too many is enough to tell
	}
	return err
}

// changeList is the changes of a page.
type changeList []media.Change

// UnmarshalJSON implements json.Unmarshaler.
func (l *changeList) UnmarshalJSON(data []byte) (err error) {
	*l, err = decodeList(data, "changes in a page of its feed", feedLimit, func(data []byte, c *media.Change) error {
		if err := decodePart(data, "recording", c); err != nil {
			return err
		}
		return checkTracks(c.Recording)
	})
	return err
}

func checkTracks(r *media.Recording) error {
	if r != nil && len(r.Tracks) > maxTracks {
		return tooMuch("a recording has more than %d tracks", maxTracks)
	}
	return nil
}

// sessionList is a page of the index of an original.
type sessionList []originalSession

// UnmarshalJSON implements json.Unmarshaler.
func (l *sessionList) UnmarshalJSON(data []byte) (err error) {
	*l, err = decodeList(data, "recordings in a page of its index", maxIndex, func(data []byte, s *originalSession) error {
		return json.Unmarshal(data, s)
	})
	return err
}

// boundedInfo shortens what a node says of itself, because everybody is shown it.
func boundedInfo(i api.Info) api.Info {
	i.Version, i.Node = cut(i.Version), cut(i.Node)
	i.Features, i.Codecs = boundedNames(i.Features), boundedNames(i.Codecs)
	return i
}

func boundedNames(names []string) []string {
	if names == nil {
		return nil
	}
	kept := make([]string, min(len(names), maxNames))
	for i := range kept {
		kept[i] = cut(names[i])
	}
	return kept
}

// dirSet is a set of folders. There may be millions, so it keeps only their hashes. Two
// folders with the same hash would count as one, but the seed is secret, so nobody can
// make such a pair.
type dirSet struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func newDirSet() *dirSet {
	return &dirSet{maphash.MakeSeed(), map[uint64]struct{}{}}
}

func (s *dirSet) add(dir string) { s.hashes[maphash.String(s.seed, dir)] = struct{}{} }

func (s *dirSet) has(dir string) bool {
	_, ok := s.hashes[maphash.String(s.seed, dir)]
	return ok
}

// len returns how many there are; a nil set has none.
func (s *dirSet) len() int {
	if s == nil {
		return 0
	}
	return len(s.hashes)
}
