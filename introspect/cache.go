// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/caddyserver/caddy/v2"
	"github.com/maypok86/otter/v2"
	"github.com/minio/highwayhash"
)

// The cache remembers what a token is, never what it may do. It has two
// segments that do not compete for room: whoever floods the gateway with
// made-up tokens pushes out what is known about other made-up tokens, and
// nothing else.
//
// Both are bounded by count. Entries have two ends: their own, which is
// compared with the clock at each lookup and decides, and the cache library's,
// which only sees to it that memory is given back.

// caches keeps the cache across reloads that do not change its settings.
var caches = caddy.NewUsagePool()

type tokenCache struct {
	settings CacheConfig
	positive *otter.Cache[cacheKey, verified]
	negative *otter.Cache[cacheKey, refused]
	shared   sharedStore // nil: this process has no second level

	// epoch counts evictions. What began to be verified in an older one is
	// not kept: its answer may be from before the revocation that somebody
	// wanted to take effect.
	epochMu sync.RWMutex
	epoch   uint64
}

// recorded is one in how many hits the cache library learns about, by the
// clock's nanoseconds. What it has learned it has to put into the order in which
// entries leave, in a goroutine that it starts for that; a sample gives the same
// order at a fraction of the cost. A clock that ticks more slowly records more.
const recorded = 16

// cacheKey stands for a token at a provider. The token cannot be found from
// it.
type cacheKey [highwayhash.Size128]byte

// verified is an entry of the positive segment. Times are in nanoseconds
// since 1970.
type verified struct {
	token    *Token
	fresh    int64 // used without asking until then
	stale    int64 // used until then if asking fails
	lifetime time.Duration
}

// refused is an entry of the negative segment.
type refused struct {
	err      *Error
	fresh    int64
	lifetime time.Duration
}

// openCache returns the cache with these settings, which may be in use already.
func openCache(config *CacheConfig) (*tokenCache, error) {
	config, err := config.resolved()
	if err != nil {
		return nil, err
	}
	settings := config.settled()
	shared, _, err := caches.LoadOrNew(settings, func() (caddy.Destructor, error) {
		c, err := newTokenCache(settings)
		if err != nil || settings.Redis == "" {
			return c, err
		}
		share, err := shareRedis(settings.Redis, settings.RedisKey, c.forget)
		if err != nil {
			return nil, errors.Join(err, c.Destruct())
		}
		c.shared = share
		return c, nil
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return shared.(*tokenCache), nil
}

func newTokenCache(settings CacheConfig) (*tokenCache, error) {
	c := &tokenCache{settings: settings}
	var err1, err2 error
	c.positive, err1 = otter.New(&otter.Options[cacheKey, verified]{
		MaximumSize: settings.Size,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[cacheKey, verified]) time.Duration {
			return e.Value.lifetime
		}),
	})
	c.negative, err2 = otter.New(&otter.Options[cacheKey, refused]{
		MaximumSize: max(settings.Size/10, minNegativeSize),
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[cacheKey, refused]) time.Duration {
			return e.Value.lifetime
		}),
	})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return c, nil
}

// release lets go of the cache, which ends if no other configuration has it.
func (c *tokenCache) release() error {
	_, err := caches.Delete(c.settings)
	return err
}

// Destruct implements caddy.Destructor.
func (c *tokenCache) Destruct() error {
	if c.shared != nil {
		c.shared.close()
	}
	c.positive.StopAllGoroutines()
	c.negative.StopAllGoroutines()
	c.positive.InvalidateAll()
	c.negative.InvalidateAll()
	return nil
}

// lookup returns what is known about a token: either the token or the refusal,
// or nil twice. It allocates nothing.
func (c *tokenCache) lookup(key cacheKey, now time.Time) (*Token, *Error) {
	nano := now.UnixNano()
	if nano%recorded != 0 {
		if e, ok := c.positive.GetEntryQuietly(key); ok && nano < e.Value.fresh {
			return e.Value.token, nil
		}
	}
	if e, ok := c.positive.GetIfPresent(key); ok && nano < e.fresh {
		return e.token, nil
	}
	if e, ok := c.negative.GetIfPresent(key); ok && nano < e.fresh {
		return nil, e.err
	}
	return nil, nil
}

// lookupStale returns a token that would have to be verified anew, if it may
// be used because that is impossible; else nil.
func (c *tokenCache) lookupStale(key cacheKey, now time.Time) *Token {
	if e, ok := c.positive.GetIfPresent(key); ok && now.UnixNano() < e.stale {
		return e.token
	}
	return nil
}

// currentEpoch is asked before a token is verified and handed in with the
// outcome.
func (c *tokenCache) currentEpoch() uint64 {
	c.epochMu.RLock()
	defer c.epochMu.RUnlock()
	return c.epoch
}

// lifetimes returns until when a token that was verified at some time is used
// without asking again: min(exp, max_age); and until when if asking fails.
func (c *tokenCache) lifetimes(token *Token, verifiedAt time.Time, staleFor time.Duration) (fresh, stale time.Time) {
	fresh = verifiedAt.Add(time.Duration(c.settings.MaxAge))
	stale = fresh.Add(staleFor)
	if token != nil && !token.ExpiresAt.IsZero() {
		fresh, stale = earlier(fresh, token.ExpiresAt), earlier(stale, token.ExpiresAt)
	}
	return fresh, stale
}

