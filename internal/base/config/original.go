package config

import (
	"fmt"
	"strings"
)

// Check reports what is wrong with the text of a live777.toml.
func Check(text []byte) error { return loadInto(new(Config), live777, "", text, nil) }

// CheckLiveman is Check for a liveman.toml.
func CheckLiveman(text []byte) error { return loadInto(new(Liveman), liveman, "", text, nil) }

// originals are keys that files of the original live777 have, and those of these programs
// never had.
var originals = map[*program][]string{
	live777: {
		"strategy", "stream", "sdp", "ice_servers", "rtsp", "net4mqtt", "http.cors", "webrtc.ice_udp_addrs", "webrtc.ice_lite",
		"recorder.index_path", "recorder.upload", "hooks.timeout_ms", "hooks.on_error", "hooks.on_stream_created",
		"hooks.on_stream_deleted", "hooks.on_publish_started", "hooks.on_publish_stopped",
	},
	liveman: {
		"cascade", "extra_ice", "net4mqtt", "record_sync", "liveion", "recorder", "http.cors", "http.public", "auth.accounts",
		"nodes.mode", "database.max_connections", "database.connect_timeout", "playback.signed_ttl_seconds", "auto_record.enabled",
		"auto_record.auto_streams", "auto_record.base_prefix", "auto_record.tick_ms", "auto_record.max_recording_seconds",
	},
}

// fromOriginal returns what to do about a file that cannot be loaded and is one of the
// original live777; nil about another.
func (p *program) fromOriginal(file string, doc map[string]any) error {
	for _, path := range originals[p] {
		if hasKey(doc, strings.Split(path, ".")) {
			return fmt.Errorf("%s is a configuration of the original live777; %s migrate-config %s makes one of this program of it", file, p.name, file)
		}
	}
	return nil
}

// hasKey reports whether a document has a key, also in one of the tables of an array.
func hasKey(value any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	switch x := value.(type) {
	case map[string]any:
		v, ok := x[path[0]]
		return ok && hasKey(v, path[1:])
	case []any:
		for _, e := range x {
			if hasKey(e, path) {
				return true
			}
		}
	}
	return false
}
