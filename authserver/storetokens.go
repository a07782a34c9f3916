// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

const (
	// tokenKind is the kind of the records of tokens in a store, and
	// clientIndex the index that finds them by their owner.
	tokenKind   = "access_token"
	clientIndex = "client"

	// recountInterval is how often the tokens of a client at its limit are
	// counted again, and countPage how many are read at a time.
	recountInterval = time.Minute
	countPage       = 1000
)

// storeTokens is a Storage in a store, which several gateways may share.
type storeTokens struct {
	store   *store.Store
	release func() error
	limit   int
	now     func() time.Time

	mu     sync.Mutex
	counts map[string]*tokenCount // by owner: a bounded number, clients are configured
}

// tokenCount is about how many tokens a client holds: those that were there when
// they were counted, and those that this gateway has stored since. Counting at
// each request would cost more than it protects.
type tokenCount struct {
	mu      sync.Mutex
	n       int
	counted time.Time // zero: never
}

// openStoreTokens opens the store. Its counts begin anew with each configuration.
func openStoreTokens(opener store.Opener) (Storage, error) {
	s, release, err := opener.OpenStore()
	if err != nil {
		return nil, err
	}
	// A gateway that revokes a token tells the others, which may remember it.
	stop := s.Watch(tokenKind, func(key []byte) {
		if key == nil {
			allChanged()
			return
		}
		changed(thing{tokenKind, string(key)})
	})
	closeAll := func() error { stop(); return release() }
	return &storeTokens{store: s, release: closeAll, limit: defaultMaxTokens, now: time.Now, counts: make(map[string]*tokenCount)}, nil
}

// PutToken implements Storage.
func (t *storeTokens) PutToken(ctx context.Context, token *Token) error {
	owner := ownerOf(token.Issuer, token.ClientID)
	if err := t.reserve(ctx, owner); err != nil {
		return err
	}
	value, err := json.Marshal(recordOf(token))
	if err != nil {
		return fmt.Errorf("recording a token: %w", err)
	}
	put := store.Put(store.Record{
		Kind: tokenKind, Key: token.ID[:], Value: value, Expires: token.ExpiresAt,
		Index: []store.Entry{{Kind: clientIndex, Value: []byte(owner)}},
	})
	if token.Revoked {
		put = put.Announce()
	}
	return t.store.Commit(ctx, put)
}

// Token implements Storage. A record that does not open is not an unknown token:
// it may say that a JWT was revoked.
func (t *storeTokens) Token(ctx context.Context, id TokenID) (*Token, error) {
	found, err := t.store.Get(ctx, tokenKind, id[:])
	switch {
	case errors.Is(err, store.ErrUnopened):
		return nil, fmt.Errorf("reading a token: %w", err)
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrNoToken
	case err != nil:
		return nil, err
	}
	var record tokenRecord
	if err := json.Unmarshal(found.Value, &record); err != nil {
		return nil, fmt.Errorf("reading a token: %w", err)
	}
	return record.token(id), nil
}

// DeleteToken implements Storage.
func (t *storeTokens) DeleteToken(ctx context.Context, id TokenID) error {
	return t.store.Commit(ctx, store.Delete(tokenKind, id[:]).Announce())
}

// Close implements Storage.
func (t *storeTokens) Close() error { return t.release() }

// reserve counts one more token of an owner, if that is within the limit. Some of
// those counted may have expired since, so at the limit they are counted again.
func (t *storeTokens) reserve(ctx context.Context, owner string) error {
	c := t.countOf(owner)
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.n >= t.limit
	if c.counted.IsZero() || full && t.now().Sub(c.counted) >= recountInterval {
		n, err := t.count(ctx, owner)
		if err != nil {
			return err
		}
		c.n, c.counted = n, t.now()
		full = n >= t.limit
	}
	if full {
		return ErrTooManyTokens
	}
	c.n++
	return nil
}

func (t *storeTokens) countOf(owner string) *tokenCount {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts[owner]
	if c == nil {
		c = new(tokenCount)
		t.counts[owner] = c
	}
	return c
}

// count reads how many tokens of an owner there are, up to the limit.
func (t *storeTokens) count(ctx context.Context, owner string) (n int, err error) {
	var after []byte
	for {
		page, next, err := t.store.List(ctx, tokenKind, store.Entry{Kind: clientIndex, Value: []byte(owner)}, after, countPage)
		if err != nil {
			return 0, err
		}
		if n += len(page); next == nil || n >= t.limit {
			return n, nil
		}
		after = next
	}
}

// Interface guards
var _ Storage = (*storeTokens)(nil)
