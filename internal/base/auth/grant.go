package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// Kind says what a grant comes from.
type Kind string

// The kinds of grants.
const (
	KindAnonymous Kind = "anonymous" // nobody is asked
	KindToken     Kind = "token"     // a static token
	KindJWT       Kind = "jwt"       // a JSON Web Token of Options.Secret
	KindAccount   Kind = "account"   // a session of an account
	KindLink      Kind = "link"      // a playback URL
)

// Grant is what somebody may do.
type Grant struct {
	kind    Kind
	name    string   // of the account, or the JWT's subject
	streams []string // patterns of path.Match; "*" is every stream
	rights  []Right
	expires time.Time
	digest  string // of the credentials, where they have no name
	origin  string // what links have of the credentials
	ended   <-chan struct{}
}

func everything(kind Kind) *Grant {
	return &Grant{kind: kind, streams: []string{"*"}, rights: []Right{Admin}}
}

// of notes the credentials that g comes from.
func (g *Grant) of(token string) *Grant {
	sum := sha256.Sum256([]byte(token))
	g.digest = hex.EncodeToString(sum[:])
	return g
}

// from notes what links have of the credentials.
func (g *Grant) from(origin []byte) *Grant {
	g.origin = string(origin)
	return g
}

// Ended returns a channel that is closed when the credentials end before they expire,
// because somebody has logged out. It is nil if they cannot.
func (g *Grant) Ended() <-chan struct{} {
	if g == nil {
		return nil
	}
	return g.ended
}

// Owner names the owner of g, without secrets. Two grants with the same owner are of
// the same account, subject or token. It is empty if nobody is asked who they are.
func (g *Grant) Owner() string {
	switch {
	case g == nil || g.kind == KindAnonymous:
		return ""
	case g.name != "":
		return OwnerOf(g.kind, g.name)
	}
	return string(g.kind) + " " + g.digest
}

// OwnerOf is the Owner of a grant with a name.
func OwnerOf(kind Kind, name string) string { return string(kind) + " " + name }

// Kind returns what g comes from.
func (g *Grant) Kind() Kind { return g.kind }

// Name returns the account's name, or the subject of a JWT, which may be empty.
func (g *Grant) Name() string { return g.name }

// Streams returns the patterns of the streams that g is for.
func (g *Grant) Streams() []string { return slices.Clone(g.streams) }

// Prefixes returns how the ids of all streams that g is for begin, in the order of
// their bytes; none is the beginning of another.
func (g *Grant) Prefixes() []string {
	prefixes := make([]string, len(g.streams))
	for i, pattern := range g.streams {
		literal := strings.IndexAny(pattern, `*?[\`)
		if literal < 0 {
			literal = len(pattern)
		}
		prefixes[i] = pattern[:literal]
	}
	slices.Sort(prefixes)
	kept := prefixes[:0]
	for _, p := range prefixes { // one that begins with another comes after it
		if len(kept) == 0 || !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Rights returns the rights that g has, those that admin brings with it too.
func (g *Grant) Rights() []Right {
	return slices.DeleteFunc(Rights(), func(r Right) bool { return !g.has([]Right{r}) })
}

// Expires returns when g ends; ok is false if it does not.
func (g *Grant) Expires() (t time.Time, ok bool) {
	if g == nil {
		return t, false
	}
	return g.expires, !g.expires.IsZero()
}

// HasAny returns nil when g has one of rights for some streams, else a
// fault.Forbidden.
func (g *Grant) HasAny(rights ...Right) error {
	if len(g.streams) == 0 || !g.has(rights) {
		return fault.Errorf(fault.Forbidden, "the token does not have the right %s", orList(rights)).Coded("right_missing", "right", orList(rights))
	}
	return nil
}

// Allows returns nil when g has right for stream, else a fault.Forbidden. The
// empty stream stands for what concerns all streams, such as a list of them.
func (g *Grant) Allows(right Right, stream string) error { return g.AllowsAny(stream, right) }

// AllowsAny is Allows for a grant that has one of rights.
func (g *Grant) AllowsAny(stream string, rights ...Right) error {
	if !g.has(rights) {
		return fault.Errorf(fault.Forbidden, "the token does not have the right %s", orList(rights)).Coded("right_missing", "right", orList(rights))
	}
	if stream == "" {
		// "*" alone covers every stream there may be.
		if slices.Contains(g.streams, "*") {
			return nil
		}
		return fault.New(fault.Forbidden, `this concerns all streams, and the token is for some; it needs "streams": ["*"]`).Coded("all_streams_needed")
	}
	for _, pattern := range g.streams {
		if ok, err := path.Match(pattern, stream); err == nil && ok {
			return nil
		}
	}
	return fault.Errorf(fault.Forbidden, "the token is not for stream %q", stream).Coded("stream_not_allowed", "stream", stream)
}

func (g *Grant) has(rights []Right) bool {
	return slices.ContainsFunc(g.rights, func(r Right) bool { return r == Admin || slices.Contains(rights, r) })
}

func orList(rights []Right) string {
	quoted := make([]string, len(rights))
	for i, r := range rights {
		quoted[i] = strconv.Quote(string(r))
	}
	return strings.Join(quoted, " or ")
}
