// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// What a refusal tells the operator: which value was seen, and which was expected.

// expired refuses a token whose time is over.
func expired(t *token.Token, now time.Time) *token.Error {
	return token.Refuse(token.Expired, "expired at %s, %d s ago", t.ExpiresAt.UTC().Format(time.RFC3339), int64(now.Sub(t.ExpiresAt)/time.Second))
}

// withIssuer completes the refusal of a JWT that the authorization server does not
// know. Most often the token is of another server, or of another tenant of the
// same one.
func (v *Verifier) withIssuer(err error, sent *presented) error {
	refusal, ok := errors.AsType[*token.Error](err)
	if !ok || refusal.Reason != token.Inactive {
		return err
	}
	issuer, asked := sent.issuer(), v.server.Config().Issuer
	if issuer == "" || issuer == asked {
		return err
	}
	return token.Refuse(token.Inactive, "it is a JWT of the issuer %.200q, but %.200q was asked about it: name the provider of that issuer", issuer, asked)
}

// issuer returns the issuer that a JWT names, unverified; "" if it names none or is
// not a JWT.
func (t *presented) issuer() string {
	jwt, err := t.parse()
	if err != nil {
		return ""
	}
	claims, err := jwt.Claims()
	if err != nil {
		return ""
	}
	issuer, _ := claims.Text("iss")
	return issuer
}
