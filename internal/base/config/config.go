// Package config reads live777.toml and liveman.toml: typed, strict and
// validated, every key with a default, environment variables on top.
//
// A key is one field: its toml tag names it, its other tags give what can be
// said in a word (see schema.go), validate.go holds the rest.
package config

import "time"

// Config is the whole configuration of a live777 node. What Load returns is
// complete: defaults are filled in and everything was checked.
type Config struct {
	// Webhooks and those below are told of what happens.
	Webhooks []Webhook `toml:"webhooks" reload:"yes"`
	Hooks    []Hook    `toml:"hooks" reload:"yes"`
	NATS     []NATS    `toml:"nats" reload:"yes"`
	MQTT     []MQTT    `toml:"mqtt" reload:"yes"`

	HTTP     HTTP     `toml:"http"`
	WebRTC   WebRTC   `toml:"webrtc"`
	Auth     Auth     `toml:"auth"`
	Limits   Limits   `toml:"limits"`
	Log      Log      `toml:"log"`
	Tracing  Tracing  `toml:"tracing"`
	Database Database `toml:"database"`
	Recorder Recorder `toml:"recorder"`
	Manager  Manager  `toml:"manager"`
	// Events is what they have in common.
	Events EventOptions `toml:"events"`
}

// HTTP configures the server of the API, of WHIP and WHEP and of the page.
type HTTP struct {
	// Listen is the TCP address, host:port, or a Unix socket, unix:/path. Port 0 takes a
	// free one.
	Listen string `toml:"listen" default:"127.0.0.1:7777"`
	// CORSOrigins are the origins whose pages may use the API: "*" for all,
	// "https://host[:port]" for one, a port of "*" for all ports of a host.
	// Nodes without credentials, anonymous ones too, trust pages of this machine
	// only: their visitors' browsers would else open the node to every web site.
	CORSOrigins []string `toml:"cors_origins" derived:"[\"*\"] with tokens, a secret or users; else [\"http://localhost:*\", \"http://127.0.0.1:*\"]" reload:"yes"`
	// BasePath is where a reverse proxy has the server: "/studio".
	BasePath string `toml:"base_path" default:""`
	// TrustedProxies are addresses and networks of reverse proxies, whose
	// X-Forwarded-For and X-Forwarded-Prefix are believed.
	TrustedProxies []string `toml:"trusted_proxies"`
	// MaxConnections bounds the connections, ConnectionsPerAddress those of one
	// address; 0 is what the limit of descriptors allows, and a part of it.
	MaxConnections        int `toml:"max_connections" default:"0" min:"0" max:"100000"`
	ConnectionsPerAddress int `toml:"connections_per_address" default:"0" min:"0" max:"100000"`
	// RequestsPerAddress is how many requests a second one address may send; 0: any.
	RequestsPerAddress int `toml:"requests_per_address" default:"500" min:"0" max:"1000000"`
	// Redirect is the address that sends to HTTPS who comes by plain HTTP.
	Redirect string `toml:"redirect" default:""`
	TLS      TLS    `toml:"tls"`
}

// Scheme returns that of the server's URLs.
func (h HTTP) Scheme() string {
	if h.TLS.Cert != "" || len(h.TLS.ACME) > 0 {
		return "https"
	}
	return "http"
}

// TLS is what the server speaks HTTPS by; plain HTTP without it.
type TLS struct {
	// Cert and Key are PEM files, which are read again when they change.
	Cert string `toml:"cert" default:""`
	Key  string `toml:"key" default:""`
	// ACME are host names for which an authority is asked for certificates.
	ACME          []string `toml:"acme"`
	ACMEEmail     string   `toml:"acme_email" default:""`
	ACMEDirectory string   `toml:"acme_directory" default:""`
	ACMECache     string   `toml:"acme_cache" default:"./acme"`
}

// WebRTC configures media transport.
type WebRTC struct {
	// Listen is the one UDP address of all sessions, host:port. Port 0 takes a
	// free one, an empty host means all interfaces.
	Listen string `toml:"listen" derived:"the host of http.listen, port 7777"`
	// PublicIPs replace the host candidates' addresses behind a 1:1 NAT.
	PublicIPs []string `toml:"public_ips"`
	// ConnectTimeout is how long a session may take to connect before it ends.
	ConnectTimeout Seconds `toml:"connect_timeout_seconds" default:"15" min:"1" max:"300"`
	// Grace is how long a session goes on when the credentials that it was made with
	// have expired. One whose account has logged out ends at once.
	Grace Seconds `toml:"grace_seconds" default:"30" min:"0" max:"31536000"`
	// Receiver is what takes the packets of publishers: the WebRTC stack of pion, or the
	// node's own receiver, which needs less of the processor.
	Receiver string `toml:"receiver" default:"pion" oneof:"pion|direct"`
	// ICEServers are told to clients (WHIP Link headers) and used by the node.
	ICEServers []ICEServer `toml:"ice_servers"`
}

