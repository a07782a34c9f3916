// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCacheHitAllocatesNothing(t *testing.T) {
	server := newFakeServer(t)
	server.on("/introspect", respond(active("")))
	p := providerFor(t, server.introspecting(), CacheConfig{})
	raw := strings.Repeat("x", 800)
	if _, err := p.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = p.Verify(ctx, raw) }); n != 0 {
		t.Errorf("a hit makes %v allocations", n)
	}
}

// Keys tell apart what differs in a single bit or in length only.
func TestCacheKeys(t *testing.T) {
	h := newKeyedHash()
	seen := map[cacheKey]string{}
	for n := range 200 {
		for _, raw := range []string{strings.Repeat("a", n), strings.Repeat("a", n) + "b", strings.Repeat("\x00", n+1)} {
			key := h.key(raw)
			if other, ok := seen[key]; ok {
				t.Fatalf("%q and %q have one key", raw, other)
			}
			seen[key] = raw
		}
	}
}

func TestTooLargeToRemember(t *testing.T) {
	c := cacheFor(t, CacheConfig{})
	now := time.Now()
	c.keep(cacheKey{1}, 0, &Token{ClaimsJSON: make([]byte, maxCachedClaims)}, now, now, 0)
	c.keep(cacheKey{2}, 0, &Token{ClaimsJSON: make([]byte, maxCachedClaims+1)}, now, now, 0)
	if token, _ := c.lookup(cacheKey{1}, now); token == nil {
		t.Error("the largest that may be remembered is not")
	}
	if token, _ := c.lookup(cacheKey{2}, now); token != nil {
		t.Error("one that is too large is remembered")
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := cacheFor(t, CacheConfig{Size: 100})
	now := time.Now()
	for i := range 10_000 {
		key := cacheKey{byte(i), byte(i >> 8), 1}
		c.keep(key, 0, &Token{}, now, now, 0)
		c.keepRefusal(cacheKey{byte(i), byte(i >> 8), 2}, 0, refuse(TokenInactive, ""), now)
	}
	c.positive.CleanUp()
	c.negative.CleanUp()
	if positive, negative := c.sizes(); positive > 100 || negative > minNegativeSize {
		t.Errorf("got %d and %d entries", positive, negative)
	}
}

// Expired entries give their memory back although nobody asks for them.
func TestExpiredEntriesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cacheFor(t, CacheConfig{})
		c.keep(cacheKey{1}, 0, &Token{ExpiresAt: time.Now().Add(time.Minute)}, time.Now(), time.Now(), 0)
		c.keep(cacheKey{2}, 0, &Token{}, time.Now(), time.Now(), time.Hour)
		c.keepRefusal(cacheKey{3}, 0, refuse(TokenInactive, ""), time.Now())
		time.Sleep(30 * time.Second)
		if positive, negative := c.sizes(); positive != 2 || negative != 0 {
			t.Errorf("after 30s: %d and %d entries, want 2 and 0", positive, negative)
		}
		time.Sleep(time.Minute)
		if positive, _ := c.sizes(); positive != 1 {
			t.Errorf("after 90s: %d entries, want 1", positive)
		}
		time.Sleep(2 * time.Hour)
		if positive, _ := c.sizes(); positive != 0 {
			t.Errorf("after 2h: %d entries, want 0", positive)
		}
	})
}
