package peer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// A node's answer takes more memory when it is decoded than as text: a null may become
// a whole stream. So lists are decoded element by element, up to a limit, and the
// values of each element are counted before it is decoded.
const (
	// MaxStreams and maxSessions bound what a node has. If it tells of more streams,
	// none of them is taken (takeStreams). maxTracks bounds the tracks, and the codecs,
	// of a stream or a recording.
	MaxStreams  = 20_000
	maxSessions = 100_000
	maxTracks   = 64
	// MaxParts bounds the values (numbers, texts and so on) of one stream or recording,
	// and maxAnswerParts those of a whole answer.
	MaxParts       = 600_000
	maxAnswerParts = 4_000_000
	// maxNames bounds the features, and the codecs, that a node says it has.
	maxNames = 100
)

// Parts returns an upper bound of the number of values in data. It counts commas in
// texts too.
func Parts(data []byte) int {
	return bytes.Count(data, []byte(",")) + bytes.Count(data, []byte("{")) + bytes.Count(data, []byte("["))
}

func tooMuch(format string, args ...any) error {
	return fault.Errorf(fault.Unavailable, format, args...)
}

// Decode decodes an answer, if it does not have too many values.
func Decode(data []byte, out any) error {
	if Parts(data) > maxAnswerParts {
		return tooMuch("it has more than %d parts", maxAnswerParts)
	}
	return json.Unmarshal(data, out)
}

// decodePart decodes one stream or recording, if it does not have too many values. what
// names it in the error.
func decodePart(data []byte, what string, out any) error {
	if Parts(data) > MaxParts {
		return tooMuch("a %s has more than %d parts", what, MaxParts)
	}
	return json.Unmarshal(data, out)
}

// errMore is the error of a list that is too long.
var errMore = tooMuch("it tells of more")

// DecodeList decodes a list of at most so many elements, one by one. Of a longer list
// it returns the beginning and an error.
func DecodeList[T any](data []byte, what string, most int, decode func([]byte, *T) error) ([]T, error) {
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

// StreamList is the streams of a node.
type StreamList []api.NodeStream

// UnmarshalJSON implements json.Unmarshaler.
func (l *StreamList) UnmarshalJSON(data []byte) (err error) {
	sessions := 0
	*l, err = DecodeList(data, "streams", MaxStreams+1, func(data []byte, s *api.NodeStream) error {
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

// ChangeList is the changes of a page.
type ChangeList []media.Change

// UnmarshalJSON implements json.Unmarshaler.
func (l *ChangeList) UnmarshalJSON(data []byte) (err error) {
	*l, err = DecodeList(data, "changes in a page of its feed", api.MaxPage, func(data []byte, c *media.Change) error {
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

// BoundedInfo shortens what a node says of itself, because everybody is shown it.
func BoundedInfo(i api.Info) api.Info {
	i.Version, i.Node = Cut(i.Version), Cut(i.Node)
	i.Features, i.Codecs = BoundedNames(i.Features), BoundedNames(i.Codecs)
	return i
}

// BoundedNames shortens a list of names that a node says, and each of them.
func BoundedNames(names []string) []string {
	if names == nil {
		return nil
	}
	kept := make([]string, min(len(names), maxNames))
	for i := range kept {
		kept[i] = Cut(names[i])
	}
	return kept
}
