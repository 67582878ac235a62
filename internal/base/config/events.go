package config

import (
	"encoding/base64"
	"net/url"
	"path"
	"slices"
	"strings"
)

// The names of what happens.
const (
	EventStreamStarted    = "stream.started"
	EventStreamEnded      = "stream.ended"
	EventRecordingStarted = "recording.started"
	EventSegment          = "recording.segment"
	EventRecordingEnded   = "recording.ended"
	EventRecordingFailed  = "recording.failed"
	EventUploaded         = "recording.uploaded"
	EventDeleted          = "recording.deleted"
	EventDiskLow          = "disk.low"
	EventDiskOK           = "disk.ok"
	EventSpoolFilling     = "spool.filling"
	EventSpoolOK          = "spool.ok"
	EventNodeDown         = "node.down"
	EventNodeUp           = "node.up"
	EventTest             = "test"
)

// EventTypes are all of these.
var EventTypes = []string{
	EventStreamStarted, EventStreamEnded, EventRecordingStarted, EventSegment, EventRecordingEnded, EventRecordingFailed,
	EventUploaded, EventDeleted, EventDiskLow, EventDiskOK, EventSpoolFilling, EventSpoolOK, EventNodeDown, EventNodeUp, EventTest,
}

// Events says who is told of what happens.
type Events struct {
	Options  EventOptions
	Webhooks []Webhook
	Hooks    []Hook
	NATS     []NATS
	MQTT     []MQTT
}

// Told returns who is told.
func (c *Config) Told() Events { return Events{c.Events, c.Webhooks, c.Hooks, c.NATS, c.MQTT} }

// Told returns who is told.
func (c *Liveman) Told() Events { return Events{c.Events, c.Webhooks, c.Hooks, c.NATS, c.MQTT} }

// EventOptions are what all receivers of events have in common.
type EventOptions struct {
	// File has what waits to be told.
	File string `toml:"file" default:"live777-events.db"`
	// Keep is for how long an event is tried to be told.
	Keep Hours `toml:"keep_hours" default:"72" min:"1" max:"720"`
	// MaxBytes bounds what waits.
	MaxBytes Size `toml:"max_bytes" default:"256MiB"`
	// Timeout is how long a webhook or a broker may take to answer, HookTimeout a command.
	Timeout     Seconds `toml:"timeout_seconds" default:"10" min:"1" max:"300" reload:"yes"`
	HookTimeout Seconds `toml:"hook_timeout_seconds" default:"60" min:"1" max:"3600" reload:"yes"`
	// DiskLow is how little may be free on the disk that is recorded to before that is
	// told; 0: never.
	DiskLow Size `toml:"disk_low_bytes" default:"10GB"`
}

// Webhook is a URL that is told of what happens.
type Webhook struct {
	URL TargetURL `toml:"url"`
	// Events are path.Match patterns of EventTypes.
	Events []string `toml:"events"`
	// Secret is what events are signed with: "whsec_" and base64, or any text.
	Secret Secret `toml:"secret"`
	// Name is what the log and the API call it.
	Name string `toml:"name" derived:"the URL without its query"`
}

// Hook is a command that is told of what happens.
type Hook struct {
	// Command is the program and its arguments; no shell is between.
	Command []string `toml:"command"`
	Events  []string `toml:"events"`
	Name    string   `toml:"name" derived:"the program"`
}

// NATS is a server of NATS that events are published to.
type NATS struct {
	// URL may have a user and a password, or a token.
	URL TargetURL `toml:"url"`
	// Subject is what the subjects begin with; the type of the event follows.
	Subject string `toml:"subject" derived:"live777"`
	// JetStream has the server acknowledge each event when it has stored it.
	JetStream bool `toml:"jetstream" default:"false"`
	// CredentialsFile has the JWT and the key of a user (.creds).
	CredentialsFile string   `toml:"credentials_file" default:""`
	Events          []string `toml:"events"`
	Name            string   `toml:"name" derived:"the URL without its query"`
}

// MQTT is a broker that events are published to.
type MQTT struct {
	URL TargetURL `toml:"url"`
	// Topic is what the topics begin with; the type of the event follows.
	Topic    string   `toml:"topic" derived:"live777"`
	Username string   `toml:"username" default:""`
	Password Secret   `toml:"password"`
	Events   []string `toml:"events"`
	Name     string   `toml:"name" derived:"the URL without its query"`
}

// eventPrefix begins subjects and topics where nothing else is configured.
const eventPrefix = "live777"

// Prefix returns what subjects begin with.
func (n NATS) Prefix() string { return label(n.Subject, eventPrefix) }

// Prefix returns what topics begin with.
func (m MQTT) Prefix() string { return label(m.Topic, eventPrefix) }

// Label returns the name, or what stands for it.
func (n NATS) Label() string { return label(n.Name, n.URL.Plain()) }

// Label returns the name, or what stands for it.
func (m MQTT) Label() string { return label(m.Name, m.URL.Plain()) }

// TargetURL is where events go. It shows itself without what may be secret in it.
type TargetURL string

