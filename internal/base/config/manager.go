package config

import (
	"net"
	"net/url"
	"strings"
)

// checkManager checks with whom the node registers, and as what.
func (l *loader) checkManager(c *Config) {
	m := &c.Manager
	if m.URL == "" {
		for key, value := range map[string]string{"token": string(m.Token), "node_url": m.NodeURL, "node_token": string(m.NodeToken)} {
			if value != "" {
				l.fail("manager."+key, "has no effect without manager.url")
			}
		}
		return
	}
	l.checkBaseURL("manager.url", m.URL)
	if c.Recorder.NodeAlias == "" {
		l.fail("recorder.node_alias", "is missing; a node registers with manager.url by this name")
	} else {
		l.checkAlias("recorder.node_alias", c.Recorder.NodeAlias)
	}
	if m.Token == "" {
		l.fail("manager.token", "is missing; write the registration.token of the manager")
	}
	if c.Auth.Configured() && len(c.Auth.Tokens) == 0 && c.Auth.Secret == "" && m.NodeToken == "" {
		l.fail("manager.node_token", "is missing; the manager needs one of auth.tokens, or a token that auth.secret signs, to use this node")
	}
	l.checkMask("manager.token", m.Token)
	l.checkMask("manager.node_token", m.NodeToken)
	if l.set["manager.node_url"] {
		l.checkBaseURL("manager.node_url", m.NodeURL)
		return
	}
	host, _, err := net.SplitHostPort(c.HTTP.Listen)
	_, socket := c.HTTP.Socket()
	if err != nil && !socket {
		return // reported
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		l.fail("manager.node_url", "is missing; http.listen = %q does not tell by what address the manager reaches this node", c.HTTP.Listen)
	}
}

// checkBaseURL checks the URL of a server: paths are put after it.
func (l *loader) checkBaseURL(at, text string) {
	if !IsBaseURL(text) {
		// Not shown: it may hold a password.
		l.fail(at, `is no URL of a server; write "http://host:port" or "https://host", without a user or a query`)
	}
}

// IsBaseURL reports whether text is the URL of a server, after which paths can be
// put: neither a query nor a fragment, not even an empty one, may take those in.
func IsBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && !strings.ContainsAny(text, "?#")
}

// checkAlias checks the name of a node.
func (l *loader) checkAlias(at, alias string) {
	if !IsAlias(alias) {
		l.fail(at, `%q is no name of a node; use up to %d letters, digits, "-", "_" and ".", not "." first`, alias, maxAliasLen)
	}
}

// maxAliasLen leaves room for paths behind it.
const maxAliasLen = 64

// IsAlias reports whether alias can name a node with a manager, in whose URLs and
// catalogue it is an element of paths.
func IsAlias(alias string) bool {
	return alias != "" && alias[0] != '.' && len(alias) <= maxAliasLen && !strings.ContainsFunc(alias, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
}
