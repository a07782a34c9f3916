// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ErrEncrypted says that a token is a JWE (RFC 7516). Nothing here decrypts:
// what is inside such a token need not be signed by anyone.
var ErrEncrypted = errors.New("an encrypted token (JWE)")

var (
	errTooLarge   = errors.New("token too large")
	errNotCompact = errors.New("not a JWS in compact serialisation")
	errSignature  = errors.New("signature does not verify")
)

// maxHeader bounds the protected header, as sent. A header with a public RSA
// key of 4096 bits, as in a DPoP proof, takes a fifth of it.
const maxHeader = 8 << 10

// Signed is a JWS taken apart. Nothing in it has been verified.
type Signed struct {
	Header  Header
	Payload []byte

	signingInput []byte
	signature    []byte
}

// Header is the protected header of a JWS (RFC 7515 section 4): the members
// that every reader needs, and all of them as an [Object].
type Header struct {
	Object

	// Algorithm is the "alg" member in its canonical form, see [Algorithm]:
	// "EdDSA" also where the token says "Ed25519" (RFC 9864).
	Algorithm string
	KeyID     string // "kid", "" if there is none
	Type      string // "typ", "" if there is none, as spelled
}

// Parse takes a JWS in compact serialisation (RFC 7515 section 7.1) apart. It
// verifies nothing. What is longer than limit bytes is refused before it is
// looked at; memory and time are in proportion to the length otherwise.
func Parse(raw string, limit int) (*Signed, error) {
	if len(raw) > limit {
		return nil, errTooLarge
	}
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, three := strings.Cut(rest, ".")
	if !three || header == "" || payload == "" || signature == "" {
		// An empty signature is the unsecured JWS of section 6 of RFC 7518,
		// whatever its header says.
		return nil, errNotCompact
	}
	switch strings.Count(signature, ".") {
	case 0:
	case 2:
		return nil, ErrEncrypted
	default:
		return nil, errNotCompact
	}
	if len(header) > maxHeader {
		return nil, errTooLarge
	}

	s := &Signed{signingInput: []byte(raw[:len(header)+1+len(payload)])}
	headerJSON, err := decode(header)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if s.Payload, err = decode(payload); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if s.signature, err = decode(signature); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	if s.Header, err = parseHeader(headerJSON); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return s, nil
}

func parseHeader(data []byte) (h Header, err error) {
	if h.Object, err = ParseObject(data); err != nil {
		return Header{}, err
	}
	if h.Algorithm, err = h.Text("alg"); err != nil {
		return Header{}, err
	}
	if h.KeyID, err = h.Text("kid"); err != nil {
		return Header{}, err
	}
	if h.Type, err = h.Text("typ"); err != nil {
		return Header{}, err
	}
	if canonical, ok := Algorithm(h.Algorithm); ok {
		h.Algorithm = canonical
	}
	return h, nil
}

var base64url = base64.RawURLEncoding.Strict()

// decode decodes base64url without padding (RFC 7515 section 2). Go's decoder
// skips line breaks and, unless strict, ignores stray bits at the end; a token
// would then have many spellings, and a cache or a revocation list knows one.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64url")
	}
	b, err := base64url.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return b, nil
}

// Verify checks the signature with this key under this algorithm, which the
// caller has chosen among those that it accepts; that the token's header names
// the same one is checked again here, since everything hangs on it.
func (s *Signed) Verify(key Key, alg string) error {
	if s.Header.Algorithm != alg {
		return fmt.Errorf("token signed with another algorithm than %s", alg)
	}
	if !key.Fits(alg) {
		return fmt.Errorf("key cannot be used with %s", alg)
	}
	return key.verify(s.signingInput, s.signature, alg)
}
