// SPDX-License-Identifier: Apache-2.0

// Package seal keeps data secret and unforged in a place that others can read
// and write: a shared Redis, a database, a cookie.
//
// A [Sealer] is made from one or more secrets. It does two things:
//
//   - [Sealer.Seal] encrypts with XChaCha20-Poly1305, whose nonces are long
//     enough for any number of gateways to draw them at random. The sealed text
//     is bound to a purpose and to any number of further parts: it opens only
//     with the same ones, so a value that was copied to another place, or to
//     another time, does not open there.
//   - [Sealer.MAC] names things: the same parts have the same name on every
//     gateway with the secret. Without the secret the name cannot be computed,
//     so what it names cannot be found by trying.
//
// Secrets are replaced without losing what is sealed: the first secret seals
// and names, all of them open, and [Sealer.MACs] returns the names of old too.
//
// Which secret sealed a text is found by trying. That is safe for secrets of
// [MinSecret] random bytes, which this package insists on, and it is not for
// passwords: XChaCha20-Poly1305 does not commit to its key, so a forged text
// could open with several guessed passwords at once (Len, Grubbs, Ristenpart:
// Partitioning Oracle Attacks, 2021). Do not derive a secret from a password.
//
// What this package does not do: it knows no time. A caller whose values end
// binds the end to the value or puts it inside.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// MinSecret is the length in bytes that a secret must have.
	MinSecret = 32

	// Overhead is by how many bytes a sealed text is longer than the text.
	Overhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// MACSize is the length in bytes of a name.
const MACSize = sha256.Size

var (
	// ErrOpen says that a text was not sealed with one of the secrets for this
	// purpose and these parts, or was changed since.
	ErrOpen = errors.New("not sealed with this secret for this place")

	// ErrShortSecret says that a secret is too short to withstand guessing.
	ErrShortSecret = fmt.Errorf("a secret needs %d bytes or more", MinSecret)
)

// Sealer seals, opens and names. It is safe for concurrent use.
type Sealer struct {
	keys []key // never empty
}

// key is what is derived from one secret.
type key struct {
	box  cipher.AEAD
	name []byte // key of the HMAC
}

// New makes a Sealer. The label separates uses: Sealers with different labels
// have unrelated keys, even from the same secret. The first secret seals and
// names; the others, if any, only open what was sealed before they were
// replaced.
func New(label string, secrets ...string) (*Sealer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("a secret is needed")
	}
	s := new(Sealer)
	for i, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("secret %d has %d bytes: %w", i+1, len(secret), ErrShortSecret)
		}
		k, err := deriveKey(label, secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

// deriveKey derives both keys of a secret by HKDF (RFC 5869).
func deriveKey(label, secret string) (key, error) {
	name, err := hkdf.Key(sha256.New, []byte(secret), nil, label+": index v1", MACSize)
	if err != nil {
		return key{}, err
	}
	boxKey, err := hkdf.Key(sha256.New, []byte(secret), nil, label+": seal v1", chacha20poly1305.KeySize)
	if err != nil {
		return key{}, err
	}
	box, err := chacha20poly1305.NewX(boxKey)
	return key{box: box, name: name}, err
}

// Seal returns the text encrypted and bound to a purpose and further parts.
// Sealing the same text twice gives different results.
func (s *Sealer) Seal(text []byte, purpose string, bound ...[]byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, len(text)+Overhead)
	rand.Read(nonce) // never fails, see its documentation
	return s.keys[0].box.Seal(nonce, nonce, text, Join(purpose, bound...))
}

// Open returns the text that was sealed for this purpose and these parts, or
// ErrOpen. It does not change what it is given.
func (s *Sealer) Open(sealed []byte, purpose string, bound ...[]byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	nonce, box := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	joined := Join(purpose, bound...)
	for _, k := range s.keys {
		if text, err := k.box.Open(nil, nonce, box, joined); err == nil {
			return text, nil
		}
	}
	return nil, ErrOpen
}

// MAC returns the name of some parts for a purpose, by the first secret.
func (s *Sealer) MAC(purpose string, parts ...[]byte) [MACSize]byte {
	return s.keys[0].mac(Join(purpose, parts...))
}

// MACs returns the names of some parts by each secret, that of MAC first. What
// was named before a secret was replaced is found under one of the others.
func (s *Sealer) MACs(purpose string, parts ...[]byte) [][MACSize]byte {
	joined := Join(purpose, parts...)
	names := make([][MACSize]byte, len(s.keys))
	for i, k := range s.keys {
		names[i] = k.mac(joined)
	}
	return names
}

func (k key) mac(joined []byte) (name [MACSize]byte) {
	mac := hmac.New(sha256.New, k.name)
	mac.Write(joined)
	mac.Sum(name[:0])
	return name
}

// Join writes a purpose and parts, each with its length before it, so that no
// two different lists of parts look alike: ("ab", "c") and ("a", "bc") differ.
func Join(purpose string, parts ...[]byte) []byte {
	size := 8 + len(purpose)
	for _, part := range parts {
		size += 8 + len(part)
	}
	joined := binary.BigEndian.AppendUint64(make([]byte, 0, size), uint64(len(purpose)))
	joined = append(joined, purpose...)
	for _, part := range parts {
		joined = binary.BigEndian.AppendUint64(joined, uint64(len(part)))
		joined = append(joined, part...)
	}
	return joined
}