// Plain returns the URL without what may be secret in it: user, password, query.
func (u TargetURL) Plain() string {
	parsed, err := url.Parse(string(u))
	if err != nil {
		return ""
	}
	parsed.User, parsed.RawQuery, parsed.Fragment = nil, "", ""
	return parsed.String()
}

// String returns the URL with the mask in place of what may be secret.
func (u TargetURL) String() string {
	parsed, err := url.Parse(string(u))
	if err != nil {
		return mask
	}
	if parsed.User != nil {
		parsed.User = url.User(mask)
	}
	if parsed.RawQuery != "" {
		parsed.RawQuery = mask
	}
	return strings.ReplaceAll(parsed.String(), "%2A", "*")
}

// GoString returns the masked URL (%#v).
func (u TargetURL) GoString() string { return u.String() }

// MarshalText returns the masked URL.
func (u TargetURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// Label returns the name, or what stands for it.
func (w Webhook) Label() string { return label(w.Name, w.URL.Plain()) }

// Label returns the name, or what stands for it.
func (h Hook) Label() string {
	if len(h.Command) == 0 {
		return h.Name
	}
	return label(h.Name, h.Command[0])
}

func label(name, other string) string {
	if name != "" {
		return name
	}
	return other
}

const (
	// maxReceivers bounds who is told of events.
	maxReceivers = 32
	// minEvents is the least events.max_bytes.
	minEvents = 1 << 20
)

// checkEvents checks who is told of events.
func (l *loader) checkEvents(e Events) {
	if e.Options.File == "" {
		l.fail("events.file", `is empty; write a file, such as "live777-events.db"`)
	}
	if e.Options.MaxBytes.Bytes() < minEvents {
		l.fail("events.max_bytes", "%q is too little; write at least 1MiB", e.Options.MaxBytes)
	}
	names := map[string]string{}
	one := func(at, name string, patterns []string) {
		if other, twice := names[name]; twice {
			l.fail(at+".name", "%q is the name of %s too; give one of them another", name, other)
		}
		names[name] = at
		if len(names) > maxReceivers {
			l.fail(at, "is one too many: at most %d are told of events", maxReceivers)
		}
		l.checkEventPatterns(at+".events", patterns)
	}
	for i, w := range e.Webhooks {
		at := element("webhooks", i)
		l.checkTargetURL(at+".url", w.URL, "https://host/path", "http", "https")
		l.checkWebhookSecret(at+".secret", w.Secret)
		one(at, w.Label(), w.Events)
	}
	for i, h := range e.Hooks {
		at := element("hooks", i)
		if len(h.Command) == 0 || h.Command[0] == "" {
			l.fail(at+".command", `is missing; write the program and its arguments: ["/usr/local/bin/notify", "--now"]`)
		}
		one(at, h.Label(), h.Events)
	}
	for i, n := range e.NATS {
		at := element("nats", i)
		l.checkTargetURL(at+".url", n.URL, "nats://host:4222", "nats", "tls", "ws", "wss")
		if strings.ContainsAny(n.Subject, " \t\r\n*>") {
			l.fail(at+".subject", "%q is no subject; write words with points between, such as \"site.live777\"", n.Subject)
		}
		one(at, n.Label(), n.Events)
	}
	for i, m := range e.MQTT {
		at := element("mqtt", i)
		l.checkTargetURL(at+".url", m.URL, "mqtt://host:1883", "mqtt", "mqtts", "tcp", "ssl", "tls", "ws", "wss")
		if strings.ContainsAny(m.Topic, "#+\x00") || strings.HasSuffix(m.Topic, "/") {
			l.fail(at+".topic", "%q is no topic; write words with slashes between, such as \"site/live777\"", m.Topic)
		}
		l.checkMask(at+".password", m.Password)
		one(at, m.Label(), m.Events)
	}
}

func (l *loader) checkEventPatterns(at string, patterns []string) {
	for i, p := range patterns {
		if !slices.ContainsFunc(EventTypes, func(t string) bool { ok, _ := path.Match(p, t); return ok }) {
			l.fail(element(at, i), "%q names no event; use \"*\" or patterns of %s", p, strings.Join(EventTypes, ", "))
		}
	}
}

// checkTargetURL wants a URL with one of some schemes. It is not shown: it may have secrets.
func (l *loader) checkTargetURL(at string, s TargetURL, like string, schemes ...string) {
	u, err := url.Parse(string(s))
	switch {
	case s == "":
		l.fail(at, "is missing; write it like %q", like)
	case err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme):
		l.fail(at, "is no URL that is understood; write it like %q", like)
	case strings.Contains(string(s), mask):
		l.fail(at, "has the mask of a printed configuration; write the secret itself")
	}
}

func (l *loader) checkWebhookSecret(at string, s Secret) {
	l.checkMask(at, s)
	if s == "" || s == mask {
		return
	}
	key := []byte(s)
	if encoded, ok := strings.CutPrefix(string(s), "whsec_"); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			l.fail(at, `has "whsec_" and no base64 behind it`)
			return
		}
	}
	if len(key) < minSecretLen {
		l.fail(at, "has %d bytes; use at least %d random ones", len(key), minSecretLen)
	}
}
