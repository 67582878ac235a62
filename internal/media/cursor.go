package media

import (
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
)

// Cursor is a follower's place in the feed of changes of a catalogue. The zero Cursor
// is its beginning, from which everything is listed.
type Cursor struct {
	Seq int64 // of the newest change that is known
	// Base is the Seq from which the follower knows of all removals: until it
	// has walked up to there it does not miss earlier ones. 0 means Seq.
	Base int64
}

// String returns the cursor as text without spaces, for ParseCursor.
func (c Cursor) String() string {
	if c.Base <= c.Seq {
		return strconv.FormatInt(c.Seq, 10)
	}
	return strconv.FormatInt(c.Seq, 10) + "-" + strconv.FormatInt(c.Base, 10)
}

// ParseCursor reads what String returns. The empty string is the beginning, and
// so is "0"; what is no cursor is a fault.Invalid.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	seq, base, walking := strings.Cut(s, "-")
	var c Cursor
	var err, err2 error
	c.Seq, err = strconv.ParseInt(seq, 10, 64)
	if walking {
		c.Base, err2 = strconv.ParseInt(base, 10, 64)
	}
	if err != nil || err2 != nil || c.Seq < 0 || walking && c.Base <= c.Seq {
		return Cursor{}, fault.Errorf(fault.Invalid, "%.40q is no place in the feed of changes: use 0 or what an earlier answer gave", s)
	}
	return c, nil
}
