// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
)

// verifyAnew verifies a token that is in no cache, in the way that the
// settings ask for.
func (s *server) verifyAnew(ctx context.Context, raw string) (*Token, error) {
	token, err := s.verifyByMode(ctx, raw)
	if err != nil {
		return nil, asError(err)
	}
	token.Provider = s.name
	return token, nil
}

func (s *server) verifyByMode(ctx context.Context, raw string) (*Token, error) {
	if s.verifiesLocally(raw) {
		return s.verifyLocally(ctx, raw)
	}
	token, err := s.introspect(ctx, raw)
	if s.config.Verify == verifyIntrospection {
		return token, err
	}
	// A server that issues nothing but JWTs need not have an introspection
	// endpoint, and then this token is not one of its own.
	if missing := (*noEndpointError)(nil); errors.As(err, &missing) {
		return nil, refuse(TokenInvalid, "no JWT of this issuer, and the issuer introspects none")
	}
	return token, err
}

// verifiesLocally reports whether nobody has to be asked about this token.
func (s *server) verifiesLocally(raw string) bool {
	switch s.config.Verify {
	case verifyJWT:
		return true
	case verifyIntrospection:
		return false
	}
	return looksLikeJWTOf(s.config.Issuer, raw)
}

func (s *server) verifyLocally(ctx context.Context, raw string) (*Token, error) {
	keys, err := s.keySet()
	if err != nil {
		return nil, err
	}
	verifier := jwtVerifier{
		issuer:     s.config.Issuer,
		algorithms: s.config.Algorithms,
		audience:   s.config.Audience,
		keys:       keys,
		now:        s.now,
	}
	return verifier.verify(ctx, raw)
}

// keySet returns the server's keys. While it is not known where they are,
// there is no use in asking for them: a fetch that must fail would only begin
// the cool-down.
func (s *server) keySet() (jwtcheck.KeySet, error) {
	if _, err := s.endpoint("jwks_uri"); err != nil {
		return nil, err
	}
	return s.keys, nil
}

// newKeys returns the set of the server's keys, which is fetched when the
// first token needs it.
func (s *server) newKeys() *remoteKeySet {
	return newRemoteKeySet(remoteKeySetConfig{
		fetch:   s.fetchKeys,
		now:     func() time.Time { return s.now() },
		logger:  s.currentLogger(),
		onFetch: s.metrics.keysFetched,
	})
}

func (s *server) fetchKeys(ctx context.Context) ([]byte, error) {
	address, err := s.endpoint("jwks_uri")
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	a, err := s.do(ctx, "jwks_uri", req, acceptKeys)
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// acceptKeys wants 200. The content type does not matter: what is no key set
// does not parse as one.
func acceptKeys(a *answer) error {
	if a.status != http.StatusOK {
		return acceptJSON(a)
	}
	return nil
}
