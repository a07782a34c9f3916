// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/jose"
)

const (
	// maxIntrospection bounds a signed introspection response.
	maxIntrospection = 1 << 20

	// maxResponseAge is how old a signed response may be. It is made for the
	// request that it answers: an older one is being replayed, perhaps to
	// revive a token that was revoked since.
	maxResponseAge = time.Minute
)

// verifyResponse returns the introspection answer in a signed
// introspection response (RFC 9701 section 5), as a JSON object that has only
// one reading.
//
// The verifier is one for responses: its audience is this gateway's client ID
// and nothing else. Errors say that the server's answer cannot be used; they
// say nothing about the token that was asked for.
func (v *jwtVerifier) verifyResponse(ctx context.Context, body []byte) (json.RawMessage, error) {
	jwt, err := jwtcheck.Parse(strings.TrimSpace(string(body)), maxIntrospection)
	if err != nil {
		return nil, fmt.Errorf("introspection response: not a signed JWT: %w", err)
	}
	if err := jwtcheck.Header(jwt.Header, v.algorithms); err != nil {
		return nil, fmt.Errorf("introspection response: header: %w", err)
	}
	// The type is what keeps an access token, which the same key signs and
	// which a client could have made to measure, from being taken for an
	// answer (section 8.1).
	if jwtcheck.MediaType(jwt.Header.Type) != "token-introspection+jwt" {
		return nil, fmt.Errorf("introspection response: type %.40q is not token-introspection+jwt", jwt.Header.Type)
	}
	claims, err := jwt.Claims()
	if err != nil {
		return nil, fmt.Errorf("introspection response: %w", err)
	}
	if issuer, err := claims.Text("iss"); err != nil || !v.issuers.Spoke(issuer) {
		return nil, errors.New("introspection response: iss is another issuer")
	}
	key, err := v.keys.Key(ctx, jwt.Header.KeyName, jwt.Header.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("introspection response: %w", err)
	}
	if err := jwt.Verify(key, jwt.Header.Algorithm); err != nil {
		return nil, fmt.Errorf("introspection response: %w", err)
	}

	// Section 5 requires an audience; a response without one was at least not
	// made for another resource server.
	if claims.Has("aud") {
		if err := jwtcheck.Audience(claims, v.audience); err != nil {
			return nil, errors.New("introspection response: aud is another client")
		}
	}
	if err := checkFresh(claims, v.now()); err != nil {
		return nil, fmt.Errorf("introspection response: %w", err)
	}
	answer, ok := claims.Get("token_introspection")
	if !ok {
		return nil, errors.New("introspection response: no token_introspection")
	}
	if _, err := answer.Object(); err != nil {
		return nil, fmt.Errorf("introspection response: token_introspection: %w", err)
	}
	return json.RawMessage(answer.JSON()), nil
}

// checkFresh checks "iat", which section 5 requires, and "exp" and "nbf" for
// servers that set them.
func checkFresh(claims jose.Object, now time.Time) error {
	issued, err := claims.Time("iat")
	if err != nil {
		return err
	}
	if issued.IsZero() {
		return errors.New("no iat")
	}
	if issued.Before(now.Add(-maxResponseAge)) {
		return errors.New("iat is more than a minute ago")
	}
	if err := jwtcheck.NotBefore(claims, now); err != nil {
		return err
	}
	expires, err := claims.Time("exp")
	if err != nil {
		return err
	}
	if !expires.IsZero() && !now.Before(expires) {
		return errors.New("exp is over")
	}
	return nil
}
