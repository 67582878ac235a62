package config

import (
	"io"
	"reflect"
	"slices"
	"strings"
)

// StorageNone is the storage type of a manager whose nodes keep their recordings
// themselves.
const StorageNone = "none"

// Liveman is the whole configuration of a liveman, as Config is of a live777.
type Liveman struct {
	Nodes    []Node    `toml:"nodes"`
	Webhooks []Webhook `toml:"webhooks" reload:"yes"`
	Hooks    []Hook    `toml:"hooks" reload:"yes"`
	NATS     []NATS    `toml:"nats" reload:"yes"`
	MQTT     []MQTT    `toml:"mqtt" reload:"yes"`

	HTTP         HTTP         `toml:"http"`
	Auth         Auth         `toml:"auth"`
	Log          Log          `toml:"log"`
	Tracing      Tracing      `toml:"tracing"`
	Database     Database     `toml:"database"`
	Fleet        Fleet        `toml:"fleet"`
	Registration Registration `toml:"registration"`
	AutoRecord   AutoRecord   `toml:"auto_record"`
	Signalling   Signalling   `toml:"signalling"`
	Placement    []Placement  `toml:"placement"`
	Playback     Playback     `toml:"playback"`
	Storage      Storage      `toml:"storage"`
	Events       EventOptions `toml:"events"`
}

// Node is a live777 that the manager knows from its configuration.
type Node struct {
	// Alias names the node in the API and in the catalogue.
	Alias string `toml:"alias"`
	// URL is where its API is: http://host:port.
	URL string `toml:"url"`
	// Token is what the manager uses it with.
	Token Secret `toml:"token"`
	// LocalStorage says that its recordings are not in Storage but on the node.
	LocalStorage bool `toml:"local_storage" default:"false"`
	// PublicURL is where clients reach it, if that is not URL; signalling.mode
	// "redirect" sends them there.
	PublicURL string `toml:"public_url"`
	// NodeAliases is what it calls itself, or has called itself, in its recordings.
	NodeAliases []string `toml:"node_aliases"`
}

// Fleet says how the state of the nodes is kept fresh.
type Fleet struct {
	// Poll is how often a node is asked that sends no events, or does not answer.
	Poll Seconds `toml:"poll_seconds" default:"5" min:"1" max:"3600"`
	// Timeout is how long a node may take to begin an answer.
	Timeout Seconds `toml:"timeout_seconds" default:"5" min:"1" max:"300"`
	// ControlTimeout is the same of starting and stopping a recording, which the
	// node answers when the recording is sealed.
	ControlTimeout Seconds `toml:"control_timeout_seconds" default:"60" min:"1" max:"600"`
}

// Registration says who may add nodes while the manager runs.
type Registration struct {
	// Token lets nodes register themselves, and do nothing else. Empty: only
	// those with the right admin may add nodes.
	Token Secret `toml:"token"`
	// SealKey is what the database has the tokens of registered nodes sealed with.
	SealKey Secret `toml:"seal_key"`
	// SealKeyFile has such a key, and is made where there is none, if SealKey is empty.
	// Empty: liveman.key beside the file of SQLite, or else in the working directory.
	SealKeyFile string `toml:"seal_key_file" default:""`
	// Allow are addresses and networks where nodes that register may be; none: anywhere.
	Allow []string `toml:"allow"`
}

// AutoRecord says which streams the manager starts to record.
type AutoRecord struct {
	// Streams are path.Match patterns.
	Streams []string `toml:"streams"`
	// Copies says what is recorded of a stream that several nodes have.
	Copies string `toml:"copies" default:"all" oneof:"all|one"`
	// Retry is how long after a failure it is tried again.
	Retry Seconds `toml:"retry_seconds" default:"5" min:"1" max:"3600"`
}

// Signalling says how WHIP and WHEP of the manager are answered.
type Signalling struct {
	// Mode is how a client gets to a node: its requests are passed on ("relay"), or it is
	// sent there ("redirect", RFC 9725 section 4.5). "off": WHIP and WHEP are 501.
	Mode string `toml:"mode" default:"relay" oneof:"relay|redirect|off"`
}

// Placement says which nodes streams may be published to. Of several the first that is
// for a stream counts.
type Placement struct {
	// Streams are path.Match patterns of stream ids.
	Streams []string `toml:"streams"`
	// Labels are labels that the node needs, all of them.
	Labels []string `toml:"labels"`
	// Nodes are path.Match patterns of aliases; none: any node.
	Nodes []string `toml:"nodes"`
}

// Playback says how recordings are delivered.
type Playback struct {
	// SignedRedirect sends players to the storage for segments, by URLs that it
	// signs.
	SignedRedirect bool `toml:"signed_redirect" default:"false"`
	// SignedRedirectTTL is how long such a URL is valid; S3 allows a week.
	SignedRedirectTTL Seconds `toml:"signed_redirect_ttl_seconds" default:"300" min:"10" max:"604800"`
}

var liveman = &program{
	name: "liveman", envPrefix: "LIVEMAN_",
	tags: map[string]reflect.StructTag{
		"http.listen":  `default:"127.0.0.1:8888"`,
		"database.url": `default:"sqlite://liveman.db"`,
		"events.file":  `default:"liveman-events.db"`,
		"storage.type": `default:"none" oneof:"none|fs|s3|oss" derived:"\"fs\" where another key of [storage] is set, else \"none\""`,
	},
}

