// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// keySets are the keys of clients whose configuration names an address for them. A
// slow address holds up the clients with this address only.
type keySets struct {
	flights singleflight.Group // by address
	mu      sync.Mutex
	known   map[string]fetchedKeys
}

type fetchedKeys struct {
	set     jose.KeySet
	err     error // why there are none
	fetched time.Time
}

const (
	// keySetAge is how old keys may be without being fetched again, and
	// maxKeySetAge how old if a request need not wait for that.
	keySetAge    = 5 * time.Minute
	maxKeySetAge = 2 * keySetAge

	// keySetPause is how long an address is left alone that gave no keys: anyone can
	// send assertions in the name of a client.
	keySetPause   = 10 * time.Second
	keySetTimeout = 5 * time.Second
	maxKeySet     = 1 << 20
)

// keysOf returns the keys of a client. Keys at an address are fetched every five minutes;
// the last good ones stay if that fails.
func (s *Server) keysOf(ctx context.Context, client *authcore.Client) (jose.KeySet, error) {
	if client.JWKSURI == "" {
		return jose.ParseKeySet(client.JWKS)
	}
	known, ok := s.keys.get(client.JWKSURI)
	age := s.Now().Sub(known.fetched)
	if ok && known.isFresh(age) {
		return known.set, known.err
	}
	fetching := s.keys.flights.DoChan(client.JWKSURI, func() (any, error) {
		return s.refreshKeys(context.WithoutCancel(ctx), client), nil
	})
	if ok && known.err == nil && age < maxKeySetAge {
		return known.set, nil
	}
	select {
	case result := <-fetching:
		fetched := result.Val.(fetchedKeys)
		return fetched.set, fetched.err
	case <-ctx.Done():
		return jose.KeySet{}, ctx.Err()
	}
}

// isFresh reports whether keys of this age, or that there are none, need no fetch.
func (k fetchedKeys) isFresh(age time.Duration) bool {
	if k.err != nil {
		return age < keySetPause
	}
	return age < keySetAge
}

// refreshKeys fetches the keys of a client, and remembers them or the failure.
func (s *Server) refreshKeys(ctx context.Context, client *authcore.Client) fetchedKeys {
	// Another fetch may have ended between the look at what is known and here.
	if known, ok := s.keys.get(client.JWKSURI); ok && known.isFresh(s.Now().Sub(known.fetched)) {
		return known
	}
	set, err := fetchKeys(ctx, client.JWKSURI)
	fetched := fetchedKeys{set: set, fetched: s.Now()}
	if err != nil {
		known, ok := s.keys.get(client.JWKSURI)
		if ok && known.err == nil {
			s.Logger.Warn("the keys of a client could not be fetched; the last ones stay", zap.String("client_id", client.ClientID), zap.Error(err))
			fetched.set = known.set
		} else {
			fetched.err = fmt.Errorf("fetching the keys of client %q: %w", client.ClientID, err)
		}
	}
	s.keys.put(client.JWKSURI, fetched)
	return fetched
}

func (k *keySets) get(address string) (fetchedKeys, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.known[address]
	return found, ok
}

func (k *keySets) put(address string, keys fetchedKeys) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = make(map[string]fetchedKeys)
	}
	k.known[address] = keys
}

func fetchKeys(ctx context.Context, address string) (set jose.KeySet, err error) {
	ctx, cancel := context.WithTimeout(ctx, keySetTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return set, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return set, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return set, fmt.Errorf("%s answers %d", address, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet))
	if err != nil {
		return set, err
	}
	return jose.ParseKeySet(body)
}

// parseClientID returns the client_id of a document.
func parseClientID(body []byte) (string, error) {
	var named struct {
		ClientID string `json:"client_id"`
	}
	err := json.Unmarshal(body, &named)
	return named.ClientID, err
}

// logDocument describes a document that could not be used.
func logDocument(id string, err error) []zap.Field {
	return []zap.Field{zap.String("client_id", id), zap.Error(err)}
}
