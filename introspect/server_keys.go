// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"net/http"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
)

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
