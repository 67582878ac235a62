package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// Account is somebody who logs in by name and password.
type Account struct {
	Name         string
	PasswordHash string // see CheckHash
	Rights       []Right
	Streams      []string // patterns of path.Match
}

// The errors of Login.
var (
	ErrNoAccounts = fault.New(fault.Unsupported, "there are no accounts here; configure [[auth.users]], or send a token").Coded("no_accounts")
	// ErrLogin says the same of a name that does not exist and of a wrong password.
	ErrLogin = fault.New(fault.Unauthenticated, "there is no such name with this password").Coded("login_wrong")
	ErrBusy  = fault.New(fault.Unavailable, "too many people log in at the moment; try again in a few seconds").Coded("login_busy")
)

// tooMany is the error of who has failed too often.
func tooMany(wait time.Duration) error {
	return fault.Waitf(fault.TooMany, wait, "too many attempts failed; wait %d seconds and try again").Coded("login_wait")
}

// These bound guessing. Nobody can lock an owner out from elsewhere, because a name is
// counted together with the address that tries it. Others may share the owner's
// address, so these waits are short. An address that tries many names waits longer, but
// not for a name that has logged in from there.
const (
	freeByName, longestByName       = 5, 15 * time.Second
	freeByAddress, longestByAddress = 20, 5 * time.Minute
	// maxKnown bounds the names and addresses that have logged in.
	maxKnown = 10_000
)

// account is an Account that was read.
type account struct {
	Account
	hash passwordHash
	key  []byte // of its sessions: another for another password
}

// accounts are all there are, and who tries to get in.
type accounts struct {
	byName    map[string]*account
	list      []*account
	decoyKey  []byte
	byAddress *throttle
	byNames   *throttle // names, each with an address
	known     *recent   // names with the addresses that they have logged in from
	turns     *turns    // to hash
}

// newAccounts leaves out accounts whose hash CheckHash refuses: nobody has their
// password.
func newAccounts(list []Account, material []byte, now func() time.Time) *accounts {
	as := &accounts{
		byName:    make(map[string]*account),
		decoyKey:  deriveKey(material, "decoy account"),
		byAddress: newThrottle(freeByAddress, longestByAddress, now),
		byNames:   newThrottle(freeByName, longestByName, now),
		known:     newRecent(maxKnown),
		turns:     newTurns(maxQueued),
	}
	for _, a := range list {
		hash, err := parseHash(a.PasswordHash)
		if err != nil {
			continue
		}
		read := &account{Account: a, hash: hash, key: deriveKey(material, "session v1\x00"+a.Name+"\x00"+a.PasswordHash)}
		as.list = append(as.list, read)
		as.byName[a.Name] = read
	}
	return as
}

// check returns the account with this name and password. address is the
// http.Request.RemoteAddr of who tries.
func (as *accounts) check(ctx context.Context, name, password, address string) (*account, error) {
	if len(as.list) == 0 {
		return nil, ErrNoAccounts
	}
	source := sourceOf(address)
	pair := nameKey(name, source)
	counts := source != "" && !as.known.has(pair)
	if counts {
		if wait, ok := as.byAddress.begin(source); !ok {
			return nil, tooMany(wait)
		}
	}
	giveBack := func() {
		if counts {
			as.byAddress.giveBack(source, false)
		}
	}
	if wait, ok := as.byNames.begin(pair); !ok {
		giveBack() // nothing was tried
		return nil, tooMany(wait)
	}
	found, known := as.byName[name]
	if !known {
		// A name that does not exist takes the time of one that does: always the
		// same one, or its times would be a mixture that no real name has.
		found = as.list[as.decoy(name)]
	}
	matches, err := as.compare(ctx, source, found.hash, password)
	if err == nil && (!matches || !known) {
		return nil, ErrLogin
	}
	// An address keeps its failures, or an own account would buy attempts at
	// others. Where nothing was compared, nothing failed.
	giveBack()
	as.byNames.giveBack(pair, err == nil)
	if err != nil {
		return nil, err
	}
	as.known.add(pair)
	return found, nil
}

// compare takes its turn, among those of its source, to hash password.
func (as *accounts) compare(ctx context.Context, source string, hash passwordHash, password string) (bool, error) {
	done, err := as.turns.take(ctx, source)
	if err != nil {
		return false, err
	}
	defer done()
	if len(password) > maxPassword {
		password = password[:maxPassword+1] // which no hash was made of; long ones are to take no longer
	}
	return hash.matches([]byte(password)), nil
}

// decoy returns the place of the account in whose stead name is checked.
func (as *accounts) decoy(name string) int {
	mac := hmac.New(sha256.New, as.decoyKey)
	mac.Write([]byte(name))
	return int(binary.BigEndian.Uint32(mac.Sum(nil)) % uint32(len(as.list))) //nolint:gosec // a configuration is smaller
}

// nameKey stands for a name that is tried from a source, and bounds the memory that it
// takes.
func nameKey(name, source string) string {
	sum := sha256.Sum256([]byte(source + "\x00" + name))
	return string(sum[:])
}

// sourceOf returns whom an address stands for: an IPv6 host has all of its /64.
// It is "" for this machine: that is a reverse proxy, and so anybody.
func sourceOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if host == "" || host == "@" { // a Unix socket has no address
		return ""
	}
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.IsLoopback() {
		return ""
	}
	if ip.Is6() {
		prefix, _ := ip.Prefix(64) // 64 bits are there
		return prefix.String()
	}
	return ip.String()
}
