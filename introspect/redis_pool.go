// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/seal"
)

// A store on Redis belongs to no cache. A reload that changes how many tokens are
// kept, or for how long, makes a new cache, which has a share in the same store:
// it goes on with the connections, with what is known of the log, and with the
// revocations that Redis has not been told of.
//
// Those outlive the store too, for as long as the process lives. A configuration
// may do without this Redis for a while, and somebody was promised that the
// revocation holds at the other gateways once Redis is back.

// redisStores keeps the stores by their address and secret.
var redisStores = caddy.NewUsagePool()

// redisShare is what one cache has of a store.
type redisShare struct {
	*redisStore
	forget  func([]revoked) // tells the cache
	release func()          // lets go of the store
}

// shareRedis gives a cache a share in the store of this address and secret, which
// may be in use already.
func shareRedis(address, secret string, forget func([]revoked)) (*redisShare, error) {
	place := digest(sha256.Sum256(seal.Join("redis", []byte(address), []byte(secret))))
	store, _, err := redisStores.LoadOrNew(place, func() (caddy.Destructor, error) {
		return openRedis(address, secret, waitingAt(place))
	})
	if err != nil {
		return nil, err
	}
	release := func() { _, _ = redisStores.Delete(place) } // closing a store cannot fail
	return store.(*redisStore).share(forget, release), nil
}

// share lets a cache take part.
func (r *redisStore) share(forget func([]revoked), release func()) *redisShare {
	s := &redisShare{redisStore: r, forget: forget, release: release}
	r.sharesMu.Lock()
	defer r.sharesMu.Unlock()
	r.shares = append(r.shares, s)
	return s
}

// tellCaches tells the caches of this process what was revoked, except the one that
// knows it already.
func (r *redisStore) tellCaches(what []revoked, except *redisShare) {
	r.sharesMu.Lock()
	defer r.sharesMu.Unlock()
	for _, s := range r.shares {
		if s != except {
			s.forget(what)
		}
	}
}

// Destruct implements caddy.Destructor: no cache has a share any more.
func (r *redisStore) Destruct() error {
	r.close()
	return nil
}

// evict implements sharedStore. What this process has written it does not take
// for news when it reads the log, so its other caches are told here: during a
// reload there are two.
func (s *redisShare) evict(ctx context.Context, what selection) error {
	entry := revoked{what.kind, what.value}
	if what.kind == oneToken {
		name := s.name(what.value)
		entry.Value = string(name[:])
	}
	err := s.revoke(ctx, entry)
	s.tellCaches([]revoked{entry}, s)
	return err
}

// close implements sharedStore.
func (s *redisShare) close() {
	s.sharesMu.Lock()
	s.shares = slices.DeleteFunc(s.shares, func(other *redisShare) bool { return other == s })
	s.sharesMu.Unlock()
	s.release()
}

// waitingRevocations are those that a Redis has not been told of, oldest first.
type waitingRevocations struct {
	mu      sync.Mutex
	entries []revoked
}

// maxWaiting is how many revocations wait for Redis to come back before all
// tokens are revoked instead.
const maxWaiting = 1000

func (w *waitingRevocations) add(entry revoked) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.entries = append(w.entries, entry); len(w.entries) > maxWaiting {
		w.entries = []revoked{{Kind: allTokens}}
	}
}

func (w *waitingRevocations) first() (entry revoked, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entries) == 0 {
		return revoked{}, false
	}
	return w.entries[0], true
}

// done removes what was the first one, unless they have become one for all tokens.
func (w *waitingRevocations) done(entry revoked) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entries) > 0 && w.entries[0] == entry {
		w.entries = w.entries[1:]
	}
}

func (w *waitingRevocations) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries)
}

// waitingPlaces are the waiting revocations of each store that this process has
// had, by a digest of its address and secret.
var waitingPlaces struct {
	sync.Mutex
	byPlace map[digest]*waitingRevocations
}

func waitingAt(place digest) *waitingRevocations {
	waitingPlaces.Lock()
	defer waitingPlaces.Unlock()
	if waitingPlaces.byPlace == nil {
		waitingPlaces.byPlace = make(map[digest]*waitingRevocations)
	}
	if waitingPlaces.byPlace[place] == nil {
		waitingPlaces.byPlace[place] = new(waitingRevocations)
	}
	return waitingPlaces.byPlace[place]
}

// Interface guards
var (
	_ sharedStore      = (*redisShare)(nil)
	_ caddy.Destructor = (*redisStore)(nil)
)
