// SPDX-License-Identifier: Apache-2.0

package jwtcheck

import (
	"context"

	"github.com/caddy-gluu/gateway/jose"
)

// JWT is a signed JWT that has been taken apart but not verified: anyone can
// have written what it says.
type JWT struct {
	*jose.Signed

	claims    jose.Object
	claimsErr error
}

// Parse takes a signed JWT apart. The error is about its form: more than limit
// bytes, not three parts (an encrypted JWT has five), or a header with more
// than one reading. That the payload is not a JSON object is reported by
// [JWT.Claims].
func Parse(raw string, limit int) (*JWT, error) {
	signed, err := jose.Parse(raw, limit)
	if err != nil {
		return nil, err
	}
	jwt := &JWT{Signed: signed}
	jwt.claims, jwt.claimsErr = jose.ParseObject(signed.Payload)
	return jwt, nil
}

// Claims returns the payload as a JSON object, an error if it is anything else.
func (j *JWT) Claims() (jose.Object, error) { return j.claims, j.claimsErr }

// KeySet finds the public key that a JWT was signed with. It separates
// verifying from fetching, so that each can be tested alone.
type KeySet interface {
	// Key returns the key of this name that fits the algorithm; for an empty
	// name, the only key of the set that fits. Its errors tell apart that the
	// issuer has no such key from that its keys are unavailable.
	Key(ctx context.Context, name jose.KeyName, alg string) (jose.Key, error)
}
