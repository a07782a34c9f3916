// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"
)

const (
	// TokenBytes is the randomness of a token: guessing one is as hard as
	// guessing a key (RFC 6819 section 5.1.4.2.2 asks for 16).
	TokenBytes = 32

	// MaxToken is the longest token that is looked at.
	MaxToken = 16 << 10
)

// TokenID is the SHA-256 under which a token, a code or a challenge is stored: what
// a reader of the store finds is of no use at any endpoint.
type TokenID [sha256.Size]byte

// String is the identifier in the admin API.
func (id TokenID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseTokenID reads what String has written.
func ParseTokenID(text string) (id TokenID, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return TokenID(b), true
}

// NewTokenID hashes a purpose, an issuer and a text, each with its length before it.
// The issuer is part of it, so servers that share a store never take each other's
// tokens for their own.
func NewTokenID(purpose, issuer, text string) (id TokenID) {
	hash := sha256.New()
	for _, part := range []string{purpose, issuer, text} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write([]byte(part))
	}
	hash.Sum(id[:0])
	return id
}

// OpaqueTokenID is the ID of an opaque access token.
func OpaqueTokenID(issuer, text string) TokenID { return NewTokenID("access_token", issuer, text) }

// JWTTokenID is the ID of a JWT access token with this jti.
func JWTTokenID(issuer, jti string) TokenID { return NewTokenID("jti", issuer, jti) }

func refreshTokenID(issuer, text string) TokenID { return NewTokenID("refresh_token", issuer, text) }
func codeID(issuer, text string) TokenID         { return NewTokenID("code", issuer, text) }

// RandomText returns n random bytes in base64url.
func RandomText(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, see its documentation
	return base64.RawURLEncoding.EncodeToString(b)
}

// AccessToken is what is known of an access token.
type AccessToken struct {
	ID       TokenID
	Issuer   string
	Service  string // where it is good, see Grant.Service
	ClientID string
	Subject  string // the client itself if no person is involved
	Scopes   []string

	// Resources are what the token may be used for (RFC 8707); none: the issuer.
	Resources []string

	// GrantID names the grant that the token came from; "" if no person is
	// involved.
	GrantID string

	IssuedAt  time.Time // to the second
	ExpiresAt time.Time // to the second; zero: never

	// JWT says that the text is a signed token, which proves by its signature
	// that it was issued. Only its revocation is stored.
	JWT     bool
	Revoked bool

	// Claims are further ones, from the login application.
	Claims map[string]json.RawMessage

	// Grant is what FindToken and CheckJWT have read with the token; nil without one.
	Grant *Grant

	// Consumer is that of its client, where that was read with it.
	Consumer string

	version uint64 // of the stored record
}

// tokenRecord is an AccessToken as it is stored.
type tokenRecord struct {
	Issuer    string                     `json:"issuer"`
	Service   string                     `json:"service,omitempty"`
	ClientID  string                     `json:"client_id"`
	Subject   string                     `json:"sub,omitempty"`
	Scopes    []string                   `json:"scopes,omitempty"`
	Resources []string                   `json:"resources,omitempty"`
	GrantID   string                     `json:"grant,omitempty"`
	IssuedAt  int64                      `json:"iat"`
	ExpiresAt int64                      `json:"exp"`
	Revoked   bool                       `json:"revoked,omitempty"`
	Claims    map[string]json.RawMessage `json:"claims,omitempty"`
}

func recordOf(t *AccessToken) tokenRecord {
	r := tokenRecord{
		Issuer: t.Issuer, Service: t.Service, ClientID: t.ClientID, Subject: t.Subject, Scopes: t.Scopes,
		Resources: t.Resources, GrantID: t.GrantID, IssuedAt: t.IssuedAt.Unix(), Revoked: t.Revoked, Claims: t.Claims,
	}
	if !t.ExpiresAt.IsZero() {
		r.ExpiresAt = t.ExpiresAt.Unix()
	}
	return r
}

func (r tokenRecord) token(id TokenID) *AccessToken {
	t := &AccessToken{
		ID: id, Issuer: r.Issuer, Service: r.Service, ClientID: r.ClientID, Subject: r.Subject, Scopes: r.Scopes,
		Resources: r.Resources, GrantID: r.GrantID, IssuedAt: time.Unix(r.IssuedAt, 0), Revoked: r.Revoked, Claims: r.Claims,
	}
	if r.ExpiresAt != 0 {
		t.ExpiresAt = time.Unix(r.ExpiresAt, 0)
	}
	return t
}

// Audience is the `aud` of the token.
func (t *AccessToken) Audience() []string {
	if len(t.Resources) == 0 {
		return []string{t.Issuer}
	}
	return slices.Clone(t.Resources)
}

// ExpiresIn is the lifetime in seconds that is left at a time; 0: it never expires.
func (t *AccessToken) ExpiresIn(now time.Time) int64 {
	if t.ExpiresAt.IsZero() {
		return 0
	}
	return max(1, int64(t.ExpiresAt.Sub(now).Round(time.Second)/time.Second))
}

// IsExpired reports whether the token is over at a time.
func (t *AccessToken) IsExpired(now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}
