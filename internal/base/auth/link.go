package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// How long a playback link may be valid.
const (
	DefaultLinkTTL = time.Hour
	MaxLinkTTL     = 24 * time.Hour
)

// ErrLink is the error of CheckLink.
var ErrLink = fault.New(fault.Forbidden, "this playback URL is not valid, or no longer; ask for a new one (POST /api/sign/{record_dir})").Coded("link_invalid")

// linkEncoding is strict, so that a link has one form only.
var linkEncoding = base64.RawURLEncoding.Strict()

// The parts of a link's token: when it ends (Unix seconds, big endian), which
// recording it is for, whose credentials it was asked for with, and what authenticates
// all of that, and the folder.
const (
	linkExpiryLen, linkTagLen = 8, 16
	linkSaidLen               = linkExpiryLen + 2*linkTagLen
	linkLen                   = linkSaidLen + sha256.Size
)

// Link is a playback link that CheckLink has accepted.
type Link struct {
	auth    *Auth
	tag     []byte
	expires time.Time
	ended   <-chan struct{}
}

// SignLink returns a token that lets everybody who has it play the recording in
// the folder recordDir, and nothing else, until expires or until the credentials of g
// end: the session that asked, or the static token, is no more. recording tells it from
// those that were or will be in that folder. The token goes into the path of
// a URL: players that know no headers resolve the names of segments relative to
// the manifest's path, and drop its query.
func (a *Auth) SignLink(g *Grant, recordDir, recording string, expires time.Time) string {
	token := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix())) //nolint:gosec // after 1970
	token = append(token, a.linkTag(recording)...)
	token = append(token, g.origin...)
	return linkEncoding.EncodeToString(append(token, a.linkMAC(token, recordDir)...))
}

// CheckLink reads a token of SignLink for the folder recordDir. The error is ErrLink if
// it is none, or has expired. The caller still has to ask whether the recording that is
// there is the right one (Link.IsFor). Somebody without a valid token must not make the
// server look for recordings.
func (a *Auth) CheckLink(token, recordDir string) (*Link, error) {
	raw, err := linkEncoding.DecodeString(token)
	if err != nil || len(raw) != linkLen || len(token) != linkEncoding.EncodedLen(len(raw)) { // line feeds are skipped
		return nil, ErrLink
	}
	said, mac := raw[:linkSaidLen], raw[linkSaidLen:]
	if !hmac.Equal(mac, a.linkMAC(said, recordDir)) {
		return nil, ErrLink
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(said)), 0) //nolint:gosec // we wrote it
	if !a.now().Before(until) {
		return nil, ErrLink
	}
	l := &Link{auth: a, tag: said[linkExpiryLen : linkExpiryLen+linkTagLen], expires: until}
	origin := string(said[linkExpiryLen+linkTagLen:])
	if session := a.sessions.tagged(origin); session != nil {
		l.ended = session.ended
	} else if !a.origins[origin] {
		return nil, ErrLink
	}
	return l, nil
}

// IsFor reports whether the link was signed for the recording.
func (l *Link) IsFor(recording string) bool { return hmac.Equal(l.tag, l.auth.linkTag(recording)) }

// Grant says how long who has the link may play the recording. It has no rights,
// which are for streams.
func (l *Link) Grant() *Grant { return &Grant{kind: KindLink, expires: l.expires, ended: l.ended} }

// linkTag names a recording to who has the key only.
func (a *Auth) linkTag(recording string) []byte {
	mac := hmac.New(sha256.New, a.linkKey)
	mac.Write([]byte("recording\x00"))
	mac.Write([]byte(recording))
	return mac.Sum(nil)[:linkTagLen]
}

// originTag names credentials to who has the key only.
func (a *Auth) originTag(kind, which string) []byte {
	mac := hmac.New(sha256.New, a.linkKey)
	mac.Write([]byte("origin\x00" + kind + "\x00" + which))
	return mac.Sum(nil)[:linkTagLen]
}

// linkMAC authenticates what the token says, of fixed length, and the folder.
func (a *Auth) linkMAC(said []byte, recordDir string) []byte {
	mac := hmac.New(sha256.New, a.linkKey)
	mac.Write([]byte("link\x00"))
	mac.Write(said)
	mac.Write([]byte(recordDir))
	return mac.Sum(nil)
}
