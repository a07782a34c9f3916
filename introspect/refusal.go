// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"errors"
	"time"
)

// What a refusal tells the operator: which value was seen, and which was expected.

// expired refuses a token whose time is over.
func expired(t *Token, now time.Time) *Error {
	return refuse(TokenExpired, "expired at %s, %d s ago", t.ExpiresAt.UTC().Format(time.RFC3339), int64(now.Sub(t.ExpiresAt)/time.Second))
}

// withIssuer completes the refusal of a JWT that the authorization server does not
// know. Most often the token is of another server, or of another tenant of the
// same one.
func (v *verifier) withIssuer(err error, sent *presented) error {
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal.Reason != TokenInactive {
		return err
	}
	issuer, asked := sent.issuer(), v.server.Config().Issuer
	if issuer == "" || issuer == asked {
		return err
	}
	return refuse(TokenInactive, "it is a JWT of the issuer %.200q, but %.200q was asked about it: name the provider of that issuer", issuer, asked)
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
