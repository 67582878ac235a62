package auth

import (
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/live777/recorder/internal/base/fault"
)

const password = "correct horse"

// cheapHash is an Argon2id hash of the least cost that is accepted.
func cheapHash(password string) string {
	salt := []byte("0123456789abcdef")
	key := argon2.IDKey([]byte(password), salt, 1, minMemory, 1, keyLen)
	return "$argon2id$v=19$m=7168,t=1,p=1$" + phcEncoding.EncodeToString(salt) + "$" + phcEncoding.EncodeToString(key)
}

func TestHashPassword(t *testing.T) {
	hash, err := HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %s", hash)
	}
	h, err := parseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	if !h.matches([]byte(password)) {
		t.Error("the password does not match its hash")
	}
	for _, wrong := range []string{"", "correct", "Correct horse", password + " ", password + "\x00"} {
		if h.matches([]byte(wrong)) {
			t.Errorf("%q matches", wrong)
		}
	}
	again, err := HashPassword(password)
	if err != nil || again == hash {
		t.Errorf("the same salt twice: %v", err)
	}
	for _, bad := range []string{"", "1234567", strings.Repeat("x", maxPassword+1)} {
		_, err := HashPassword(bad)
		check(t, err, fault.Invalid)
	}
}

// What other programs make: other costs, and bcrypt as OpenBSD and PHP call it.
func TestForeignHashes(t *testing.T) {
	h, err := parseHash(cheapHash(password))
	if err != nil || !h.matches([]byte(password)) || h.matches([]byte(password+"x")) {
		t.Errorf("an Argon2id hash of other costs: %v", err)
	}
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		rest := "10$" + strings.Repeat("a", 53)
		want := strings.Replace(prefix, "y", "b", 1) + rest // the library's name of it
		if h, err := parseHash(prefix + rest); err != nil || string(h.(bcryptHash)) != want {
			t.Errorf("%s: %v, %v", prefix, h, err)
		}
	}
	long := strings.Repeat("x", 72)
	for _, p := range []string{password, long} {
		b, err := bcrypt.GenerateFromPassword([]byte(p), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if h := bcryptHash(b); !h.matches([]byte(p)) || h.matches([]byte(p+"y")) || h.matches([]byte("y"+p)) {
			t.Errorf("bcrypt: %q is compared wrongly", p)
		}
	}
}

func TestCheckHash(t *testing.T) {
	good := cheapHash(password)
	replace := func(old, replacement string) string { return strings.Replace(good, old, replacement, 1) }
	salt, key := strings.Split(good, "$")[4], strings.Split(good, "$")[5]
	bad := map[string]string{
		"empty": "", "plain": password, "argon2i": replace("argon2id", "argon2i"), "argon2d": replace("argon2id", "argon2d"),
		"version": replace("v=19", "v=16"), "no version": replace("v=19$", ""), "order": replace("m=7168,t=1", "t=1,m=7168"),
		"little memory": replace("m=7168", "m=7167"), "much memory": replace("m=7168", "m=262145"), "no passes": replace("t=1", "t=0"),
		"many passes": replace("t=1", "t=21"), "no lanes": replace("p=1", "p=0"), "257 lanes": replace("p=1", "p=257"), "overflow": replace("m=7168", "m=4294974464"),
		"no number": replace("m=7168", "m=x"), "negative": replace("t=1", "t=-1"), "a parameter more": replace("p=1", "p=1,x=1"), "a parameter less": replace(",p=1", ""),
		"no salt": replace(salt, ""), "short salt": replace(salt, "AAAA"), "long salt": replace(salt, strings.Repeat("AAAA", 40)),
		"no key": replace(key, ""), "short key": replace(key, "AAAAAAAA"), "long key": replace(key, strings.Repeat("AAAA", 40)),
		"padding": good + "=", "a line feed": good[:len(good)-1] + "\n" + good[len(good)-1:], "a part more": good + "$", "cut": good[:40],
		"bcrypt, cut": "$2b$10$abc", "bcrypt, cheap": "$2a$04$" + strings.Repeat("a", 53), "bcrypt, dear": "$2a$31$" + strings.Repeat("a", 53),
		"bcrypt, no cost": "$2a$xx$" + strings.Repeat("a", 53), "bcrypt, old": "$2$10$" + strings.Repeat("a", 54), "sha512": "$6$salt$hash",
	}
	for name, hash := range bad {
		t.Run(name, func(t *testing.T) {
			err := CheckHash(hash)
			check(t, err, fault.Invalid)
			if err != nil && len(hash) > 8 && strings.Contains(err.Error(), hash) {
				t.Errorf("the hash is in the error: %v", err)
			}
		})
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(cheapHash(password))
	f.Add("$2b$10$" + strings.Repeat("a", 53))
	f.Add("$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, hash string) {
		h, err := parseHash(hash)
		if a, ok := h.(*argon2Hash); err == nil && ok && (a.memory > maxMemory || a.passes > maxPasses || a.lanes > maxLanes || len(a.key) > maxKey) {
			t.Errorf("%q costs too much", hash)
		}
	})
}
