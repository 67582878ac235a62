package migrate

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// What stands for things of the original that are not here.
const (
	insteadOfRTSP    = "there is no RTSP here; publish by WHIP instead, with ffmpeg or GStreamer beside the node"
	insteadOfSource  = `the node pulls nothing; have ffmpeg publish it: ffmpeg -i URL -c copy -f whip http://NODE:7777/whip/STREAM`
	insteadOfTarget  = "the node pushes nothing; viewers get one address for many nodes from a liveman, and a WHEP client that publishes can forward a stream"
	insteadOfCascade = "nodes do not forward streams to each other; a liveman sends viewers to the node that has the stream"
	insteadOfMQTT    = "nodes are reached by HTTP; where a manager cannot reach them, use a VPN or a reverse tunnel"
	insteadOfHooks   = `write [[hooks]] command = ["/path/to/program"], events = ["stream.started"] or ["stream.ended"]; the program gets the event as JSON on standard input, not as arguments`
	insteadOfUpload  = `the node uploads by itself: write [recorder.storage] type = "s3" and its bucket; what waits is in [recorder.spool]`
	insteadOfCreate  = "who may publish is said by tokens with rights: auth.secret, or auth.users"
	insteadOfDelete  = "a stream is there while somebody publishes it; nothing else is deleted by time but recordings, see [recorder.retention]"
)

func node() rules {
	keys := common()
	var addresses []string // see endMedia: what becomes of them depends on http.listen
	maps.Copy(keys, map[string]rule{
		"ice_servers":                    iceServers,
		"webrtc.ice_udp_addrs":           func(_ *migration, _ string, value any) { addresses = stringsOf(value) },
		"webrtc.ice_lite":                unless(true, "the node is always an ICE-lite agent", "the node is always an ICE-lite agent; behind a 1:1 NAT set webrtc.public_ips"),
		"strategy":                       strategies,
		"sdp.video_codecs":               codecs,
		"sdp.audio_codecs":               codecs,
		"stream":                         streams,
		"recorder.auto_streams":          patterns("recorder.auto_streams"),
		"recorder.node_alias":            moved("recorder.node_alias"),
		"recorder.index_path":            index,
		"recorder.max_recording_seconds": seconds("recorder.max_recording_seconds"),
		"recorder.storage":               storage("recorder.storage"),
		"recorder.upload":                upload,
	})
	return rules{
		keys: keys,
		below: map[string]rule{
			"hooks":    hooks,
			"rtsp":     notSupported(insteadOfRTSP),
			"net4mqtt": notSupported(insteadOfMQTT),
		},
		end: func(m *migration) {
			m.endAccess("7777")
			m.endIndex()
			m.endMedia(addresses)
		},
	}
}

// originalIndex is where an original lists its recordings if its file does not say.
const originalIndex = "./recordings/index.json"

// index names the command that takes up what was recorded.
func index(m *migration, path string, value any) {
	file, _ := value.(string)
	if strings.TrimSpace(file) == "" {
		file = originalIndex
	}
	m.say(path, Replaced, "the catalogue is a database; this file tells of each recording which stream it is, and since when: live777 rebuild -originals %s takes them up", file)
}

// endIndex is index for a file that does not name it.
func (m *migration) endIndex() {
	const path = "recorder.index_path"
	if m.get("recorder.storage.type") != nil && !m.seen[path] {
		index(m, path, nil)
	}
}

// hooks are scripts that get arguments; the rest says how they are run.
func hooks(m *migration, path string, value any) {
	if list, ok := value.([]any); ok && len(list) == 0 || !strings.Contains(path, ".on_stream_") && !strings.Contains(path, ".on_publish_") {
		m.say(path, NotNeeded, "each receiver of events is told apart; see [events]")
		return
	}
	m.say(path, NotSupported, "%s", insteadOfHooks)
}

func codecs(m *migration, path string, value any) {
	if len(stringsOf(value)) == 0 {
		m.say(path, NotNeeded, "all codecs are allowed")
		return
	}
	m.say(path, NotSupported, "the publisher chooses of H264, H265, VP8, VP9, AV1 and Opus; choose the codec in its settings")
}

func upload(m *migration, path string, value any) {
	table, _ := value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at := join(path, key)
		switch {
		case !slices.Contains([]string{"enabled", "liveman_url", "liveman_token", "queue_path", "local_dir", "presign_ttl_seconds", "interval_ms", "concurrency"}, key):
			unknown(m, at, nil)
		case key == "enabled" && table["enabled"] == true:
			m.say(at, NotSupported, "%s", insteadOfUpload)
		case key == "local_dir" && table["enabled"] == true:
			m.say(at, NotNeeded, "but recordings that have not been uploaded are still there: end the original's uploads first")
		default:
			m.say(at, NotNeeded, "the node uploads by itself, from [recorder.spool]")
		}
	}
}

func strategies(m *migration, path string, value any) {
	strategy(m, path, value, "")
}

