// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

// pushedPrefix is how the name of a pushed request begins (RFC 9126 section 2.2).
const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

// Pushed is an authorization request that a client has sent ahead (RFC 9126).
type Pushed struct {
	ClientID string              `json:"client_id"`
	Form     map[string][]string `json:"form"`
}

// Push stores a request and returns its request_uri.
func (s *Store) Push(ctx context.Context, issuer string, p *Pushed, ttl time.Duration) (string, error) {
	text := RandomText(TokenBytes)
	id := NewTokenID("pushed", issuer, text)
	r, err := record(pushedKind, id[:], p, s.now().Add(ttl), 0)
	if err != nil {
		return "", err
	}
	return pushedPrefix + text, s.records.Commit(ctx, store.Create(r))
}

// TakePushed returns the request that a client has pushed, once: of many that do so at the
// same moment one wins. Another client's request stays there for its owner.
func (s *Store) TakePushed(ctx context.Context, issuer, requestURI, clientID string) (*Pushed, error) {
	unknown := fault(InvalidRequest, ReasonPushedUnknown, "request_uri is unknown, was used or has expired")
	text, ok := strings.CutPrefix(requestURI, pushedPrefix)
	if !ok || len(text) > maxChallenge {
		return nil, unknown
	}
	id := NewTokenID("pushed", issuer, text)
	p := new(Pushed)
	found, err := s.read(ctx, pushedKind, id[:], p)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, unknown
	case err != nil:
		return nil, err
	case p.ClientID != clientID:
		return nil, fault(InvalidRequest, ReasonForeignClient, "request_uri belongs to another client")
	}
	err = s.records.Commit(ctx, store.Remove(found))
	if errors.Is(err, store.ErrConflict) {
		return nil, unknown
	}
	return p, err
}
