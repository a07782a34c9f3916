// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
)

// verifyByMode verifies a token in the way that the settings ask for: locally or
// by introspection.
func (v *Verifier) verifyByMode(ctx context.Context, sent *presented) (*token.Token, error) {
	if v.verifiesLocally(sent) {
		return v.verifyLocally(ctx, sent)
	}
	verified, err := v.introspect(ctx, sent)
	err = v.withIssuer(err, sent)
	if v.server.Config().Verify == provider.VerifyIntrospection {
		return verified, err
	}
	// A server that issues nothing but JWTs need not have an introspection
	// endpoint, and then this token is not one of its own.
	if missing := (*provider.NoEndpointError)(nil); errors.As(err, &missing) {
		if v.verifiesLocally(sent) { // as the metadata says that came meanwhile
			return v.verifyLocally(ctx, sent)
		}
		return nil, token.Refuse(token.Invalid, "not a JWT of this issuer, and the issuer has no introspection endpoint: %w", missing)
	}
	return verified, err
}

// verifiesLocally reports whether this token is verified without asking the
// authorization server.
func (v *Verifier) verifiesLocally(sent *presented) bool {
	config := v.server.Config()
	switch config.Verify {
	case provider.VerifyJWT:
		return true
	case provider.VerifyIntrospection:
		return false
	}
	return sent.claimsAny(v.server.Issuers())
}

// verifyLocally verifies a JWT by its signature.
func (v *Verifier) verifyLocally(ctx context.Context, sent *presented) (*token.Token, error) {
	s := v.server
	keys := sent.atHand
	if keys == nil {
		var err error
		if keys, err = s.AwaitKeySet(ctx); err != nil {
			return nil, err
		}
	}
	local := jwtVerifier{
		issuers:    s.Issuers(),
		algorithms: s.Config().Algorithms,
		audience:   s.Config().Audience,
		mapping:    s.Mapping(),
		keys:       keys,
		now:        s.Now,
	}
	return local.verifyAccessToken(ctx, sent)
}