// strategy is the rule of the node's strategy, or that of a stream.
func strategy(m *migration, path string, value any, stream string) {
	table, _ := value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at, v := join(path, key), table[key]
		switch key {
		case "each_stream_max_sub":
			viewers(m, at, v, stream)
		case "cascade_push_close_sub":
			unless(false, "there are no cascades", insteadOfCascade)(m, at, v)
		case "auto_create_whip":
			unless(true, "publishing makes the stream", insteadOfCreate)(m, at, v)
		case "auto_create_whep":
			m.say(at, NotNeeded, "viewers make no streams: they are told 404 or 409, and when to try again")
		case "auto_delete_whip", "auto_delete_whep":
			unless(int64(-1), "nothing is deleted", insteadOfDelete)(m, at, v)
		default:
			unknown(m, at, v)
		}
	}
}

// maxViewers is what the original has for any number.
const maxViewers = 65535

func viewers(m *migration, path string, value any, stream string) {
	n, _ := value.(int64)
	switch {
	case n >= maxViewers:
		m.say(path, NotNeeded, "any number of viewers is allowed")
	case stream != "" && n > 0:
		m.add("limits.rules", map[string]any{"streams": literal(stream), "viewers": n})
		m.say(path, Renamed, "viewers of a table [[limits.rules]]")
	default:
		m.say(path, NotSupported, "limits.viewers bounds the viewers of all streams together, and [[limits.rules]] those of one that it names")
	}
}

// literal makes a pattern of a stream's id.
func literal(stream string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(stream)
}

// streams is the rule of the tables of single streams.
func streams(m *migration, path string, value any) {
	table, _ := value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(table)) {
		entry, ok := table[name].(map[string]any)
		if !ok {
			unknown(m, join(path, name), nil)
			continue
		}
		m.stream(join(path, name), name, entry)
	}
}

func (m *migration) stream(path, name string, entry map[string]any) {
	if len(entry) == 0 {
		m.say(path, NotNeeded, "publishing makes the stream; POST /api/streams/%s makes it without a publisher", name)
	}
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		at := join(path, key)
		switch key {
		case "strategy":
			strategy(m, at, entry[key], name)
		case "hooks":
			m.leaves(at, entry[key], hooks)
		case "sources":
			for i, s := range tablesOf(entry[key]) {
				m.say(fmt.Sprintf("%s[%d]", at, i), NotSupported, "%s", source(s))
			}
		case "targets":
			m.say(at, NotSupported, "%s", insteadOfTarget)
		case "channel":
			m.say(at, NotSupported, "data channels are not forwarded to UDP")
		case "on_demand", "on_demand_close_after_ms", "on_demand_start_timeout_ms":
			m.say(at, NotNeeded, "the node has no sources")
		default:
			unknown(m, at, nil)
		}
	}
}

// source says what to do instead of a source. Its URL may have a password.
func source(s map[string]any) string {
	scheme, _, _ := strings.Cut(strings.ToLower(text(s, "url")), "://")
	switch {
	case s["capture"] != nil:
		return "the node has no cameras; publish with GStreamer (v4l2src or libcamerasrc, and whipclientsink)"
	case strings.HasPrefix(scheme, "whep"):
		return insteadOfCascade
	}
	return insteadOfSource
}

func iceServers(m *migration, path string, value any) {
	for i, s := range tablesOf(value) {
		at := fmt.Sprintf("%s[%d]", path, i)
		m.others(at, s, "urls", "username", "credential")
		server, turn := map[string]any{}, false
		urls := []string{}
		for _, u := range stringsOf(s["urls"]) {
			scheme, rest, _ := strings.Cut(u, ":")
			if !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, scheme) || rest == "" || strings.HasPrefix(rest, "//") {
				m.say(at+".urls", NotSupported, "%q is no ICE server; write stun:host:port or turn:host:port", u)
				continue
			}
			turn = turn || strings.HasPrefix(scheme, "turn")
			urls = append(urls, u)
		}
		for _, key := range []string{"username", "credential"} {
			if v := text(s, key); v != "" {
				server[key] = v
			}
		}
		switch server["urls"] = urls; {
		case len(urls) == 0:
			m.say(at, NotNeeded, "it has no server")
		case turn && len(server) < 3:
			m.say(at, NotSupported, "a TURN server needs username and credential")
		default:
			m.add("webrtc.ice_servers", server)
			m.say(at, Renamed, "webrtc.ice_servers: clients are told of it; the node itself is always an ICE-lite agent")
		}
	}
}

// endMedia writes the one UDP address that media come to.
func (m *migration) endMedia(addresses []string) {
	const path = "webrtc.ice_udp_addrs"
	listen, _ := m.get("http.listen").(string)
	host, port, err := net.SplitHostPort(listen)
	chosen := slices.IndexFunc(addresses, func(a string) bool { _, err := netip.ParseAddrPort(a); return err == nil })
	switch {
	case chosen >= 0:
		m.move(path, "webrtc.listen", addresses[chosen], "media of all sessions come to this one UDP address")
		if len(addresses) > 1 {
			m.say(path, NotSupported, "of %d addresses one is taken; an empty host, as in \":7777\", means all of the machine", len(addresses))
		}
	case err == nil && port != "7777":
		// Nodes on one machine have another TCP port each, so they get other UDP ports too.
		m.set("webrtc.listen", net.JoinHostPort(host, port))
		m.say(path, Renamed, "webrtc.listen: media of all sessions come to UDP port %s: open it", port)
	default:
		m.say(path, Renamed, "webrtc.listen: media of all sessions come to UDP port 7777, unless it says something else: open it")
	}
}
