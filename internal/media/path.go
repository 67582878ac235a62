package media

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/live777/recorder/internal/base/fault"
)

// Longest accepted names, in bytes. A path element must fit a directory entry
// of every common file system; a whole path must fit an S3 key (1,024 bytes)
// with room for the root and a segment's name.
const (
	MaxElementLen = 200
	MaxPathLen    = 800
)

// CheckPath reports whether p is a safe relative slash-separated path: no empty
// element, no "." or "..", no element that starts with a dot, no backslash, no
// control character, valid UTF-8 and not too long. It is the one rule for
// stream ids, base_dir and object paths; apply it after URL decoding. The
// error is a fault.Invalid that says which rule is broken.
func CheckPath(p string) error {
	switch {
	case p == "":
		return fault.New(fault.Invalid, "path is empty")
	case len(p) > MaxPathLen:
		return fault.Errorf(fault.Invalid, "path is %d bytes long, %d are allowed", len(p), MaxPathLen)
	case !utf8.ValidString(p):
		return fault.New(fault.Invalid, "path is not valid UTF-8")
	}
	for _, r := range p {
		if r == '\\' || unicode.IsControl(r) {
			return fault.Errorf(fault.Invalid, "path %q contains %q, which is not allowed", p, r)
		}
	}
	for e := range strings.SplitSeq(p, "/") {
		switch {
		case e == "":
			return fault.Errorf(fault.Invalid, "path %q has an empty element", p)
		case e[0] == '.':
			return fault.Errorf(fault.Invalid, "path %q has an element that starts with a dot", p)
		case len(e) > MaxElementLen:
			return fault.Errorf(fault.Invalid, "path has an element of %d bytes, %d are allowed", len(e), MaxElementLen)
		}
	}
	return nil
}

// CheckNewPath is CheckPath for a name that somebody gives now: it has no format or
// bidirectional control characters either, nor separators of lines. They are not seen,
// and make one name look like another. Names that have them already can be used on.
func CheckNewPath(p string) error {
	if err := CheckPath(p); err != nil {
		return err
	}
	if i := strings.IndexFunc(p, IsHidden); i >= 0 {
		r, _ := utf8.DecodeRuneInString(p[i:])
		return fault.Errorf(fault.Invalid, "path %q contains %U, which is not seen, and no new name may have", p, r)
	}
	return nil
}

// IsHidden reports whether r is not seen where it is shown, or changes how what is
// around it is: control and format characters, those of bidirectional text among them,
// and separators of lines and paragraphs.
func IsHidden(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// Show returns a name as people may see it: what IsHidden is written as an escape.
func Show(name string) string {
	if strings.IndexFunc(name, IsHidden) < 0 {
		return name
	}
	var b strings.Builder
	for _, r := range name {
		if IsHidden(r) {
			fmt.Fprintf(&b, `\u{%04x}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// CheckNewStreamID is CheckStreamID for a stream that is made now, as CheckNewPath is
// CheckPath.
func CheckNewStreamID(id string) error {
	if err := CheckStreamID(id); err != nil {
		return err
	}
	if err := CheckNewPath(id); err != nil {
		return fault.Errorf(fault.Invalid, "stream id: %w", err)
	}
	return nil
}

// CheckStreamID reports whether id can name a stream: a CheckPath path of one
// element.
func CheckStreamID(id string) error {
	if err := CheckPath(id); err != nil {
		return fault.Errorf(fault.Invalid, "stream id: %w", err)
	}
	if strings.Contains(id, "/") {
		return fault.Errorf(fault.Invalid, "stream id %q contains a slash", id)
	}
	return nil
}
