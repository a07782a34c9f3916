// SPDX-License-Identifier: Apache-2.0

package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// reference is what a session cookie holds: which session it is, and the half
// of the key to it that only the browser has.
type reference struct {
	id     [idSize]byte
	secret [secretSize]byte
}

const (
	idSize     = 16
	secretSize = 32

	// cookieVersion is the first character of a cookie. Another one is another
	// format.
	cookieVersion = "1"
)

// encodedSize is the length of id and secret in base64, and cookieLength that of
// a cookie. All have the same one.
const (
	encodedSize  = (idSize + secretSize) * 4 / 3
	cookieLength = len(cookieVersion) + encodedSize
)

var cookieEncoding = base64.RawURLEncoding.Strict()

// newReference draws the reference of a new session.
func newReference() (ref reference) {
	rand.Read(ref.id[:]) // never fails, see crypto/rand
	rand.Read(ref.secret[:])
	return ref
}

// parseCookie reads a cookie. What is none costs no more than this.
func parseCookie(cookie string) (ref reference, ok bool) {
	text, versioned := strings.CutPrefix(cookie, cookieVersion)
	if !versioned || len(cookie) != cookieLength {
		return ref, false
	}
	var encoded, raw [encodedSize]byte // on the stack: each request comes by here
	copy(encoded[:], text)
	n, err := cookieEncoding.Decode(raw[:], encoded[:len(text)])
	if err != nil || n != idSize+secretSize {
		return ref, false
	}
	copy(ref.id[:], raw[:])
	copy(ref.secret[:], raw[idSize:n])
	return ref, true
}

func (r reference) cookie() string {
	return cookieVersion + cookieEncoding.EncodeToString(append(r.id[:], r.secret[:]...))
}

// tag names the session in logs. It is a hash, so that no one who reads logs
// knows an id.
func (r reference) tag() string {
	sum := sha256.Sum256(append([]byte("session tag\x00"), r.id[:]...))
	return hex.EncodeToString(sum[:8])
}
