package migrate

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// minSecret is the shortest token beyond loopback, and the shortest secret, that this
// program accepts.
const minSecret = 16

// maxSeconds is the longest time that keys in seconds take: a year.
const maxSeconds = 31_536_000

const originalListen = "0.0.0.0:"

// common are the rules of both programs.
func common() map[string]rule {
	return map[string]rule{
		"http.listen": moved("http.listen"),
		"http.cors":   cors,
		"auth.secret": secret,
		"auth.tokens": tokens,
		"log.level":   level,
	}
}

func cors(m *migration, path string, value any) {
	origins := []string{}
	if value == true {
		origins = []string{"*"}
	}
	m.move(path, "http.cors_origins", origins, "")
}

func level(m *migration, path string, value any) {
	was := strings.ToLower(fmt.Sprint(value))
	to, ok := map[string]string{"trace": "debug", "debug": "debug", "info": "info", "warn": "warn", "error": "error", "off": "error"}[was]
	if !ok {
		m.say(path, NotSupported, "%q is left out; use debug, info, warn or error", was)
		return
	}
	note := ""
	if to != was {
		note = fmt.Sprintf("%q is %q here", was, to)
	}
	m.move(path, "log.level", to, note)
}

func secret(m *migration, path string, value any) {
	switch s, _ := value.(string); {
	case s == "":
		m.say(path, NotNeeded, "it is empty")
	case len(s) < minSecret:
		m.set("auth.secret", random())
		m.say(path, Replaced, "it had fewer than %d bytes and can be guessed; a new one was made, with which tokens have to be signed anew", minSecret)
	default:
		m.move(path, "auth.secret", s, "tokens with id and mode stay valid; requests without one are refused")
	}
}

// tokens takes static tokens over; whether they are long enough depends on http.listen,
// which end looks at.
func tokens(m *migration, path string, value any) {
	list := stringsOf(value)
	if len(list) == 0 {
		m.say(path, NotNeeded, "it is empty")
		return
	}
	m.set("auth.tokens", list)
}

// random returns a new secret.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// endAccess writes where the server listens and who may use it, as it was.
func (m *migration) endAccess(port string) {
	if !m.seen["http.listen"] {
		m.set("http.listen", originalListen+port)
		m.say("http.listen", Taken, "it was not in the file; the original listens on all addresses, and this program on 127.0.0.1 unless it is told so")
	}
	local := loopback(m.get("http.listen"))
	list, _ := m.get("auth.tokens").([]string)
	for i, t := range list {
		at := fmt.Sprintf("auth.tokens[%d]", i)
		switch {
		case strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }):
			list[i] = random()
			m.say(at, Replaced, "it had characters that no header can carry; a new one was made: give it to those who used the old one")
		case !local && len(t) < minSecret:
			list[i] = random()
			m.say(at, Replaced, "it had fewer than %d characters and can be guessed; a new one was made: give it to those who used the old one", minSecret)
		default:
			m.say(at, Taken, "")
		}
	}
	if len(list) > 0 || m.get("auth.secret") != nil || m.get("auth.users") != nil {
		return
	}
	if m.seen["auth.accounts"] {
		m.set("auth.tokens", []string{random()})
		m.say("auth", Replaced, "none of its accounts could be taken over; a token was made, so that not everybody gets in")
		return
	}
	if !local {
		m.set("auth.anonymous", true)
		m.say("auth", Replaced, "nobody was asked for credentials, and nobody is: auth.anonymous = true. Think about it: everybody who reaches the server may do everything")
	}
}

func loopback(listen any) bool {
	text, _ := listen.(string)
	host, _, err := net.SplitHostPort(text)
	ip, errIP := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || errIP == nil && ip.Unmap().IsLoopback())
}

// patterns takes globs of stream ids over.
func patterns(to string) rule {
	return func(m *migration, at string, value any) {
		good := []string{}
		for _, p := range stringsOf(value) {
			p = strings.ReplaceAll(strings.ReplaceAll(p, "[!", "[^"), "**", "*")
			if _, err := path.Match(p, ""); err != nil {
				m.say(at, NotSupported, "%q is no pattern", p)
				continue
			}
			good = append(good, p)
		}
		m.move(at, to, good, "")
	}
}

// seconds takes a time over that may not be longer than a year here.
func seconds(to string) rule {
	return func(m *migration, path string, value any) {
		n, _ := value.(int64)
		if n > maxSeconds {
			m.move(path, to, int64(maxSeconds), "it is a year, the longest")
			return
		}
		m.move(path, to, n, "")
	}
}

// storageKeys are the keys that each type of storage has.
var storageKeys = map[string][]string{
	"fs": {"root"},
	"s3": {"bucket", "root", "region", "endpoint", "access_key_id", "secret_access_key", "session_token", "disable_config_load", "enable_virtual_host_style"},
	// The original's description has it, though 0.9 does not.
	"oss": {"bucket", "root", "region", "endpoint", "access_key_id", "access_key_secret", "security_token"},
}

// storage takes the table of a storage over.
func storage(to string) rule {
	return func(m *migration, path string, value any) {
		table, _ := value.(map[string]any)
		kind := strings.ToLower(text(table, "type"))
		if kind == "" {
			kind = "fs"
		}
		keys, ok := storageKeys[kind]
		if !ok {
			m.say(path, NotSupported, "storage of type %q; use fs, s3 or oss", kind)
			return
		}
		m.move(join(path, "type"), to+".type", kind, "")
		for _, key := range slices.Sorted(maps.Keys(table)) {
			at := join(path, key)
			switch {
			case key == "type":
			case slices.Contains(keys, key) && table[key] != "":
				m.move(at, join(to, key), table[key], "")
			case slices.ContainsFunc(slices.Collect(maps.Values(storageKeys)), func(all []string) bool { return slices.Contains(all, key) }):
				m.say(at, NotNeeded, "it means nothing to storage of type %q, or is empty", kind)
			default:
				unknown(m, at, nil)
			}
		}
	}
}
