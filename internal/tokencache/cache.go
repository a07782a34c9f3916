// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/maypok86/otter/v2"

	"github.com/caddy-gluu/gateway/internal/token"
)

// The cache of this process has two segments that do not compete for room: a
// flood of made-up tokens evicts what is known about other made-up tokens, and
// nothing else.
//
// Both are bounded by count and by memory: others choose how large a token is, and
// what handlers make of it (see weigher). An entry ends twice: its own end, which each lookup
// compares with the clock, decides; that of the cache library only gives memory
// back.

// Settings bound how many tokens are kept and for how long. All are required but
// Redis and RedisKey, which come together, and Memory.
type Settings struct {
	Size        int           // verified tokens
	MaxAge      time.Duration // how long a verified token is used without asking again
	NegativeAge time.Duration // how long a refusal is used
	Redis       string        // the address of a Redis that gateways share; "" for none
	RedisKey    string        // the secret that seals what is stored there
	Memory      uint64        // bytes that verified tokens take; 0: enough for Size ordinary ones
}

const (
	minNegativeSize = 1000

	// MaxClaims is the size in bytes of a token's claims beyond which the token
	// is used but not kept: it would take the room of too many others.
	MaxClaims = 64 << 10
)

// Cache keeps verified tokens and refusals. It is safe for concurrent use.
type Cache struct {
	settings Settings
	positive *otter.Cache[Key, verified]
	negative *otter.Cache[Key, refused]
	weigh    weigher
	shared   sharedStore // nil: this process has no second level
	revoked  atomic.Pointer[func(isRevoked func(t *token.Token, raw string) bool)]

	// epoch counts evictions. The outcome of a verification that started in an
	// older epoch is not kept: it may be from before the revocation.
	epochMu sync.RWMutex
	epoch   uint64
}

// sampleRate is one in how many hits the cache library is told of, by the
// clock's nanoseconds. The library puts what it is told into the order in which
// entries leave, in a goroutine that it starts for that; a sample gives the same
// order at a fraction of the cost. A clock that ticks more slowly tells it more.
const sampleRate = 16

// verified is an entry of the positive segment. Times are in nanoseconds
// since 1970.
type verified struct {
	token    *token.Token
	fresh    int64 // used without asking until then
	stale    int64 // used until then if asking fails
	lifetime time.Duration
	weight   uint32
}

// refused is an entry of the negative segment.
type refused struct {
	err      *token.Error
	fresh    int64
	lifetime time.Duration
	weight   uint32
}

// caches keeps the cache across reloads that do not change its settings.
var caches = caddy.NewUsagePool()

// Open returns the cache with these settings, which may be in use already. It
// does not wait for Redis. Call [Cache.Release] when it is no longer needed.
func Open(settings Settings) (*Cache, error) {
	opened, _, err := caches.LoadOrNew(settings, func() (caddy.Destructor, error) {
		c, err := newCache(settings)
		if err != nil || settings.Redis == "" {
			return c, err
		}
		share, err := shareRedis(settings.Redis, settings.RedisKey, c.forgetRevoked)
		if err != nil {
			return nil, errors.Join(err, c.Destruct())
		}
		c.shared = share
		return c, nil
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return opened.(*Cache), nil
}

func newCache(settings Settings) (*Cache, error) {
	c := &Cache{settings: settings, weigh: newWeigher(settings)}
	var err1, err2 error
	c.positive, err1 = otter.New(&otter.Options[Key, verified]{
		MaximumWeight: c.weigh.maximum(settings.Size),
		Weigher:       func(_ Key, v verified) uint32 { return v.weight },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Key, verified]) time.Duration {
			return e.Value.lifetime
		}),
	})
	c.negative, err2 = otter.New(&otter.Options[Key, refused]{
		MaximumWeight: c.weigh.maximum(max(settings.Size/10, minNegativeSize)),
		Weigher:       func(_ Key, v refused) uint32 { return v.weight },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Key, refused]) time.Duration {
			return e.Value.lifetime
		}),
	})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return c, nil
}

// Release lets go of the cache, which ends when no other configuration uses it.
func (c *Cache) Release() error {
	_, err := caches.Delete(c.settings)
	return err
}

// Destruct implements caddy.Destructor.
func (c *Cache) Destruct() error {
	if c.shared != nil {
		c.shared.close()
	}
	c.positive.StopAllGoroutines()
	c.negative.StopAllGoroutines()
	c.positive.InvalidateAll()
	c.negative.InvalidateAll()
	return nil
}

// Lookup returns what is known about a token: either the token or the refusal,
// or nil twice. It allocates nothing.
func (c *Cache) Lookup(key Key, now time.Time) (*token.Token, *token.Error) {
	if t := c.LookupVerified(key, now); t != nil {
		return t, nil
	}
	if e, ok := c.negative.GetIfPresent(key); ok && now.UnixNano() < e.fresh {
		return nil, e.err
	}
	return nil, nil
}

