package config

// Limits is how much clients may have of a node; 0 is no limit. What is over it is
// refused.
type Limits struct {
	// Sessions are publishers and viewers that are connected.
	Sessions int `toml:"sessions" default:"1000" min:"1" max:"100000"`
	// Unconnected are those that are not connected yet, apart from Sessions.
	Unconnected int `toml:"unconnected" default:"200" min:"1" max:"100000"`
	Publishers  int `toml:"publishers" default:"0" min:"0" max:"100000"`
	Viewers     int `toml:"viewers" default:"0" min:"0" max:"100000"`
	// Streams are those with a publisher, and those that were created.
	Streams    int `toml:"streams" default:"0" min:"0" max:"1000000"`
	Recordings int `toml:"recordings" default:"0" min:"0" max:"100000"`
	// StreamKbps is what one publisher may send, TotalKbps all of them, in kbit/s.
	StreamKbps int `toml:"stream_kbps" default:"0" min:"0" max:"1000000000"`
	TotalKbps  int `toml:"total_kbps" default:"0" min:"0" max:"1000000000"`
	// Rules are for some who have credentials, or for some streams.
	Rules []LimitRule `toml:"rules"`
	// Each is for each token, account and subject of JSON Web Tokens.
	Each Quota `toml:"each"`
}

// Quota is what somebody may have.
type Quota struct {
	Sessions   int `toml:"sessions" default:"0" min:"0" max:"100000"`
	Publishers int `toml:"publishers" default:"0" min:"0" max:"100000"`
	Viewers    int `toml:"viewers" default:"0" min:"0" max:"100000"`
	Recordings int `toml:"recordings" default:"0" min:"0" max:"100000"`
	StreamKbps int `toml:"stream_kbps" default:"0" min:"0" max:"1000000000"`
	TotalKbps  int `toml:"total_kbps" default:"0" min:"0" max:"1000000000"`
}

// LimitRule is a Quota for what it names, all of that together.
type LimitRule struct {
	// Streams is a path.Match pattern.
	Streams string `toml:"streams"`
	// Account is the name of one of auth.users, Subject the sub of JSON Web Tokens.
	Account    string `toml:"account"`
	Subject    string `toml:"subject"`
	Sessions   int    `toml:"sessions" default:"0"`
	Publishers int    `toml:"publishers" default:"0"`
	Viewers    int    `toml:"viewers" default:"0"`
	Recordings int    `toml:"recordings" default:"0"`
	StreamKbps int    `toml:"stream_kbps" default:"0"`
	TotalKbps  int    `toml:"total_kbps" default:"0"`
}

// Quota returns what the rule allows.
func (r LimitRule) Quota() Quota {
	return Quota{r.Sessions, r.Publishers, r.Viewers, r.Recordings, r.StreamKbps, r.TotalKbps}
}

func (l *loader) checkLimits(c *Limits) {
	for i, r := range c.Rules {
		at := element("limits.rules", i)
		named := 0
		for _, s := range []string{r.Streams, r.Account, r.Subject} {
			if s != "" {
				named++
			}
		}
		switch {
		case named == 0:
			l.fail(at, `says not whom it is for; write streams = "web-*", or account or subject`)
		case r.Account != "" && r.Subject != "":
			l.fail(at, "has an account and a subject; nobody is both: write two rules")
		case r.Quota() == Quota{}:
			l.fail(at, "has no limit; write one, such as publishers = 10")
		}
		if r.Streams != "" {
			l.checkPatterns(at+".streams", []string{r.Streams})
		}
		for _, n := range []int{r.Sessions, r.Publishers, r.Viewers, r.Recordings, r.StreamKbps, r.TotalKbps} {
			if n < 0 {
				l.fail(at, "has a limit below 0")
				break
			}
		}
	}
}
