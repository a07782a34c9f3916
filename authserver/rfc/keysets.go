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

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// keySets are the keys of clients whose configuration names an address for them.
type keySets struct {
	mu    sync.Mutex
	known map[string]fetchedKeys
}

type fetchedKeys struct {
	set     jose.KeySet
	fetched time.Time
}

const (
	keySetAge     = 5 * time.Minute
	keySetTimeout = 5 * time.Second
	maxKeySet     = 1 << 20
)

// keysOf returns the keys of a client. Keys at an address are fetched every five minutes;
// the last good ones stay if that fails.
func (s *Server) keysOf(ctx context.Context, client *authcore.Client) (jose.KeySet, error) {
	if client.JWKSURI == "" {
		return jose.ParseKeySet(client.JWKS)
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	known, ok := s.keys.known[client.JWKSURI]
	if ok && s.Now().Sub(known.fetched) < keySetAge {
		return known.set, nil
	}
	set, err := fetchKeys(ctx, client.JWKSURI)
	if err != nil && !ok {
		return set, fmt.Errorf("fetching the keys of client %q: %w", client.ClientID, err)
	}
	if err != nil {
		s.Logger.Warn("the keys of a client could not be fetched; the last ones stay", zap.String("client_id", client.ClientID), zap.Error(err))
		set = known.set
	}
	if s.keys.known == nil {
		s.keys.known = make(map[string]fetchedKeys)
	}
	s.keys.known[client.JWKSURI] = fetchedKeys{set, s.Now()}
	return set, nil
}

func fetchKeys(ctx context.Context, address string) (set jose.KeySet, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keySetTimeout)
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
