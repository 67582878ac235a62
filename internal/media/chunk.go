package media

import (
	"net/url"
	"strconv"

	"github.com/live777/recorder/internal/base/fault"
)

// Chunk is a part of a segment, and was written at once: players of low latency get it
// before its segment is closed.
type Chunk struct {
	Number   int   // of the segment, as Segment has it
	Time     Ticks // start, on the recording's media timeline
	Duration Ticks
	Bytes    int64
	Key      bool // it can be decoded without what is before it
}

// Reload is what a player waits for that asks for a playlist of HLS again (RFC 8216bis
// 6.2.5).
type Reload struct {
	Sequence int  // a segment, by its number in the playlist from 0; -1: nothing
	Part     int  // a chunk of it, from 0; -1: all of it
	Skip     bool // segments that are old may be left out
}

// Waits reports whether the player waits for something.
func (r Reload) Waits() bool { return r.Sequence >= 0 }

// ParseReload reads what the query of a playlist asks for. The error is a fault.Invalid.
func ParseReload(q url.Values) (r Reload, err error) {
	skip := q.Get("_HLS_skip")
	r = Reload{Sequence: -1, Part: -1, Skip: skip == "YES" || skip == "v2"}
	if r.Sequence, err = parseDirective(q, "_HLS_msn"); err != nil {
		return r, err
	}
	if r.Part, err = parseDirective(q, "_HLS_part"); err != nil {
		return r, err
	}
	if r.Part >= 0 && r.Sequence < 0 {
		return r, fault.New(fault.Invalid, "_HLS_part says nothing without _HLS_msn")
	}
	return r, nil
}

// parseDirective reads a number from 0; -1: there is none.
func parseDirective(q url.Values, name string) (int, error) {
	text := q.Get(name)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return -1, fault.Errorf(fault.Invalid, "%s %.100q is not a number from 0", name, text)
	}
	return int(n), nil
}