// LoadLiveman is Load for liveman.toml and the variables LIVEMAN_.
func LoadLiveman(path string, explicit bool, environ []string) (*Liveman, error) {
	text, err := readFile(path, explicit)
	if err != nil {
		return nil, err
	}
	c := new(Liveman)
	if err := loadInto(c, liveman, path, text, environ); err != nil {
		return nil, err
	}
	return c, nil
}

// DefaultLiveman returns the configuration without file and environment.
func DefaultLiveman() *Liveman {
	c := new(Liveman)
	if err := loadInto(c, liveman, "", nil, nil); err != nil {
		panic("config: the defaults are not valid: " + err.Error()) // a defect; every test would see it
	}
	return c
}

// Print is Config.Print.
func (c *Liveman) Print(w io.Writer) error {
	var all []leaf
	for _, f := range liveman.leaves(reflect.ValueOf(c).Elem()) {
		if f.path == "storage.root" && c.Storage.Type == StorageNone {
			continue
		}
		all = append(all, f)
	}
	return printTo(w, all, c.Storage.Type)
}

func (c *Liveman) derive(l *loader) {
	l.deriveOrigins(&c.HTTP, &c.Auth)
	if !l.set["storage.type"] {
		for _, f := range l.leaves {
			if f.parent() == "storage" && l.set[f.path] {
				c.Storage.Type = StorageFS
			}
		}
	}
	if c.Storage.Type != StorageNone {
		l.deriveRoot("storage", &c.Storage)
	}
}

func (c *Liveman) validate(l *loader) {
	l.checkHTTP(&c.HTTP, &c.Auth)
	l.checkAuth(&c.Auth)
	l.checkDatabase(c.Database.URL)
	l.checkTracing(&c.Tracing)
	l.checkNodes(c)
	l.checkEvents(c.Told())
	l.checkMask("registration.token", c.Registration.Token)
	l.checkLength("registration.token", &c.HTTP, c.Registration.Token)
	if c.Registration.Token != "" && slices.Contains(c.Auth.Tokens, c.Registration.Token) {
		l.fail("registration.token", "is one of auth.tokens too, so that every node may do everything here; use another")
	}
	l.checkMask("registration.seal_key", c.Registration.SealKey)
	switch key := c.Registration.SealKey; {
	case key != "" && len(key) < minSecretLen:
		l.fail("registration.seal_key", "has %d bytes; use at least %d random ones", len(key), minSecretLen)
	case key != "" && c.Registration.SealKeyFile != "":
		l.fail("registration.seal_key_file", "has no effect while registration.seal_key is set")
	}
	l.checkNetworks("registration.allow", c.Registration.Allow)
	l.checkPatterns("auto_record.streams", c.AutoRecord.Streams)
	l.checkPlacement(c)
	if c.Storage.Type == StorageNone {
		for _, f := range l.leaves {
			if f.parent() == "storage" && f.path != "storage.type" && l.set[f.path] {
				l.fail(f.path, "has no effect while storage.type is %q", StorageNone)
			}
		}
	} else {
		l.checkStorage("storage", &c.Storage)
	}
	if c.Playback.SignedRedirect && (c.Storage.Type == StorageNone || c.Storage.Type == StorageFS) {
		l.fail("playback.signed_redirect", "needs storage of type %q or %q: no other signs URLs", StorageS3, StorageOSS)
	}
}

func (l *loader) checkPlacement(c *Liveman) {
	for i, p := range c.Placement {
		at := element("placement", i)
		if len(p.Streams) == 0 {
			l.fail(at+".streams", `is missing; write patterns of stream ids, such as ["studio-*"]`)
		}
		if len(p.Labels) == 0 && len(p.Nodes) == 0 {
			l.fail(at, "has neither labels nor nodes: it would change nothing")
		}
		l.checkPatterns(at+".streams", p.Streams)
		l.checkPatterns(at+".nodes", p.Nodes)
	}
	if len(c.Placement) > 0 && c.Signalling.Mode == "off" {
		l.fail("placement", `has no effect while signalling.mode is "off"`)
	}
}

func (l *loader) checkNodes(c *Liveman) {
	seen := make(map[string]int) // by aliases in small letters
	for i, n := range c.Nodes {
		p := element("nodes", i)
		switch other, twice := seen[strings.ToLower(n.Alias)]; {
		case n.Alias == "":
			l.fail(p+".alias", "is missing; name the node")
		case twice:
			l.fail(p+".alias", "%q is the alias of nodes[%d] too", n.Alias, other)
		default:
			l.checkAlias(p+".alias", n.Alias)
			seen[strings.ToLower(n.Alias)] = i
		}
		if n.URL == "" {
			l.fail(p+".url", `is missing; write where its API is, such as "http://10.0.0.5:7777"`)
		} else {
			l.checkBaseURL(p+".url", n.URL)
		}
		if n.PublicURL != "" {
			l.checkBaseURL(p+".public_url", n.PublicURL)
		}
		l.checkMask(p+".token", n.Token)
		if n.LocalStorage && c.Storage.Type == StorageNone {
			l.fail(p+".local_storage", "has no effect while storage.type is %q: the storage of all nodes is local to them", StorageNone)
		}
	}
}
