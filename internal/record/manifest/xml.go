package manifest

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendString appends an attribute with v as its value.
func appendString(dst []byte, name, v string) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=', '"')
	dst = appendEscaped(dst, v)
	return append(dst, '"')
}

// appendDuration appends an attribute of type xs:duration, exact to the
// nanosecond and as short as it can be: 19.5 s is PT19.5S.
func appendDuration(dst []byte, name string, d time.Duration) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, `="PT`...)
	dst = strconv.AppendInt(dst, int64(d/time.Second), 10)
	if rest := d % time.Second; rest > 0 {
		point := len(dst)
		dst = strconv.AppendInt(dst, int64(time.Second+rest), 10) // a 1, then nine digits
		dst[point] = '.'
		dst = bytes.TrimRight(dst, "0")
	}
	return append(dst, `S"`...)
}

// appendTime appends an attribute of type xs:dateTime, in UTC with milliseconds.
func appendTime(dst []byte, name string, t time.Time) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=', '"')
	dst = t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	return append(dst, '"')
}

// appendEscaped appends s as the content of a quoted attribute (XML 1.0 2.3,
// 3.3.3). Characters that XML cannot hold become U+FFFD.
func appendEscaped(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '>':
			dst = append(dst, "&gt;"...)
		case r == '"':
			dst = append(dst, "&quot;"...)
		case r == '\t', r == '\n', r == '\r': // would be read as spaces
			dst = append(dst, "&#"...)
			dst = strconv.AppendInt(dst, int64(r), 10)
			dst = append(dst, ';')
		case r < ' ', r == 0xFFFE, r == 0xFFFF:
			dst = utf8.AppendRune(dst, utf8.RuneError)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
