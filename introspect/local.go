// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"
)

// verifyByMode verifies a token in the way that the settings ask for: locally or
// by introspection.
func (v *verifier) verifyByMode(ctx context.Context, sent *presented) (*Token, error) {
	if v.verifiesLocally(sent) {
		return v.verifyLocally(ctx, sent)
	}
	token, err := v.introspect(ctx, sent)
	if v.server.config.Verify == verifyIntrospection {
		return token, err
	}
	// A server that issues nothing but JWTs need not have an introspection
	// endpoint, and then this token is not one of its own.
	if missing := (*noEndpointError)(nil); errors.As(err, &missing) {
		return nil, refuse(TokenInvalid, "not a JWT of this issuer, and the issuer has no introspection endpoint")
	}
	return token, err
}

// verifiesLocally reports whether this token is verified without asking the
// authorization server.
func (v *verifier) verifiesLocally(sent *presented) bool {
	config := &v.server.config
	switch config.Verify {
	case verifyJWT:
		return true
	case verifyIntrospection:
		return false
	}
	return sent.claimsIssuer(config.Issuer)
}

// verifyLocally verifies a JWT by its signature.
func (v *verifier) verifyLocally(ctx context.Context, sent *presented) (*Token, error) {
	s := v.server
	keys, err := s.keySet()
	if err != nil {
		return nil, err
	}
	local := jwtVerifier{
		issuer:     s.config.Issuer,
		algorithms: s.config.Algorithms,
		audience:   s.config.Audience,
		keys:       keys,
		now:        s.now,
	}
	return local.verifyAccessToken(ctx, sent)
}
