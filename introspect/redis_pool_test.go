// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// loadWithCache makes Caddy run a gateway with these settings of the cache.
func loadWithCache(t *testing.T, dir string, provider ProviderConfig, cache CacheConfig) *Provider {
	t.Helper()
	text, err := json.Marshal(cache)
	if err != nil {
		t.Fatal(err)
	}
	app := mustLoad(t, dir, fmt.Sprintf(`{"providers": {"test": %s}, "cache": %s}`, providerJSON(provider), text))
	p, err := app.Provider("test")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A revocation that waits for Redis is not lost by any reload: not by one that
// changes the cache, and not by one that does without this Redis for a while.
func TestRevocationsWaitForRedisAcrossReloads(t *testing.T) {
	redis := startRedis(t)
	link := redis.link()
	another := link.cache()
	another.RedisKey += " that others have"
	larger := link.cache()
	larger.Size, larger.MaxAge = 2000, seconds(300)
	for name, reloads := range map[string][]CacheConfig{
		"none":              {},
		"larger":            {larger},
		"without":           {{}, link.cache()},
		"without, larger":   {{}, larger},
		"another":           {another, link.cache()},
		"larger and back":   {larger, link.cache()},
		"stopped meanwhile": nil,
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			server.on("/introspect", respond(`{"active":true,"client_id":"app"}`))
			dir := t.TempDir()
			a := loadWithCache(t, dir, server.introspecting(), link.cache())
			redis.waitFor(a, sharedOK)
			b := redis.gateway(server.introspecting())
			mustVerify(t, a, "token")
			mustVerify(t, b, "token")
			if n := server.count("/introspect"); n != 1 {
				t.Fatalf("%d introspections, want one: the gateways share nothing", n)
			}
			server.on("/introspect", respond(`{"active":false}`))

			link.cut()
			if _, err := Running().ForgetTokensOfClient(t.Context(), "app"); err == nil {
				t.Error("a revocation that Redis was not told of was reported as complete")
			}
			if reloads == nil {
				if err := caddy.Stop(); err != nil {
					t.Fatal(err)
				}
				reloads = []CacheConfig{link.cache()}
			}
			for _, cache := range reloads {
				a = loadWithCache(t, dir, server.introspecting(), cache)
			}

			link.mend()
			redis.waitFor(a, sharedOK)
			refuses(t, a, "token")
			eventually(t, "the other gateway has heard of it", func() bool {
				positive, _ := b.cache.sizes()
				return positive == 0
			})
			refuses(t, b, "token")
			if n := a.cache.shared.status().Waiting; n != 0 {
				t.Errorf("%d revocations wait", n)
			}
		})
	}
}

// While a configuration takes the place of another there are two caches. What
// one of them revokes holds for both, and a cache that is gone is told no more.
func TestCachesOfOneStoreForgetTogether(t *testing.T) {
	redis := startRedis(t)
	settings := redis.cache()
	settings.Size = 2000
	server := newFakeServer(t)
	server.on("/introspect", respond(`{"active":true,"client_id":"app"}`))
	open := func(settings CacheConfig) *Provider {
		p := providerFor(t, server.introspecting(), CacheConfig{})
		var err error
		if p.cache, err = openCache(&settings); err != nil {
			t.Fatal(err)
		}
		return p
	}
	before, after := open(redis.cache()), open(settings)
	redis.waitFor(before, sharedOK)
	redis.waitFor(after, sharedOK)
	store := after.cache.shared.(*redisShare).redisStore
	if before.cache.shared.(*redisShare).redisStore != store {
		t.Error("two caches on one Redis have two stores")
	}
	for _, what := range []selection{{tokensOfClient, "app"}, {oneToken, "token"}, {kind: allTokens}} {
		for _, p := range []*Provider{before, after} {
			mustVerify(t, p, "token")
		}
		revoke(t, before, what)
		for _, p := range []*Provider{before, after} {
			if positive, _ := p.cache.sizes(); positive != 0 {
				t.Errorf("%v: %d tokens are left", what, positive)
			}
		}
	}
	if err := before.cache.release(); err != nil {
		t.Fatal(err)
	}
	if len(store.shares) != 1 || store.client.Load() == nil || after.cache.shared.status().State != sharedOK {
		t.Errorf("the store has %d shares and is %v, want it to go on for one", len(store.shares), after.cache.shared.status())
	}
	if err := after.cache.release(); err != nil {
		t.Fatal(err)
	}
	redisStores.Range(func(_, _ any) bool {
		t.Error("the store goes on for nobody")
		return true
	})
}

// A revocation of so many that all tokens are revoked instead is done like any.
func TestManyRevocationsWaitAsOne(t *testing.T) {
	w := new(waitingRevocations)
	for i := range maxWaiting {
		w.add(revoked{tokensOfClient, fmt.Sprint(i)})
	}
	first, _ := w.first()
	w.add(revoked{tokensOfClient, "one more"})
	w.done(first) // was written meanwhile
	if next, ok := w.first(); !ok || next.Kind != allTokens || w.count() != 1 {
		t.Errorf("%v waits, of %d, want all tokens", next, w.count())
	}
	w.done(revoked{Kind: allTokens})
	if _, ok := w.first(); ok {
		t.Error("what was written still waits")
	}
}
