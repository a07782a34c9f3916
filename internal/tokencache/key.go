// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"crypto/rand"
	"unsafe"

	"github.com/minio/highwayhash"
)

// Key identifies a token as one verifier sees it. The token cannot be derived
// from it.
type Key [highwayhash.Size128]byte

// Hasher makes keys of tokens. It is a secret of this process that each verifier
// draws for itself: a token verified by one can never be found by another, and
// no client can choose tokens that collide. A verifier with old settings that
// come back is a new one, which finds nothing of what was kept before: in the
// meantime that could not be forgotten by its key.
type Hasher [highwayhash.Size]byte

// NewHasher draws a secret.
func NewHasher() (h Hasher) {
	rand.Read(h[:]) // never fails, see its documentation
	return h
}

// Key returns the key of a token. HighwayHash is made for keys that an attacker
// must not be able to predict, and takes a fifth of the time of SHA-256 on
// machines without instructions for the latter.
func (h *Hasher) Key(raw string) Key {
	// The bytes of the string are only read.
	return highwayhash.Sum128(unsafe.Slice(unsafe.StringData(raw), len(raw)), h[:])
}
