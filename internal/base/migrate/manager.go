package migrate

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
)

const insteadOfExtraICE = "nodes tell clients of ICE servers: write [[webrtc.ice_servers]] in the configuration of each node"

// minSignedTTL and maxSignedTTL are how long signed URLs may be valid.
const minSignedTTL, maxSignedTTL = 10, 604_800

func manager() rules {
	keys := common()
	var playback map[string]any // see endPlayback: what becomes of it depends on the storage
	maps.Copy(keys, map[string]rule{
		"http.public":              notNeeded("it is for cascades, and there are none"),
		"auth.accounts":            accounts,
		"nodes":                    nodes,
		"liveion":                  nodes,
		"database.url":             database,
		"database.max_connections": notNeeded("the program opens as many as it needs"),
		"database.connect_timeout": notNeeded("the program starts without its database too, and goes on when that is there"),
		"playback":                 func(_ *migration, _ string, value any) { playback, _ = value.(map[string]any) },
		"recorder.storage":         sharedStorage,
		"auto_record":              autoRecord,
		"record_sync.enabled":      notNeeded("the manager always follows what its nodes record"),
		"record_sync.tick_ms":      notNeeded("nodes tell of changes at once"),
		"record_sync.limit":        notNeeded("nodes tell of changes at once"),
	})
	return rules{
		keys: keys,
		below: map[string]rule{
			"cascade":   notSupported(insteadOfCascade),
			"extra_ice": notSupported(insteadOfExtraICE),
			"net4mqtt":  notSupported(insteadOfMQTT),
		},
		end: func(m *migration) {
			m.endAccess("8888")
			m.endDatabase()
			m.endPlayback(playback)
		},
	}
}

// accounts takes the passwords over as hashes; who has one may do everything.
func accounts(m *migration, path string, value any) {
	for i, a := range tablesOf(value) {
		at := fmt.Sprintf("%s[%d]", path, i)
		m.others(at, a, "username", "password")
		hash, err := auth.HashPassword(text(a, "password"))
		switch name := text(a, "username"); {
		case name == "" || err != nil:
			m.say(at, NotSupported, "it is left out: it needs a name, and a password of 8 bytes or more; write [[auth.users]] and what liveman hash-password prints")
		default:
			m.add("auth.users", map[string]any{"name": name, "password_hash": hash, "rights": []string{string(auth.Admin)}, "streams": []string{"*"}})
			m.say(at, Renamed, "auth.users: the password is the same, and only its hash is in the file")
		}
	}
}

func nodes(m *migration, path string, value any) {
	for i, n := range tablesOf(value) {
		at := fmt.Sprintf("%s[%d]", path, i)
		m.others(at, n, "alias", "url", "token", "mode")
		address, alias := strings.TrimSuffix(text(n, "url"), "/"), text(n, "alias")
		switch {
		case !config.IsBaseURL(address):
			m.say(at, NotSupported, "its url is none of a server; write http://host:port, without a user or a query")
			continue
		case !config.IsAlias(alias):
			m.say(at, NotSupported, `%q is no alias; use letters, digits, "-", "_" and "."`, alias)
			continue
		}
		node := map[string]any{"alias": alias, "url": address}
		if token := text(n, "token"); token != "" {
			node["token"] = token
		}
		m.add("nodes", node)
		m.say(at, Taken, "the token is the old one: where the node has got a new one, write that")
		if _, ok := n["mode"]; ok {
			m.say(at+".mode", NotNeeded, "the manager finds out how a node tells of changes")
		}
		if u, err := url.Parse(address); err == nil && strings.HasSuffix(u.Hostname(), ".local") {
			m.say(at+".url", NotSupported, "a name that net4mqtt resolves is not found: %s", insteadOfMQTT)
		}
	}
}

// sharedStorage takes over what the original reads recordings from, which may be a folder that
// no node records to.
func sharedStorage(m *migration, path string, value any) {
	storage("storage")(m, path, value)
	if m.get("storage.type") == "fs" {
		m.say(path, Replaced, "is it the folder that all nodes record to? Where each keeps its recordings itself, remove [storage]: they are then played from their nodes")
	}
}

func database(m *migration, path string, value any) {
	was, _ := value.(string)
	if u, err := url.Parse(was); err == nil && strings.HasPrefix(u.Scheme, "postgres") && strings.Trim(u.Path, "/") != "" {
		name := strings.Trim(u.Path, "/") + "_catalogue"
		u.Path = "/" + name
		m.set(path, u.String())
		m.say(path, Replaced, "the catalogue is another one, in a database of its own: CREATE DATABASE %q; liveman rebuild fills it, and -originals has it take up what the old one lists", name)
		return
	}
	if file, ok := strings.CutPrefix(was, "sqlite:"); ok {
		file, _, _ = strings.Cut(strings.TrimPrefix(file, "//"), "?")
		if file = strings.TrimSuffix(file, ".db"); file != "" && !strings.Contains(file, ":memory:") {
			m.set(path, "sqlite://"+file+"-catalogue.db")
		}
	}
}

// endDatabase writes where the catalogue is. It is never the original's own database, whose
// tables have the same names.
func (m *migration) endDatabase() {
	at, _ := m.get("database.url").(string)
	if strings.HasPrefix(at, "postgres") {
		return
	}
	if at == "" {
		at = "sqlite://liveman-catalogue.db"
		m.set("database.url", at)
	}
	m.say("database.url", Renamed, "%s is another catalogue, beside that of the original; liveman rebuild fills it, and -originals has it take up what the old one lists. A variable DATABASE_URL wins over it: take that out", at)
}

func autoRecord(m *migration, path string, value any) {
	table, _ := value.(map[string]any)
	on := table["enabled"] == true
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at := join(path, key)
		switch {
		case key == "enabled":
			m.say(at, NotNeeded, "streams that are named are recorded, others are not")
		case key == "auto_streams" && on:
			patterns("auto_record.streams")(m, at, table[key])
		case key == "max_recording_seconds" && on:
			m.say(at, NotSupported, "nodes divide recordings themselves: write recorder.max_recording_seconds in the configuration of each node, where it is 86400 by default")
		case key == "base_prefix" && on && table[key] != "":
			m.say(at, NotSupported, "recordings lie in {stream}/{time}; a root of the nodes' storage can stand before that")
		case slices.Contains([]string{"auto_streams", "max_recording_seconds", "base_prefix", "tick_ms"}, key):
			m.say(at, NotNeeded, "streams are recorded as soon as they are there, where auto_record.streams names them")
		default:
			unknown(m, at, nil)
		}
	}
}

// endPlayback writes how media are sent, which depends on the storage.
func (m *migration) endPlayback(table map[string]any) {
	m.others("playback", table, "signed_redirect", "signed_ttl_seconds")
	kind, _ := m.get("storage.type").(string)
	on := table["signed_redirect"] == true && (kind == "s3" || kind == "oss")
	if signed, ok := table["signed_redirect"]; ok {
		if on || signed == false {
			m.move("playback.signed_redirect", "playback.signed_redirect", signed, "")
		} else {
			m.say("playback.signed_redirect", NotNeeded, "storage of this type signs no URLs; media come through the manager")
		}
	}
	if seconds, ok := table["signed_ttl_seconds"].(int64); ok {
		seconds = min(max(seconds, minSignedTTL), maxSignedTTL)
		m.move("playback.signed_ttl_seconds", "playback.signed_redirect_ttl_seconds", seconds, "")
	}
}