// ICEServer is one STUN or TURN server, as RTCIceServer of the WebRTC API.
type ICEServer struct {
	URLs       []string `toml:"urls"`
	Username   string   `toml:"username"`
	Credential Secret   `toml:"credential"`
}

// Auth says who may do what. With neither Tokens nor Secret nor Users nothing is
// asked for, which is accepted on loopback or with Anonymous only.
type Auth struct {
	// Tokens are static bearer tokens; each may do everything.
	Tokens []Secret `toml:"tokens" reload:"yes"`
	// Secret is the HS256 key of JSON Web Tokens, at least 16 bytes.
	Secret Secret `toml:"secret" reload:"yes"`
	// Anonymous lets everybody who reaches the node do everything.
	Anonymous bool `toml:"anonymous" default:"false" reload:"yes"`
	// Users log in by name and password.
	Users []User `toml:"users" reload:"yes"`
}

// Configured reports whether requests need credentials.
func (a Auth) Configured() bool { return len(a.Tokens) > 0 || a.Secret != "" || len(a.Users) > 0 }

// Curl returns how to call curl for a request that needs a right, with a token
// where credentials are asked for.
func (a Auth) Curl() string {
	if a.Configured() {
		return "curl -H 'Authorization: Bearer TOKEN'"
	}
	return "curl"
}

// Manager says with which liveman this node registers itself. Without URL it
// does not; a manager may have it in its own configuration instead.
type Manager struct {
	// URL is where the manager is: https://host[:port].
	URL string `toml:"url"`
	// Token is the manager's registration.token.
	Token Secret `toml:"token"`
	// NodeURL is where the manager reaches this node.
	NodeURL string `toml:"node_url" derived:"http:// or https:// and http.listen"`
	// NodeToken is what the manager uses this node with.
	NodeToken Secret `toml:"node_token" derived:"the first of auth.tokens; else one that auth.secret signs" reload:"yes"`
	// Register is how often the node registers again: a manager that has lost its
	// database knows it after that time.
	Register Seconds `toml:"register_seconds" default:"30" min:"1" max:"3600"`
	// Labels say what the node is, for the manager's [[placement]].
	Labels []string `toml:"labels"`
}

// Log configures the log on standard error.
type Log struct {
	Level  string `toml:"level" default:"info" oneof:"debug|info|warn|error" reload:"yes"`
	Format string `toml:"format" default:"text" oneof:"text|json"`
}

// Tracing says where spans of requests and uploads go.
type Tracing struct {
	// Endpoint is the URL of an OpenTelemetry collector that takes OTLP over HTTP. Empty:
	// nothing is traced.
	Endpoint string `toml:"endpoint"`
	// Percent is how many of a hundred traces are kept.
	Percent int `toml:"percent" default:"100" min:"1" max:"100"`
}

// Database says where the catalogue of recordings is.
type Database struct {
	// URL is sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME. The variable
	// DATABASE_URL sets it too; LIVE777_DATABASE_URL wins over that.
	URL DatabaseURL `toml:"url" default:"sqlite://live777.db"`
}

// Recorder configures recording.
type Recorder struct {
	// AutoStreams are path.Match patterns of streams that are recorded
	// whenever they are published.
	AutoStreams []string `toml:"auto_streams" reload:"yes"`
	// Preroll is how much of a stream from before its recording is started that has;
	// PrerollStreams are the patterns of the streams that have it; empty: all.
	Preroll        Seconds  `toml:"preroll_seconds" default:"0" min:"0" max:"60"`
	PrerollStreams []string `toml:"preroll_streams"`
	// MaxRecording is the longest recording; a longer one goes on in a new
	// record_dir. 0: never.
	MaxRecording Seconds `toml:"max_recording_seconds" default:"86400" min:"0" max:"31536000"`
	// NodeAlias names this node in recordings, for managers of many nodes.
	NodeAlias string `toml:"node_alias" default:""`
	// Segment is the target duration of a media segment.
	Segment Seconds `toml:"segment_seconds" default:"6" min:"1" max:"60"`
	// Chunk is how often the open segment is written out.
	Chunk Milliseconds `toml:"chunk_ms" default:"500" min:"50" max:"60000"`
	// Reconnect is how long a recording waits for its publisher to come back.
	Reconnect Seconds `toml:"reconnect_seconds" default:"10" min:"0" max:"3600"`
	// Drain is how long the end of the node waits for its recordings to be sealed.
	Drain Seconds `toml:"drain_seconds" default:"30" min:"1" max:"3600"`
	// Fsync is when files are made durable: after each segment, each chunk, or
	// when the operating system pleases.
	Fsync     string    `toml:"fsync" default:"segment" oneof:"segment|chunk|off"`
	Storage   Storage   `toml:"storage"`
	Spool     Spool     `toml:"spool"`
	Retention Retention `toml:"retention"`
}