// keep remembers a verified token.
func (c *tokenCache) keep(key cacheKey, epoch uint64, token *Token, verifiedAt, now time.Time, staleFor time.Duration) {
	fresh, stale := c.lifetimes(token, verifiedAt, staleFor)
	if !now.Before(fresh) || len(token.ClaimsJSON) > maxCachedClaims {
		return
	}
	c.epochMu.RLock()
	defer c.epochMu.RUnlock()
	if c.epoch != epoch {
		return
	}
	c.positive.Set(key, verified{token, fresh.UnixNano(), stale.UnixNano(), stale.Sub(now)})
	c.negative.Invalidate(key)
}

// keepRefusal remembers that a token was refused.
func (c *tokenCache) keepRefusal(key cacheKey, epoch uint64, err *Error, now time.Time) {
	c.epochMu.RLock()
	defer c.epochMu.RUnlock()
	if c.epoch != epoch {
		return
	}
	age := time.Duration(c.settings.NegativeAge)
	c.negative.Set(key, refused{err, now.Add(age).UnixNano(), age})
	c.positive.Invalidate(key)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// newEpoch makes everything that is being verified now a thing of the past.
// When it returns, what was kept before is there to be found and evicted.
func (c *tokenCache) newEpoch() {
	c.epochMu.Lock()
	c.epoch++
	c.epochMu.Unlock()
}

// evict forgets what was selected. For one token these are its keys, since
// each provider has another one for it. Everything else is looked at: evictions
// are rare, and an index would cost every token memory.
func (c *tokenCache) evict(what selection, keys []cacheKey) (evicted int) {
	c.newEpoch()
	switch what.kind {
	case oneToken:
		for _, key := range keys {
			if _, was := c.positive.Invalidate(key); was {
				evicted++
			}
			c.negative.Invalidate(key)
		}
	case allTokens:
		evicted = c.positive.EstimatedSize()
		c.positive.InvalidateAll()
		c.negative.InvalidateAll()
	default:
		for key, e := range c.positive.All() {
			if what.matches(e.token) {
				c.positive.Invalidate(key)
				evicted++
			}
		}
	}
	return evicted
}

// forget evicts what other gateways revoked, however much it is, in one go. A
// token goes by the name that it has among gateways.
func (c *tokenCache) forget(what []revoked) {
	gone := make(map[revoked]bool, len(what))
	for _, r := range what {
		if r.Kind == allTokens {
			c.evict(selection{kind: allTokens}, nil)
			return
		}
		gone[r] = true
	}
	c.newEpoch()
	for key, e := range c.positive.All() {
		t := e.token
		if gone[revoked{tokensOfClient, t.ClientID}] || gone[revoked{tokensOfSubject, t.Subject}] || gone[revoked{oneToken, string(t.SharedName[:])}] {
			c.positive.Invalidate(key)
		}
	}
}

// sizes returns how many entries there are, some of which may have expired a
// moment ago.
func (c *tokenCache) sizes() (positive, negative int) {
	return c.positive.EstimatedSize(), c.negative.EstimatedSize()
}

// keyedHash turns tokens into cache keys. It is a secret of this process that
// each server draws anew: a token verified by one can never be found by
// another, and nobody can choose tokens that collide. What a server with the
// same settings kept that was gone in between is not found either: nobody could
// evict it by its key meanwhile.
type keyedHash [highwayhash.Size]byte

func newKeyedHash() (h keyedHash) {
	rand.Read(h[:]) // never fails, see its documentation
	return h
}

// key returns the cache key of a token. HighwayHash is made for keys that an
// attacker must not be able to foresee, and takes a fifth of the time of
// SHA-256 where there are no instructions for that.
func (h *keyedHash) key(raw string) cacheKey {
	// The bytes of the string are only read.
	return highwayhash.Sum128(unsafe.Slice(unsafe.StringData(raw), len(raw)), h[:])
}

// CacheStatus is the state of the cache, for the operator.
type CacheStatus struct {
	Positive SegmentStatus `json:"positive"`
	Negative SegmentStatus `json:"negative"`
	Shared   *SharedStatus `json:"shared,omitempty"`
}

// SegmentStatus is the state of one segment: how many entries there are, how
// many fit, and how long an entry is used.
type SegmentStatus struct {
	Entries int    `json:"entries"`
	Size    uint64 `json:"size"`
	Age     string `json:"age"`
}

func (c *tokenCache) status() CacheStatus {
	positive, negative := c.sizes()
	status := CacheStatus{
		Positive: SegmentStatus{positive, c.positive.GetMaximum(), time.Duration(c.settings.MaxAge).String()},
		Negative: SegmentStatus{negative, c.negative.GetMaximum(), time.Duration(c.settings.NegativeAge).String()},
	}
	if c.shared != nil {
		status.Shared = c.shared.status()
	}
	return status
}
