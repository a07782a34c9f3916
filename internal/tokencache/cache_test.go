// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

func TestHitAllocatesNothing(t *testing.T) {
	c := cacheFor(t, testSettings())
	now, key := time.Now(), Key{1}
	c.Keep(key, 0, &token.Token{}, now, now, 0)
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Lookup(key, now) }); n != 0 {
		t.Errorf("a hit makes %v allocations", n)
	}
}

// Keys tell apart what differs in a single bit or in length only.
func TestCacheKeys(t *testing.T) {
	h := NewHasher()
	seen := map[Key]string{}
	for n := range 200 {
		for _, raw := range []string{strings.Repeat("a", n), strings.Repeat("a", n) + "b", strings.Repeat("\x00", n+1)} {
			key := h.Key(raw)
			if other, ok := seen[key]; ok {
				t.Fatalf("%q and %q have one key", raw, other)
			}
			seen[key] = raw
		}
	}
}

func TestTooLargeToKeep(t *testing.T) {
	c := cacheFor(t, testSettings())
	now := time.Now()
	c.Keep(Key{1}, 0, &token.Token{ClaimsJSON: strings.Repeat(" ", MaxClaims)}, now, now, 0)
	c.Keep(Key{2}, 0, &token.Token{ClaimsJSON: strings.Repeat(" ", MaxClaims+1)}, now, now, 0)
	if kept, _ := c.Lookup(Key{1}, now); kept == nil {
		t.Error("the largest token that may be kept was not")
	}
	if kept, _ := c.Lookup(Key{2}, now); kept != nil {
		t.Error("a token that is too large was kept")
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := cacheFor(t, Settings{Size: 100, MaxAge: testMaxAge, NegativeAge: time.Second})
	now := time.Now()
	for i := range 10_000 {
		key := Key{byte(i), byte(i >> 8), 1}
		c.Keep(key, 0, &token.Token{}, now, now, 0)
		c.KeepRefusal(Key{byte(i), byte(i >> 8), 2}, 0, token.Refuse(token.Inactive, ""), now)
	}
	c.CleanUp()
	if positive, negative := c.Sizes(); positive > 100 || negative > minNegativeSize {
		t.Errorf("got %d and %d entries", positive, negative)
	}
}

// Expired entries give their memory back although no request asks for them.
func TestExpiredEntriesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cacheFor(t, testSettings())
		c.Keep(Key{1}, 0, &token.Token{ExpiresAt: time.Now().Add(time.Minute)}, time.Now(), time.Now(), 0)
		c.Keep(Key{2}, 0, &token.Token{}, time.Now(), time.Now(), time.Hour)
		c.KeepRefusal(Key{3}, 0, token.Refuse(token.Inactive, ""), time.Now())
		time.Sleep(30 * time.Second)
		if positive, negative := c.Sizes(); positive != 2 || negative != 0 {
			t.Errorf("after 30s: %d and %d entries, want 2 and 0", positive, negative)
		}
		time.Sleep(time.Minute)
		if positive, _ := c.Sizes(); positive != 1 {
			t.Errorf("after 90s: %d entries, want 1", positive)
		}
		time.Sleep(2 * time.Hour)
		if positive, _ := c.Sizes(); positive != 0 {
			t.Errorf("after 2h: %d entries, want 0", positive)
		}
	})
}
