package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/live777/recorder/internal/base/fault"
)

// The lengths of passwords, in bytes. NIST SP 800-63B 5.1.1.2 has the least; the
// most bounds what a stranger can have us hash.
const (
	minPassword = 8
	maxPassword = 1024
)

// argon2Params are the cost of a hash (RFC 9106 3.1): KiB, passes, lanes.
type argon2Params struct {
	memory, passes uint32
	lanes          uint8
}

// What new hashes cost: the OWASP Password Storage Cheat Sheet's first choice
// for Argon2id.
var newHashes = argon2Params{memory: 19 << 10, passes: 2, lanes: 1}

// What hashes of a configuration may cost: enough to be worth something, and not
// so much that a few logins stop the node.
const (
	minMemory, maxMemory = 7 << 10, 256 << 10 // KiB
	maxPasses, maxLanes  = 20, 16
	minBcrypt, maxBcrypt = 10, 15
	saltLen, keyLen      = 16, 32
	minSalt, minKey      = 8, 16
	maxSalt, maxKey      = 64, 64
)

// phcEncoding is that of the PHC string format: base64 without padding.
var phcEncoding = base64.RawStdEncoding.Strict()

// HashPassword returns the Argon2id hash of password as a PHC string, for
// auth.users.password_hash. The error is a fault.Invalid for one that is too
// short or too long.
func HashPassword(password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", fault.Errorf(fault.Invalid, "the password has %d bytes; use %d to %d", len(password), minPassword, maxPassword)
	}
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	p := newHashes
	key := argon2.IDKey([]byte(password), salt, p.passes, p.memory, p.lanes, keyLen)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.lanes,
		phcEncoding.EncodeToString(salt), phcEncoding.EncodeToString(key)), nil
}

// CheckHash returns a fault.Invalid unless hash is one of HashPassword, or
// another Argon2id or bcrypt hash of reasonable cost. The error does not show it.
func CheckHash(hash string) error {
	_, err := parseHash(hash)
	return err
}

// passwordHash compares a password with a hash.
type passwordHash interface {
	matches(password []byte) bool
}

func parseHash(hash string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(hash, "$argon2id$"):
		return parseArgon2(hash)
	case strings.HasPrefix(hash, "$2a$"), strings.HasPrefix(hash, "$2b$"), strings.HasPrefix(hash, "$2y$"):
		return parseBcrypt(hash)
	}
	return nil, fault.New(fault.Invalid, "is no Argon2id or bcrypt hash; live777 hash-password makes one")
}

type argon2Hash struct {
	argon2Params
	salt, key []byte
}

func (h *argon2Hash) matches(password []byte) bool {
	key := argon2.IDKey(password, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key))) //nolint:gosec // at most maxKey
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// parseArgon2 reads $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY.
func parseArgon2(hash string) (*argon2Hash, error) {
	damaged := fault.New(fault.Invalid, "is no whole Argon2id hash; live777 hash-password makes one")
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || strings.ContainsAny(hash, "\r\n") /* which base64 skips */ || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, damaged
	}
	h := new(argon2Hash)
	for i, param := range strings.Split(parts[3], ",") {
		name, text, _ := strings.Cut(param, "=")
		n, err := strconv.ParseUint(text, 10, 24)
		if i > 2 || name != []string{"m", "t", "p"}[i] || err != nil {
			return nil, damaged
		}
		switch name {
		case "m":
			h.memory = uint32(n)
		case "t":
			h.passes = uint32(n)
		default:
			h.lanes = uint8(min(n, maxLanes+1))
		}
	}
	var err, err2 error
	h.salt, err = phcEncoding.DecodeString(parts[4])
	h.key, err2 = phcEncoding.DecodeString(parts[5])
	if errors.Join(err, err2) != nil || len(h.salt) < minSalt || len(h.salt) > maxSalt || len(h.key) < minKey || len(h.key) > maxKey {
		return nil, damaged
	}
	if h.memory < minMemory || h.memory > maxMemory || h.passes < 1 || h.passes > maxPasses || h.lanes < 1 || h.lanes > maxLanes {
		return nil, fault.Errorf(fault.Invalid, "has costs that are not accepted; use m=%d to %d, t=1 to %d, p=1 to %d",
			minMemory, maxMemory, maxPasses, maxLanes)
	}
	return h, nil
}

type bcryptHash []byte

func (h bcryptHash) matches(password []byte) bool {
	// bcrypt looks at 72 bytes; what made the hash refused more, and so do we.
	return bcrypt.CompareHashAndPassword(h, password) == nil && len(password) <= 72
}

func parseBcrypt(hash string) (bcryptHash, error) {
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil || len(hash) != 60 {
		return nil, fault.New(fault.Invalid, "is no whole bcrypt hash; live777 hash-password makes an Argon2id one")
	}
	if cost < minBcrypt || cost > maxBcrypt {
		return nil, fault.Errorf(fault.Invalid, "is a bcrypt hash of cost %d; use %d to %d", cost, minBcrypt, maxBcrypt)
	}
	// PHP's 2y is 2b by another name, which the library does not know.
	return bcryptHash(bytes.Replace([]byte(hash), []byte("$2y$"), []byte("$2b$"), 1)), nil
}
