// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"net/http"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/jose"
)

// KeySet returns the server's keys. While it is not known where they are, a
// fetch must fail and would only start the cool-down.
func (s *Server) KeySet() (jwtcheck.KeySet, error) {
	if _, err := s.Endpoint("jwks_uri"); err != nil {
		return nil, err
	}
	return s.keys, nil
}

// AwaitKeySet is KeySet for a request, which waits for the first attempt to
// discover where the keys are, as AwaitEndpoint does.
func (s *Server) AwaitKeySet(ctx context.Context) (jwtcheck.KeySet, error) {
	if _, err := s.AwaitEndpoint(ctx, "jwks_uri"); err != nil {
		return nil, err
	}
	return s.keys, nil
}

// KeyAtHand returns the key of a token if it is known, and was heard of so recently
// that no token has to wait for it.
func (s *Server) KeyAtHand(name jose.KeyName, alg string) (jose.Key, bool) {
	return s.keys.atHand(name, alg)
}

// newKeys returns the set of the server's keys, which is fetched when the
// first token needs it.
func (s *Server) newKeys() *RemoteKeySet {
	return NewRemoteKeySet(RemoteKeySetConfig{
		Fetch:   s.fetchKeys,
		Now:     func() time.Time { return s.Now() },
		Logger:  s.currentLogger(),
		OnFetch: s.metrics.keysFetched,
	})
}

func (s *Server) fetchKeys(ctx context.Context) ([]byte, error) {
	address, err := s.Endpoint("jwks_uri")
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	a, err := s.Do(ctx, "jwks_uri", req, acceptDocument)
	if err != nil {
		return nil, err
	}
	return a.Body, nil
}

// acceptDocument wants 200. The content type does not matter: servers publish
// metadata and keys under many, and what is neither does not parse as such.
func acceptDocument(a *Answer) error {
	if a.Status != http.StatusOK {
		return AcceptJSON(a)
	}
	return nil
}
