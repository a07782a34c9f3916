// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/redistest"
)

// opened makes a gateway with a cache as a configuration has it, which the pool
// knows.
func opened(t *testing.T, server *issuer, settings Settings) *gateway {
	t.Helper()
	c, err := Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	return gatewayWith(c, server)
}

func release(t *testing.T, g *gateway) {
	t.Helper()
	if err := g.cache.Release(); err != nil {
		t.Fatal(err)
	}
}

// A revocation that waits for Redis survives every reload: one that changes the
// cache, and one that does without this Redis for a while.
func TestRevocationsWaitForRedisAcrossReloads(t *testing.T) {
	redis := redistest.Start(t)
	link := redis.Link()
	near := on(link.URL())
	another := near
	another.RedisKey += " that others have"
	larger := near
	larger.Size, larger.MaxAge = 2000, 5*time.Minute
	for name, reloads := range map[string][]Settings{
		"none":                {},
		"larger":              {larger},
		"without":             {testSettings(), near},
		"without, larger":     {testSettings(), larger},
		"another":             {another, near},
		"larger and back":     {larger, near},
		"stopped and started": nil,
	} {
		t.Run(name, func(t *testing.T) {
			server := newIssuer()
			server.answer(`{"active":true,"client_id":"app"}`)
			a := opened(t, server, near)
			waitFor(t, a, SharedOK)
			b := gatewayOn(t, server, redis.URL())
			mustVerify(t, a, "token")
			mustVerify(t, b, "token")
			if n := server.count(); n != 1 {
				t.Fatalf("%d introspections, want one: the gateways share nothing", n)
			}
			server.answer(inactive)

			link.Cut()
			if _, err := a.cache.Forget(t.Context(), OfClient("app"), nil); err == nil {
				t.Error("a revocation that was not written to Redis was reported as complete")
			}
			if reloads == nil {
				release(t, a)
				a = opened(t, server, near)
			}
			for _, settings := range reloads {
				before := a
				a = opened(t, server, settings) // as Caddy reloads: the new one comes first
				release(t, before)
			}
			t.Cleanup(func() { release(t, a) })

			link.Restore()
			waitFor(t, a, SharedOK)
			refuses(t, a, "token")
			redistest.Eventually(t, "the other gateway has heard of it", func() bool {
				positive, _ := b.cache.Sizes()
				return positive == 0
			})
			refuses(t, b, "token")
			if n := a.cache.Status().Shared.Waiting; n != 0 {
				t.Errorf("%d revocations wait", n)
			}
		})
	}
}

// While a configuration replaces another one there are two caches. A revocation
// by one of them holds for both, and a released cache does not learn of it.
func TestCachesOfOneStoreForgetTogether(t *testing.T) {
	redis := redistest.Start(t)
	settings := on(redis.URL())
	larger := settings
	larger.Size = 2000
	server := newIssuer()
	server.answer(`{"active":true,"client_id":"app"}`)
	before, after := opened(t, server, settings), opened(t, server, larger)
	waitFor(t, before, SharedOK)
	waitFor(t, after, SharedOK)
	store := after.store().redisStore
	if before.store().redisStore != store {
		t.Error("two caches on one Redis have two stores")
	}
	for _, what := range []Selection{OfClient("app"), One("token"), All()} {
		for _, g := range []*gateway{before, after} {
			mustVerify(t, g, "token")
		}
		revoke(t, before, what)
		for _, g := range []*gateway{before, after} {
			if positive, _ := g.cache.Sizes(); positive != 0 {
				t.Errorf("%v: %d tokens are left", what, positive)
			}
		}
	}
	release(t, before)
	if len(store.shares) != 1 || store.client.Load() == nil || after.cache.Status().Shared.State != SharedOK {
		t.Errorf("the store has %d shares and is %v, want it to serve one", len(store.shares), after.cache.Status().Shared)
	}
	release(t, after)
	redisStores.Range(func(_, _ any) bool {
		t.Error("the store runs for no cache")
		return true
	})
}

func TestEqualSettingsShareACache(t *testing.T) {
	server := newIssuer()
	a, b := opened(t, server, testSettings()), opened(t, server, testSettings())
	if a.cache != b.cache {
		t.Error("equal settings have two caches, so a reload forgets everything")
	}
	release(t, a)
	other := testSettings()
	other.MaxAge++
	c := opened(t, server, other)
	if c.cache == b.cache {
		t.Error("different settings have one cache")
	}
	release(t, b)
	release(t, c)
	caches.Range(func(key, _ any) bool {
		t.Errorf("the cache with %v is left behind", key)
		return true
	})
}

// Very many revocations become one of all tokens, which waits like any other.
func TestManyRevocationsWaitAsOne(t *testing.T) {
	w := new(waitingRevocations)
	for i := range maxWaiting {
		w.add(revocation{tokensOfClient, fmt.Sprint(i)})
	}
	first, _ := w.first()
	w.add(revocation{tokensOfClient, "one more"})
	w.done(first) // was written in the meantime
	if next, ok := w.first(); !ok || next.Kind != allTokens || w.count() != 1 {
		t.Errorf("%v waits, of %d, want all tokens", next, w.count())
	}
	w.done(revocation{Kind: allTokens})
	if _, ok := w.first(); ok {
		t.Error("what was written still waits")
	}
}
