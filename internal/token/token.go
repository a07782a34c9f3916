// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unique"
)

// Token is an access token that its authorization server vouched for, by its
// signature or in answer to an introspection. It is shared between all
// requests that carry it and must not be changed. The token itself, as it
// was sent, is not kept.
type Token struct {
	// Provider is the name of the provider that verified the token.
	Provider string

	// Issuer is the provider's issuer, which the token names or which
	// answered for it.
	Issuer string

	// Subject is the `sub` claim, empty if there is none.
	Subject string

	// ClientID is the client that the token was issued to, from the first claim
	// that the provider has for it; empty if none of them is present.
	ClientID string

	// Scopes are what the token grants, scopes and the values of other claims
	// that the provider counts as grants, in the order of the token. Tokens with
	// the same ones share the list, as a rule.
	Scopes []string

	// ExpiresAt is the `exp` claim; zero if the authorization server set no
	// end, which only introspection allows.
	ExpiresAt time.Time

	// JWT says that the token itself is a signed JWT, though it may have been
	// introspected. To an upstream any other token is meaningless.
	JWT bool

	// Confirmation is the `cnf` claim; nil for a plain bearer token. A token
	// that has one is worth nothing without proof of possession, which must be
	// checked with each request.
	Confirmation *Confirmation

	// Consumer is the username or id of the consumer that the token's client
	// belongs to, if its server is one of this process and says so; "" if the
	// client id decides.
	Consumer string

	// Credential is what upstreams know the client by, in X-Credential-Identifier, if
	// its server has a profile that says so; "" if not.
	Credential string

	// Origin is set by a server of this process, to recognise the token by.
	Origin any

	// ClaimsJSON are the verified claims, or the introspection answer, as a
	// JSON object.
	ClaimsJSON string

	// SharedName identifies the token among the gateways that share a cache,
	// for revocations; zero if none is shared. The token cannot be derived from
	// it.
	SharedName [16]byte

	scopeSet *ScopeSet // of Scopes
	values   atomic.Pointer[[]handlerValue]
}

// Confirmation names the key that a token is bound to (RFC 7800). With no
// member set the token is bound in a way that this gateway cannot check, and
// no proof will do.
type Confirmation struct {
	// JKT is the SHA-256 thumbprint of a DPoP key (RFC 9449, section 6.1).
	JKT string

	// X5T is the SHA-256 thumbprint of a client certificate (RFC 8705,
	// section 3.1).
	X5T string
}

// Claims parses the token's claims at each call, so that callers may change
// what they get. Numbers are json.Number.
func (t *Token) Claims() (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(t.ClaimsJSON))
	decoder.UseNumber()
	var claims map[string]any
	if err := decoder.Decode(&claims); err != nil {
		return nil, fmt.Errorf("claims of a verified token: %w", err)
	}
	return claims, nil
}

// Expired reports whether the token has expired, without leeway: RFC 7519,
// section 4.1.4, allows some, but a token that is accepted after its end
// outlives its revocation.
func (t *Token) Expired(now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// Compact gives the token its own memory, before it is kept. What it was parsed
// from is larger and would stay for as long as the token does. Clients and lists
// of scopes are few and tokens are many, so those are shared. ClaimsJSON must be
// a string of its own.
func (t *Token) Compact() {
	t.ClientID = unique.Make(t.ClientID).Value()
	t.Scopes, t.scopeSet = scopeSets.intern(t.Scopes)
	t.Subject = substringOf(t.ClaimsJSON, t.Subject)
}

// substringOf returns a text as a part of the document that it comes from, which
// is kept anyway, or a copy if it is not written there as it is.
func substringOf(document, text string) string {
	at := strings.Index(document, text)
	if at < 0 {
		return strings.Clone(text)
	}
	return document[at : at+len(text)]
}
