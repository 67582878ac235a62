package auth

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// minKeyMaterial is the shortest static token, in bytes, that keys are made of.
// Somebody who has something that was signed with a key can try out at home what the
// key was made of, and could find what people can remember.
const minKeyMaterial = 16

// keyMaterial returns what all keys are derived from: the secret, or else the static
// tokens that are long enough. Such keys outlive a restart, and are the same on every
// node with the same credentials. Without either it is random, and this process alone
// knows it.
func keyMaterial(o Options) []byte {
	if o.Secret != "" {
		return []byte(o.Secret)
	}
	var material []byte
	for _, t := range o.Tokens {
		if len(t) >= minKeyMaterial {
			// The length keeps ("ab","c") and ("a","bc") apart.
			material = binary.BigEndian.AppendUint32(material, uint32(len(t))) //nolint:gosec // a header holds it
			material = append(material, t...)
		}
	}
	if material == nil {
		material = make([]byte, sha256.Size)
		_, _ = rand.Read(material) // never fails (crypto/rand)
	}
	return material
}

// sessionMaterial returns what the keys of sessions are derived from: material, and a
// value that only this process knows, because sessions end with the process.
func sessionMaterial(material []byte) []byte {
	salt := make([]byte, sha256.Size)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return slices.Concat(salt, material)
}

// deriveKey returns the key for a purpose (HKDF, RFC 5869). Keys of different purposes
// tell nothing about each other or about the material.
func deriveKey(material []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, material, nil, "live777 "+purpose, sha256.Size)
	if err != nil {
		panic("auth: " + err.Error()) // a key that is too long: a defect; every test would see it
	}
	return key
}