// Spool is the local directory in which recordings wait for remote storage (s3,
// oss). With fs there is none.
type Spool struct {
	Dir string `toml:"dir" default:"./spool"`
	// MaxBytes bounds what waits. When it is reached, recordings end.
	MaxBytes Size `toml:"max_bytes" default:"10GiB"`
	// Uploads is the number of objects that are uploaded at the same time.
	Uploads int `toml:"uploads" default:"8" min:"1" max:"256"`
}

// Retention says which recordings are deleted, the oldest first. Those that are
// being recorded, or are protected, never are.
type Retention struct {
	// MaxAge is how long after their end recordings are kept; 0: for ever.
	MaxAge Hours `toml:"max_age_hours" default:"0" min:"0" max:"876000" reload:"yes"`
	// MaxBytes is how much of storage recordings may take, all together; "0": any.
	MaxBytes Size `toml:"max_bytes" default:"0" reload:"yes"`
	// MinFree is how much of the disk is to stay free (storage of type fs).
	MinFree Size `toml:"min_free_bytes" default:"0" reload:"yes"`
	// Check is how often that is looked at.
	Check Seconds `toml:"check_seconds" default:"60" min:"1" max:"86400" reload:"yes"`
}

// The storage types.
const (
	StorageFS  = "fs"
	StorageS3  = "s3"
	StorageOSS = "oss"
)

// Storage says where recordings are kept. Which keys are allowed depends on
// the type: those of another type are empty.
type Storage struct {
	Type string `toml:"type" default:"fs" oneof:"fs|s3|oss"`
	Root string `toml:"root" derived:"\"./storage\" (fs), \"/\" (s3, oss)"`
	// FileMode is that of the files of recordings, before umask, in octal.
	FileMode FileMode `toml:"file_mode" default:"0640" for:"fs"`
	Bucket   string   `toml:"bucket" for:"s3|oss" required:"s3|oss"`
	Region   string   `toml:"region" for:"s3|oss" required:"oss"`
	// Endpoint is the URL of an S3-compatible service, or of OSS.
	Endpoint    string `toml:"endpoint" for:"s3|oss" required:"oss"`
	AccessKeyID string `toml:"access_key_id" for:"s3|oss"`
	// SecretAccessKey and SessionToken are S3's names of the credentials.
	SecretAccessKey Secret `toml:"secret_access_key" for:"s3"`
	SessionToken    Secret `toml:"session_token" for:"s3"`
	// AccessKeySecret and SecurityToken are OSS's names of them.
	AccessKeySecret Secret `toml:"access_key_secret" for:"oss"`
	SecurityToken   Secret `toml:"security_token" for:"oss"`
	// DisableConfigLoad leaves out credentials of the environment and files.
	DisableConfigLoad bool `toml:"disable_config_load" default:"false" for:"s3"`
	// EnableVirtualHostStyle asks bucket.endpoint.com, not endpoint.com/bucket.
	EnableVirtualHostStyle bool `toml:"enable_virtual_host_style" default:"false" for:"s3"`
}

// Size is a number of bytes, with or without a unit: "10GiB", "500MB", "0".
type Size string

// Bytes returns the number; 0 for what is no size, which Load refuses.
func (s Size) Bytes() int64 {
	n, _ := parseSize(string(s))
	return n
}

// Hours is a whole number of hours.
type Hours int

// Duration converts h.
func (h Hours) Duration() time.Duration { return time.Duration(h) * time.Hour }

// Seconds is a whole number of seconds.
type Seconds int

// Duration converts s.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// Milliseconds is a whole number of milliseconds.
type Milliseconds int

// Duration converts m.
func (m Milliseconds) Duration() time.Duration { return time.Duration(m) * time.Millisecond }
