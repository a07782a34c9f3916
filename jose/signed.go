// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ErrEncrypted says that a token is a JWE (RFC 7516). This package does not decrypt:
// the content of such a token need not be signed.
var ErrEncrypted = errors.New("an encrypted token (JWE)")

var (
	errTooLarge   = errors.New("token too large")
	errNotCompact = errors.New("not a JWS in compact serialization")
	errSignature  = errors.New("signature does not verify")
)

// maxHeader bounds the encoded protected header. The header of a DPoP proof with
// an RSA key of 4096 bits needs a fifth of it.
const maxHeader = 8 << 10

// Signed is a parsed JWS. Nothing in it has been verified.
type Signed struct {
	Header  Header
	Payload []byte

	signingInput []byte
	signature    []byte
}

// Header is the protected header of a JWS (RFC 7515 section 4): the members that
// every caller needs, and all members as an [Object].
type Header struct {
	Object

	// Algorithm is the "alg" member in its canonical form, see [Algorithm]:
	// "EdDSA" also if the token says "Ed25519" (RFC 9864).
	Algorithm string
	Type      string // "typ" as written, "" if there is none

	KeyName
}

// KeyName is how a header names the key that signed the token (RFC 7515, sections
// 4.1.4, 4.1.7 and 4.1.8). All of it may be empty.
type KeyName struct {
	KeyID   string // "kid"
	X5T     string // "x5t", the SHA-1 thumbprint of the key's certificate
	X5TS256 string // "x5t#S256", the SHA-256 one
}

// Parse parses a JWS in compact serialization (RFC 7515 section 7.1). It verifies
// nothing. A token longer than limit bytes is refused at once; otherwise memory
// and time are proportional to the length.
func Parse(raw string, limit int) (*Signed, error) {
	if len(raw) > limit {
		return nil, errTooLarge
	}
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, three := strings.Cut(rest, ".")
	if !three || header == "" || payload == "" || signature == "" {
		// A JWS with an empty signature is unsecured (RFC 7518 section 6),
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
	if h.X5T, err = h.Text("x5t"); err != nil {
		return Header{}, err
	}
	if h.X5TS256, err = h.Text("x5t#S256"); err != nil {
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
// skips line breaks and, unless strict, ignores stray bits at the end. A token
// would then have many encodings, of which a revocation list knows only one.
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

// Verify checks the signature with this key and this algorithm, which must be one
// that the caller accepts. The header of the token must name the same algorithm;
// Verify checks that again, because security depends on it.
func (s *Signed) Verify(key Key, alg string) error {
	if s.Header.Algorithm != alg {
		return fmt.Errorf("the token is not signed with %q", alg)
	}
	if !key.Fits(alg) {
		return fmt.Errorf("the key cannot be used with %q", alg)
	}
	return key.verify(s.signingInput, s.signature, alg)
}
