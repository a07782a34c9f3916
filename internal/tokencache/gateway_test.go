// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-gluu/gateway/internal/redistest"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

const (
	testMaxAge   = 10 * time.Minute
	testRedisKey = "a key of thirty-two bytes or more"
)

func testSettings() Settings {
	return Settings{Size: 100_000, MaxAge: testMaxAge, NegativeAge: 10 * time.Second}
}

// issuer is an authorization server that answers about tokens, and counts how
// often it was asked.
type issuer struct {
	mu    sync.Mutex
	about func(raw string) string // returns an introspection answer
	asked int
}

const inactive = `{"active":false}`

func active(extra string) string {
	if extra != "" {
		extra = "," + extra
	}
	return `{"active":true,"client_id":"app","sub":"alice","scope":"read write"` + extra + `}`
}

func newIssuer() *issuer {
	i := new(issuer)
	i.answer(inactive)
	return i
}

func (i *issuer) answer(text string) { i.answerAbout(func(string) string { return text }) }

func (i *issuer) answerAbout(about func(raw string) string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.about = about
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func (i *issuer) introspect(raw string) (*token.Token, *token.Error) {
	i.mu.Lock()
	i.asked++
	text := i.about(raw)
	i.mu.Unlock()
	if text == inactive {
		return nil, token.Refuse(token.Inactive, "inactive")
	}
	claims, err := jose.ParseObject([]byte(text))
	if err != nil {
		return nil, token.AsError(err)
	}
	t, err := token.FromClaims(claims, token.Mapping{})
	if err != nil {
		return nil, token.AsError(err)
	}
	t.ClaimsJSON = text
	return t, nil
}

// gateway verifies tokens by asking the issuer, and uses the cache as every
// verifier should.
type gateway struct {
	cache  *Cache
	keys   Hasher
	issuer *issuer
	now    func() time.Time
}

func (g *gateway) recordID(raw string) RecordID { return RecordID{[32]byte{'s'}, raw} }

func (g *gateway) Verify(ctx context.Context, raw string) (*token.Token, error) {
	key := g.keys.Key(raw)
	if t, refusal := g.cache.Lookup(key, g.now()); t != nil {
		return t, nil
	} else if refusal != nil {
		return nil, refusal
	}
	epoch := g.cache.Epoch()
	var since Position
	if g.cache.IsShared() {
		var t *token.Token
		var verifiedAt time.Time
		if t, verifiedAt, since = g.cache.Fetch(ctx, g.recordID(raw), g.now()); t != nil {
			g.prepare(t, raw)
			g.cache.Keep(key, epoch, t, verifiedAt, g.now(), 0)
			return t, nil
		}
	}
	t, refusal := g.issuer.introspect(raw)
	now := g.now()
	if refusal != nil {
		g.cache.KeepRefusal(key, epoch, refusal, now)
		return nil, refusal
	}
	g.prepare(t, raw)
	g.cache.Keep(key, epoch, t, now, now, 0)
	if g.cache.IsShared() {
		g.cache.Share(ctx, g.recordID(raw), since, t, now)
	}
	return t, nil
}

func (g *gateway) prepare(t *token.Token, raw string) {
	t.Compact()
	t.SharedName = g.cache.SharedName(raw)
}

func gatewayWith(c *Cache, server *issuer) *gateway {
	return &gateway{cache: c, keys: NewHasher(), issuer: server, now: time.Now}
}

// cacheFor makes a cache with a store of its own, as if it were the only one of
// its process.
func cacheFor(t testing.TB, settings Settings) *Cache {
	t.Helper()
	c, err := newCache(settings)
	if err != nil {
		t.Fatal(err)
	}
	if settings.Redis != "" {
		store, err := openRedis(settings.Redis, settings.RedisKey, new(waitingRevocations))
		if err != nil {
			t.Fatal(err)
		}
		c.shared = store.share(c.forgetRevoked, store.close)
	}
	t.Cleanup(func() { _ = c.Destruct() })
	return c
}

// on returns the settings of gateways that share a Redis.
func on(url string) Settings {
	settings := testSettings()
	settings.Redis, settings.RedisKey = url, testRedisKey
	return settings
}

// gatewayOn makes a gateway and waits until it uses Redis.
func gatewayOn(t *testing.T, server *issuer, url string) *gateway {
	t.Helper()
	g := gatewayWith(cacheFor(t, on(url)), server)
	waitFor(t, g, SharedOK)
	return g
}

func waitFor(t *testing.T, g *gateway, state string) {
	t.Helper()
	redistest.Eventually(t, "the shared cache is "+state, func() bool {
		return g.cache.Status().Shared.State == state
	})
}

// store returns the store of a gateway on Redis.
func (g *gateway) store() *redisShare { return g.cache.shared.(*redisShare) }

func mustVerify(t *testing.T, g *gateway, raw string) *token.Token {
	t.Helper()
	verified, err := g.Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return verified
}

// refuses checks that the issuer is asked about a token and refuses it.
func refuses(t *testing.T, g *gateway, raw string) {
	t.Helper()
	_, err := g.Verify(t.Context(), raw)
	if refusal, ok := errors.AsType[*token.Error](err); !ok || refusal.Reason != token.Inactive {
		t.Errorf("%s: got %v, want the issuer asked and the token refused", raw, err)
	}
}

func revoke(t *testing.T, g *gateway, what Selection) {
	t.Helper()
	if _, err := g.cache.Forget(t.Context(), what, []Key{g.keys.Key(what.value)}); err != nil {
		t.Fatal(err)
	}
}

// recordKeys returns the keys of all records.
func recordKeys(t *testing.T, client rueidis.Client) []string {
	t.Helper()
	keys, err := client.Do(t.Context(), client.B().Keys().Pattern("gluu:*:t:*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// testClock is a clock that a test turns.
type testClock struct{ nano atomic.Int64 }

func newTestClock() *testClock {
	c := new(testClock)
	c.nano.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}

func (c *testClock) now() time.Time          { return time.Unix(0, c.nano.Load()) }
func (c *testClock) advance(d time.Duration) { c.nano.Add(int64(d)) }

func (c *testClock) on(g *gateway) *gateway {
	g.now = c.now
	return g
}
