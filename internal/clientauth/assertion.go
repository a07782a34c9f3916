// SPDX-License-Identifier: Apache-2.0

package clientauth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/jose"
)

const (
	// maxAssertion is the longest assertion that is looked at.
	maxAssertion = 16 << 10

	// maxAssertionAge is how far ahead an assertion may expire: its jti is
	// remembered for so long.
	maxAssertionAge = time.Hour
)

// Assertion authenticates a client by a JWT that it has signed (RFC 7523). A given client
// id must be the one that the assertion names. Each assertion is good once.
func (a *Authenticator) Assertion(ctx context.Context, text, clientID string) (*authcore.Client, error) {
	signed, err := jose.Parse(text, maxAssertion)
	if err != nil {
		return nil, failed(reasonAssertion)
	}
	claims, err := jose.ParseObject(signed.Payload)
	if err != nil {
		return nil, failed(reasonAssertion)
	}
	id, err := claims.Text("iss")
	if err != nil || id == "" || clientID != "" && id != clientID {
		return nil, failed(reasonAssertion)
	}
	client, err := a.Find(ctx, id)
	switch {
	case errors.Is(err, authcore.ErrNotFound):
		return nil, failed(reasonUnknownClient)
	case err != nil:
		return nil, err
	case !acceptsMethod(client, authcore.AuthPrivateKeyJWT):
		return nil, failed(reasonWrongMethod)
	}
	jti, expires, ok := a.checkClaims(claims, id)
	if !ok {
		return nil, failed(reasonAssertion)
	}
	if right, err := a.isSigned(ctx, signed, client); err != nil || !right {
		return nil, cmp.Or[error](err, failed(reasonAssertion))
	}
	err = a.UseOnce(ctx, id, jti, expires)
	if errors.Is(err, authcore.ErrExists) {
		return nil, failed(reasonReplayed)
	}
	if err != nil {
		return nil, err
	}
	return client, nil
}

// checkClaims checks what an assertion says (RFC 7523 section 3) and returns its jti and
// until when that has to be remembered.
func (a *Authenticator) checkClaims(claims jose.Object, id string) (jti string, expires time.Time, ok bool) {
	now := a.Now()
	subject, err := claims.Text("sub")
	jti, err2 := claims.Text("jti")
	expires, err3 := claims.Time("exp")
	switch {
	case err != nil || err2 != nil || err3 != nil:
		return "", expires, false
	case subject != id || jti == "" || len(jti) > 256:
		return "", expires, false
	case !now.Before(expires) || expires.Sub(now) > maxAssertionAge:
		return "", expires, false
	case jwtcheck.NotBefore(claims, now) != nil:
		return "", expires, false
	}
	return jti, expires, a.isForThisServer(claims)
}

// isForThisServer reports whether an assertion names this server, and no other one that
// could use it here.
func (a *Authenticator) isForThisServer(claims jose.Object) bool {
	audience, err := jwtcheck.AudienceOf(claims)
	return err == nil && len(audience) == 1 && slices.Contains(a.Audiences, audience[0])
}

// isSigned reports whether an assertion is signed with a key of its client. The error says
// that the keys could not be had.
func (a *Authenticator) isSigned(ctx context.Context, signed *jose.Signed, client *authcore.Client) (bool, error) {
	if jwtcheck.Header(signed.Header, jose.Algorithms()) != nil {
		return false, nil
	}
	set, err := a.Keys(ctx, client)
	if err != nil {
		return false, err
	}
	for _, key := range set.Keys {
		if signed.Header.KeyID != "" && key.ID() != "" && key.ID() != signed.Header.KeyID {
			continue
		}
		if key.Fits(signed.Header.Algorithm) && signed.Verify(key, signed.Header.Algorithm) == nil {
			return true, nil
		}
	}
	return false, nil
}