// LookupVerified returns the token if it is known to be verified, else nil. It
// allocates nothing.
func (c *Cache) LookupVerified(key Key, now time.Time) *token.Token {
	nano := now.UnixNano()
	if nano%sampleRate != 0 {
		if e, ok := c.positive.GetEntryQuietly(key); ok && nano < e.Value.fresh {
			return e.Value.token
		}
	}
	if e, ok := c.positive.GetIfPresent(key); ok && nano < e.fresh {
		return e.token
	}
	return nil
}

// LookupStale returns a token that would have to be verified again, if it may
// be used because that is impossible; else nil.
func (c *Cache) LookupStale(key Key, now time.Time) *token.Token {
	if e, ok := c.positive.GetIfPresent(key); ok && now.UnixNano() < e.stale {
		return e.token
	}
	return nil
}

// Epoch is asked before a token is verified, and handed back with the outcome.
func (c *Cache) Epoch() uint64 {
	c.epochMu.RLock()
	defer c.epochMu.RUnlock()
	return c.epoch
}

// lifetimes returns until when a token that was verified at some time is used
// without asking again, min(exp, max_age), and until when if asking fails.
func (c *Cache) lifetimes(t *token.Token, verifiedAt time.Time, staleFor time.Duration) (fresh, stale time.Time) {
	fresh = verifiedAt.Add(c.settings.MaxAge)
	stale = fresh.Add(staleFor)
	if t != nil && !t.ExpiresAt.IsZero() {
		fresh, stale = earlier(fresh, t.ExpiresAt), earlier(stale, t.ExpiresAt)
	}
	return fresh, stale
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Keep keeps a token that was verified at some time, here or by another
// gateway. For staleFor after its end it remains available to LookupStale.
func (c *Cache) Keep(key Key, epoch uint64, t *token.Token, verifiedAt, now time.Time, staleFor time.Duration) {
	fresh, stale := c.lifetimes(t, verifiedAt, staleFor)
	if !now.Before(fresh) || len(t.ClaimsJSON) > MaxClaims {
		return
	}
	c.epochMu.RLock()
	defer c.epochMu.RUnlock()
	if c.epoch != epoch {
		return
	}
	c.positive.Set(key, verified{t, fresh.UnixNano(), stale.UnixNano(), stale.Sub(now), c.weigh.of(t.Size())})
	c.negative.Invalidate(key)
}

// KeepRefusal keeps why a token was refused, for as long as the reason lasts.
func (c *Cache) KeepRefusal(key Key, epoch uint64, err *token.Error, now time.Time) {
	c.epochMu.RLock()
	defer c.epochMu.RUnlock()
	if c.epoch != epoch {
		return
	}
	age := c.settings.NegativeAge
	if !err.Until.IsZero() {
		age = min(age, err.Until.Sub(now))
	}
	if age <= 0 {
		return
	}
	c.negative.Set(key, refused{err, now.Add(age).UnixNano(), age, c.weigh.of(refusalSize + len(err.Error()))})
	c.positive.Invalidate(key)
}

// Sizes returns how many entries there are, some of which may have expired a
// moment ago.
func (c *Cache) Sizes() (positive, negative int) {
	return c.positive.EstimatedSize(), c.negative.EstimatedSize()
}

// CleanUp removes what is beyond the size now, and not a moment later.
func (c *Cache) CleanUp() {
	c.positive.CleanUp()
	c.negative.CleanUp()
}

// IsShared reports whether the cache has a second level.
func (c *Cache) IsShared() bool { return c.shared != nil }

// Forget forgets the selected tokens here and on all gateways, and returns how
// many there were here. An error means that the other gateways have not been
// told yet. Keys are those of the selected token, if it is one: each verifier
// has a key of its own for it.
func (c *Cache) Forget(ctx context.Context, what Selection, keys []Key) (forgotten int, err error) {
	forgotten, err = c.Withdraw(ctx, what, keys)
	c.tellRevoked(what.isRevoked)
	return forgotten, err
}

// Withdraw is Forget for a caller that has found out by itself that the tokens are
// worth nothing any more: no one is told about it here.
//
// The second level goes first, so that a token that is missing here afterwards
// is not found there again.
func (c *Cache) Withdraw(ctx context.Context, what Selection, keys []Key) (forgotten int, err error) {
	if c.shared != nil {
		err = c.shared.forget(ctx, what)
	}
	return c.forget(what, keys), err
}

// OnRevoked has a function called when tokens are revoked, here or by another
// gateway, with what tells them: they may be in use without being in the cache.
func (c *Cache) OnRevoked(tell func(isRevoked func(t *token.Token, raw string) bool)) {
	c.revoked.Store(&tell)
}

func (c *Cache) tellRevoked(isRevoked func(t *token.Token, raw string) bool) {
	if tell := c.revoked.Load(); tell != nil {
		(*tell)(isRevoked)
	}
}
