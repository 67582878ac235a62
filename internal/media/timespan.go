package media

import (
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// TimeSpan is a span of the wall clock, in UTC: [From, To), which is not empty.
type TimeSpan struct {
	From, To time.Time
	// Live says that To was asked for as "now": it goes on as time does.
	Live bool
}

// nowText is the to of a span that goes on as time does.
const nowText = "now"

// ParseTimeSpan reads a span as URLs and command lines have it.
//
// from is a time as of ParseTime, or "-" and how long before to it is: "-30s".
// to is a time, "now", or "+" and how long after from it is: "+30s", "+1h30m",
// "+90.5". now is the current time; without a zone, which is a nil one, times have
// to say theirs. The error is a fault.Invalid that names from or to.
func ParseTimeSpan(from, to string, now time.Time, zone *time.Location) (TimeSpan, error) {
	from, to = plus(from), plus(to)
	before, isBefore := strings.CutPrefix(from, "-")
	after, isAfter := strings.CutPrefix(to, "+")
	var s TimeSpan
	var long time.Duration
	var err error
	switch {
	case from == "":
		return s, fault.New(fault.Invalid, "from is missing: say where the span begins")
	case to == "":
		return s, fault.New(fault.Invalid, `to is missing: say where the span ends, or "now", or how long it is as "+30s"`)
	case isBefore && isAfter:
		return s, fault.New(fault.Invalid, "from and to are both durations: one of them has to be a time")
	case isBefore:
		if long, err = parseLong("from", before); err != nil {
			return s, err
		}
	default:
		if s.From, err = ParseTime("from", from, zone); err != nil {
			return s, err
		}
	}
	switch {
	case isAfter:
		if long, err = parseLong("to", after); err != nil {
			return s, err
		}
		s.To = s.From.Add(long)
	case to == nowText:
		s.To, s.Live = now.UTC(), true
	default:
		if s.To, err = ParseTime("to", to, zone); err != nil {
			return s, err
		}
	}
	if isBefore {
		s.From = s.To.Add(-long)
	}
	return s, s.check()
}

// check reports what no span can be.
func (s TimeSpan) check() error {
	switch {
	case !inRange(s.From):
		return fault.New(fault.Invalid, "from is before 1970")
	case !inRange(s.To):
		return fault.New(fault.Invalid, "to is after the year 9999")
	case s.To.Before(s.From) && s.Live:
		return fault.New(fault.Invalid, "from is in the future, and to is now")
	case s.To.Before(s.From):
		return fault.New(fault.Invalid, "to is before from")
	case s.To.Equal(s.From):
		return fault.New(fault.Invalid, "to is from: the span is empty")
	}
	return nil
}

// plus returns s with the plus signs that the decoding of a query has made spaces.
func plus(s string) string {
	if len(s) > len(time.DateOnly) && s[len(time.DateOnly)] == ' ' { // RFC 3339 section 5.6, the last note
		s = s[:len(time.DateOnly)] + "T" + s[len(time.DateOnly)+1:]
	}
	return strings.ReplaceAll(s, " ", "+")
}

// parseLong reads a duration as Go writes it, or as seconds.
func parseLong(name, s string) (time.Duration, error) {
	long, err := time.ParseDuration(s)
	if err != nil {
		long, err = time.ParseDuration(s + "s")
	}
	if err != nil || long <= 0 || s == "" || s[0] == '+' {
		return 0, fault.Errorf(fault.Invalid, `%s: %.40q is no duration; write it as "30s", "1h30m" or "90.5" (seconds)`, name, s)
	}
	return long, nil
}

// zoneless are the forms of a time whose zone is known.
var zoneless = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly}

// ParseTime reads a time of RFC 3339, with a space for the T and for a plus sign if
// need be, or Unix seconds with up to nine digits after the point. Where zone is not
// nil, a time may be without a zone, and without seconds or hours. It is from 1970 to
// 9999, in UTC. The error is a fault.Invalid with the name.
func ParseTime(name, s string, zone *time.Location) (time.Time, error) {
	if t, ok := parseUnix(s); ok {
		return t, nil
	}
	text := strings.ToUpper(plus(s))
	t, err := time.Parse(time.RFC3339, text)
	if err != nil && zone != nil {
		for _, form := range zoneless {
			if t, err = time.ParseInLocation(form, text, zone); err == nil {
				break
			}
		}
	}
	if t = t.UTC(); err != nil || !inRange(t) {
		return time.Time{}, fault.Errorf(fault.Invalid, `%s %.40q is no time; write it with its zone, as "2026-01-02T15:04:05Z", or as Unix seconds`, name, s)
	}
	return t, nil
}

// parseUnix reads Unix seconds, to the nanosecond.
func parseUnix(s string) (t time.Time, ok bool) {
	whole, fraction, point := strings.Cut(s, ".")
	seconds, err := strconv.ParseUint(whole, 10, 40)
	if err != nil || point && fraction == "" || len(fraction) > 9 {
		return t, false
	}
	nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
	t = time.Unix(int64(seconds), int64(nanos)).UTC()
	return t, err == nil && inRange(t)
}

// inRange reports whether t is from 1970 to 9999: what RFC 3339 can say again, and
// never the zero time, which stands for no bound.
func inRange(t time.Time) bool { return t.Unix() >= 0 && t.Year() <= 9999 }
