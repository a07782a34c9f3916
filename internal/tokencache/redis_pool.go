// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"crypto/sha256"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/seal"
)

// A store on Redis does not belong to one cache. A reload that changes how many
// tokens are kept, or for how long, makes a new cache, which gets a share in the
// same store. So the connections stay, and so does what is known of the log.

// redisStores keeps the stores by their address and secret.
var redisStores = caddy.NewUsagePool()

// redisShare is the share of one cache in a store.
type redisShare struct {
	*redisStore
	tell    func([]revocation) // tells the cache
	release func()             // lets go of the store
}

// shareRedis gives a cache a share in the store with this address and secret,
// which may be in use already.
func shareRedis(address, secret string, tell func([]revocation)) (*redisShare, error) {
	place := sha256.Sum256(seal.Join("redis", []byte(address), []byte(secret)))
	store, _, err := redisStores.LoadOrNew(place, func() (caddy.Destructor, error) {
		return openRedis(address, secret, waitingAt(place))
	})
	if err != nil {
		return nil, err
	}
	release := func() { _, _ = redisStores.Delete(place) } // closing a store cannot fail
	return store.(*redisStore).share(tell, release), nil
}

// share adds a cache.
func (r *redisStore) share(tell func([]revocation), release func()) *redisShare {
	s := &redisShare{redisStore: r, tell: tell, release: release}
	r.sharesMu.Lock()
	defer r.sharesMu.Unlock()
	r.shares = append(r.shares, s)
	return s
}

// tellCaches tells the caches of this process what was revoked, except for the
// one that already knows.
func (r *redisStore) tellCaches(what []revocation, except *redisShare) {
	r.sharesMu.Lock()
	defer r.sharesMu.Unlock()
	for _, s := range r.shares {
		if s != except {
			s.tell(what)
		}
	}
}

// Destruct implements caddy.Destructor, when no cache has a share any more.
func (r *redisStore) Destruct() error {
	r.close()
	return nil
}

// forget implements sharedStore. When this process reads in the log what it
// wrote itself, that is not new, so its other caches are told here: during a
// reload there are two.
func (s *redisShare) forget(ctx context.Context, what Selection) error {
	entry := revocation{what.kind, what.value}
	if what.kind == oneToken {
		name := s.name(what.value)
		entry.Value = string(name[:])
	}
	err := s.revoke(ctx, entry)
	s.tellCaches([]revocation{entry}, s)
	return err
}

// close implements sharedStore.
func (s *redisShare) close() {
	s.sharesMu.Lock()
	s.shares = slices.DeleteFunc(s.shares, func(other *redisShare) bool { return other == s })
	s.sharesMu.Unlock()
	s.release()
}

// Interface guards
var (
	_ sharedStore      = (*redisShare)(nil)
	_ caddy.Destructor = (*redisStore)(nil)
)
