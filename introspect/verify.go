// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

// maxToken bounds what is looked at as a token; package identity refuses
// longer ones before they get here.
const maxToken = 16 << 10

// keySet finds the public key that a token was signed with. It stands between
// verifying and fetching, so that each can be tested alone.
type keySet interface {
	// Key returns the key of this key ID that fits the algorithm; for an empty
	// ID, the only key of the set that fits. Its errors are of type *Error:
	// token_invalid if the issuer has no such key, provider_unavailable if
	// that cannot be said.
	Key(ctx context.Context, kid, alg string) (jose.Key, error)
}

// jwtVerifier verifies access tokens that are JWTs of one issuer.
type jwtVerifier struct {
	issuer     string
	algorithms []string // that are accepted, in canonical spelling
	audience   []string // one of which a token must name; empty: any will do
	keys       keySet
	now        func() time.Time
}

// verify returns the token that raw is, if this issuer signed it as an access
// token, for this audience, for now. Any error is an *Error.
//
// Until the signature has been verified nothing in the token is true: it can
// only be refused. That it has expired or is meant for someone else is said
// only of a token that the issuer did sign.
func (v *jwtVerifier) verify(ctx context.Context, raw string) (*Token, error) {
	// The checks that take apart, and cost next to nothing. An encrypted token
	// (five parts) ends here: who encrypted it may be anybody with the public
	// key, and what is inside need not be signed.
	jws, err := jose.Parse(raw, maxToken)
	if err != nil {
		return nil, refuse(TokenInvalid, "not a signed JWT: %w", err)
	}
	if err := v.checkHeader(jws.Header); err != nil {
		return nil, refuse(TokenInvalid, "header: %w", err)
	}
	if err := checkType(jws.Header.Type); err != nil {
		return nil, refuse(TokenInvalid, "header: %w", err)
	}
	claims, err := jose.ParseObject(jws.Payload)
	if err != nil {
		return nil, refuse(TokenInvalid, "claims: %w", err)
	}

	// Issuer. Exactly equal, as strings (RFC 9068 section 4): no prefix, no
	// trailing slash, since two tenants of one server may differ by no more.
	// It goes before the keys so that another issuer's token asks for none.
	if err := v.checkIssuer(claims); err != nil {
		return nil, refuse(TokenInvalid, "%w", err)
	}

	// Signature, with a key that was fetched from the issuer, under the
	// algorithm of the header, which checkHeader has found among the
	// configured ones and which must be that of the key.
	key, err := v.keys.Key(ctx, jws.Header.KeyID, jws.Header.Algorithm)
	if err != nil {
		return nil, asError(err)
	}
	if err := jws.Verify(key, jws.Header.Algorithm); err != nil {
		return nil, refuse(TokenInvalid, "%w", err)
	}

	// From here on the token is the issuer's word. Time: an access token must
	// have an end (RFC 9068 section 2.2), and there is no leeway for it.
	token, err := tokenOf(claims)
	if err != nil {
		return nil, refuse(TokenInvalid, "claims: %w", err)
	}
	now := v.now()
	if token.ExpiresAt.IsZero() {
		return nil, refuse(TokenInvalid, "no exp: a token that never expires is not accepted")
	}
	if token.Expired(now) {
		return nil, refuse(TokenExpired, "expired at %s", token.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if err := checkNotBefore(claims, now); err != nil {
		return nil, refuse(TokenInvalid, "%w", err)
	}

	// Audience, where one is configured (RFC 7519 section 4.1.3): a token for
	// another API of the same issuer is not for us.
	if err := checkAudience(claims, v.audience); err != nil {
		return nil, refuse(TokenInvalid, "%w", err)
	}

	// Kind: an issuer signs other things than access tokens with the same key.
	if err := checkAccessToken(claims); err != nil {
		return nil, refuse(TokenInvalid, "%w", err)
	}

	token.Issuer = v.issuer
	token.JWT = true
	token.ClaimsJSON = jws.Payload
	return token, nil
}

// checkHeader refuses what no token of an honest issuer has in its header, for
// access tokens and signed introspection responses alike.
func (v *jwtVerifier) checkHeader(header jose.Header) error {
	// The algorithm is the configuration's choice and never the token's
	// (RFC 8725 section 3.1). "none" and the HMACs are in no configuration.
	if !slices.Contains(v.algorithms, header.Algorithm) {
		return fmt.Errorf("algorithm %.20q is not accepted", header.Algorithm)
	}
	return checkMembers(header, notInToken)
}

// notInToken are header members that no token may have.
//
// The first four bring or point to a key. The issuer's keys are known; a token
// that suggests another one is an attempt to have it accepted, or its address
// called (RFC 8725 section 3.10). The others change how the token is to be
// read: no extension is understood here, so a "crit" cannot be complied with,
// whatever it lists (RFC 7515 section 4.1.11), "b64" neither (RFC 7797), and
// "enc" makes a JWE of it for other readers (RFC 7516 section 9).
var notInToken = []string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "enc"}

func checkMembers(header jose.Header, refused []string) error {
	for _, name := range refused {
		if header.Has(name) {
			return fmt.Errorf("member %s is not accepted", name)
		}
	}
	return nil
}

// checkType accepts the types of an access token: at+jwt (RFC 9068 section
// 2.1), the general JWT, and none, as servers write that know neither. An ID
// token may have the latter two, and is told by its claims.
func checkType(typ string) error {
	switch mediaType(typ) {
	case "", "jwt", "at+jwt":
		return nil
	}
	return fmt.Errorf("type %.40q is not that of an access token", typ)
}

// mediaType returns a "typ" without what makes no difference: case, and the
// prefix that RFC 7515 section 4.1.9 recommends to leave out.
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

func (v *jwtVerifier) checkIssuer(claims jose.Object) error {
	issuer, err := claims.Text("iss")
	if err != nil {
		return err
	}
	if issuer == "" || issuer != v.issuer {
		return errors.New("iss is another issuer")
	}
	return nil
}

// checkNotBefore checks "nbf" and "iat" where present (RFC 7519 sections 4.1.5
// and 4.1.6). The leeway is for an issuer whose clock is ahead of ours: its
// new tokens would come from the future.
func checkNotBefore(claims jose.Object, now time.Time) error {
	for _, name := range []string{"nbf", "iat"} {
		from, err := claims.Time(name)
		if err != nil {
			return err
		}
		if from.After(now.Add(clockLeeway)) {
			return fmt.Errorf("%s is in the future", name)
		}
	}
	return nil
}

// checkAccessToken refuses what issuers sign with the same key as their access
// tokens, under the same type in its header (RFC 8725 section 3.11).
func checkAccessToken(claims jose.Object) error {
	// Keycloak says in the claims what a token is.
	typ, err := claims.Text("typ")
	if err != nil {
		return err
	}
	switch strings.ToLower(typ) {
	case "id", "refresh", "offline", "logout":
		return fmt.Errorf("a token of type %s, which is not an access token", typ)
	}
	// Amazon Cognito does under another name.
	if claims.Has("token_use") {
		if use, err := claims.Text("token_use"); err != nil || use != "access" {
			return errors.New("token_use is not access")
		}
	}
	// The hashes of OpenID Connect Core, sections 3.1.3.6 and 3.3.2.11, and
	// of FAPI stand in ID tokens only; "events" is what makes a logout token
	// (OpenID Connect Back-Channel Logout, section 2.4) or another security
	// event (RFC 8417).
	for _, name := range []string{"at_hash", "c_hash", "s_hash", "events"} {
		if claims.Has(name) {
			return fmt.Errorf("a token with %s, which is not an access token", name)
		}
	}
	return nil
}

// looksLikeJWTOf reports whether raw is a signed JWT that says, unverified,
// that it is this issuer's. It is what `verify auto` goes by: whoever lies
// about it has chosen to be checked against the issuer's keys.
func looksLikeJWTOf(issuer, raw string) bool {
	jws, err := jose.Parse(raw, maxToken)
	if err != nil {
		return false
	}
	claims, err := jose.ParseObject(jws.Payload)
	if err != nil {
		return false
	}
	iss, err := claims.Text("iss")
	return err == nil && iss != "" && iss == issuer
}
