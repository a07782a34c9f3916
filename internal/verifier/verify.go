// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// jwtVerifier verifies access tokens that are JWTs of one issuer.
type jwtVerifier struct {
	issuers    provider.Issuers
	algorithms []string        // that are accepted, in canonical spelling
	audience   []string        // one of which a token must name; empty: any will do
	mapping    token.Mapping   // which claims are the client and the grants
	keys       jwtcheck.KeySet // its errors are of type *token.Error
	now        func() time.Time
}

// verifyAccessToken returns the token that was sent, if this issuer signed it as
// an access token, for this audience, for now. Any error is a *token.Error.
//
// Until the signature has been verified nothing in the token is true: it can
// only be refused. That it has expired or is meant for someone else is said
// only of a token that the issuer did sign.
func (v *jwtVerifier) verifyAccessToken(ctx context.Context, sent *presented) (*token.Token, error) {
	// The checks that take apart, and cost next to nothing. An encrypted token
	// (five parts) ends here: anyone with the public
	// key can encrypt one, and what is inside need not be signed.
	jwt, err := sent.parse()
	if err != nil {
		return nil, token.Refuse(token.Invalid, "not a signed JWT: %w", err)
	}
	if err := jwtcheck.Header(jwt.Header, v.algorithms); err != nil {
		return nil, token.Refuse(token.Invalid, "header: %w", err)
	}
	if err := checkType(jwt.Header); err != nil {
		return nil, token.Refuse(token.Invalid, "header: %w", err)
	}
	claims, err := jwt.Claims()
	if err != nil {
		return nil, token.Refuse(token.Invalid, "claims: %w", err)
	}

	// Issuer. It goes before the keys so that another issuer's token asks for
	// none.
	issuer, err := v.issuers.Check(claims)
	if err != nil {
		return nil, token.Refuse(token.Invalid, "%w", err)
	}

	// Signature, with a key that was fetched from the issuer, under the
	// algorithm of the header, which jwtcheck.Header has found among the
	// configured ones and which must be that of the key.
	key, err := v.keys.Key(ctx, jwt.Header.KeyName, jwt.Header.Algorithm)
	if err != nil {
		return nil, token.AsError(err)
	}
	if err := jwt.Verify(key, jwt.Header.Algorithm); err != nil {
		return nil, token.Refuse(token.Invalid, "%w", err)
	}

	// From here on the token is the issuer's word. Time: an access token must
	// expire (RFC 9068 section 2.2), and it gets no leeway.
	t, err := token.FromClaims(claims, v.mapping)
	if err != nil {
		return nil, token.Refuse(token.Invalid, "claims: %w", err)
	}
	now := v.now()
	if t.ExpiresAt.IsZero() {
		return nil, token.Refuse(token.Invalid, "no exp: a token that never expires is not accepted")
	}
	if t.Expired(now) {
		return nil, expired(t, now)
	}
	if err := jwtcheck.NotBefore(claims, now); err != nil {
		if notYet, ok := errors.AsType[*jwtcheck.NotYetError](err); ok {
			return nil, refuseUntil(notYet)
		}
		return nil, token.Refuse(token.Invalid, "%w", err)
	}

	// Audience, where one is configured (RFC 7519 section 4.1.3): a token for
	// another API of the same issuer is not for us.
	if err := jwtcheck.Audience(claims, v.audience); err != nil {
		return nil, token.Refuse(token.Invalid, "%w", err)
	}

	// Kind: an issuer signs other things than access tokens with the same key.
	if err := checkAccessToken(claims); err != nil {
		return nil, token.Refuse(token.Invalid, "%w", err)
	}

	if err := checkCodeFlow(jwt, claims, t, v.audience); err != nil {
		return nil, token.Refuse(token.Invalid, "%w", err)
	}

	t.Issuer = issuer
	t.JWT = true
	t.ClaimsJSON = string(jwt.Payload)
	return t, nil
}

// checkType accepts the types of an access token: at+jwt (RFC 9068 section
// 2.1), the general JWT, and none, as servers write that know neither. An ID
// token may have the latter two, and is told by its claims.
func checkType(header jose.Header) error {
	switch jwtcheck.MediaType(header.Type) {
	case "jwt", "at+jwt":
		return nil
	case "":
		if typ, ok := header.Get("typ"); !ok || typ.IsNull() {
			return nil
		}
	}
	return fmt.Errorf("type %.40q is not that of an access token", header.Type)
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

// checkCodeFlow refuses an ID token of the code flow, which has none of the hashes:
// it grants nothing, and it has a nonce or is meant for its own client. A configured
// audience tells it apart already, and so does the type of RFC 9068.
func checkCodeFlow(jwt *jwtcheck.JWT, claims jose.Object, t *token.Token, audience []string) error {
	if len(audience) > 0 || len(t.Scopes) > 0 || jwtcheck.MediaType(jwt.Header.Type) == "at+jwt" {
		return nil
	}
	if claims.Has("nonce") {
		return errors.New("a token with nonce that grants nothing, which is an ID token: send the access token, or configure an audience")
	}
	aud, err := jwtcheck.AudienceOf(claims)
	if err == nil && t.ClientID != "" && slices.Contains(aud, t.ClientID) {
		return errors.New("a token that grants nothing and is meant for its own client, which is an ID token: send the access token, or configure an audience")
	}
	return err
}
