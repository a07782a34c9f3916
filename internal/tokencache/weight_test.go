// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

func TestWeights(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings Settings
		bytes    int
		want     uint32 // of ordinary tokens
	}{
		{"an ordinary token", Settings{Size: 100_000}, 2600, 1},
		{"a small one", Settings{Size: 100_000}, 1, 1},
		{"four times its share", Settings{Size: 1000, Memory: 1 << 20}, 4 * 1048, 4},
		{"many tokens have the same room each", Settings{Size: 1_000_000}, 2600, 1},
		{"few have more", Settings{Size: 1000}, 256 << 10, 1},
		{"more tokens than bytes", Settings{Size: 1 << 21, Memory: 1 << 20}, 1000, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := newWeigher(test.settings).of(test.bytes); got != test.want*ordinary {
				t.Errorf("%d bytes weigh %d, want %d", test.bytes, got, test.want*ordinary)
			}
		})
	}
}

// fill keeps n tokens with claims of a size, and with each what a handler makes of
// it, and returns how many bytes the cache should hold at most and does hold, by
// the tokens' own account.
func fill(c *Cache, n, claims, rendered int) (held uint64) {
	now := time.Now()
	document := strings.Repeat("x", claims)
	for i := range n {
		var key Key
		binary.BigEndian.PutUint64(key[:], uint64(i))
		t := &token.Token{ClaimsJSON: strings.Clone(document)}
		c.Keep(key, 0, t, now, now, 0)
		if rendered > 0 {
			t.SetValue(token.ValueKey{Generation: 1, Handler: 1}, headers(make([]byte, rendered)))
			c.Reweigh(key, t)
		}
	}
	c.CleanUp()
	for _, e := range c.positive.All() {
		held += uint64(e.token.Size())
	}
	return held
}

// headers stand for what a handler renders.
type headers []byte

func (h headers) Size() int { return len(h) }

func TestMemoryIsBounded(t *testing.T) {
	for _, test := range []struct {
		name             string
		n                int
		claims, rendered int
		least            int // entries that stay
	}{
		{"ordinary tokens", 1000, 800, 300, 990},
		{"fat tokens", 3000, 60 << 10, 0, 35},
		{"fat headers", 3000, 800, 60 << 10, 35},
	} {
		t.Run(test.name, func(t *testing.T) {
			const memory = 3 << 20
			c := cacheFor(t, Settings{Size: 1000, Memory: memory, MaxAge: testMaxAge, NegativeAge: time.Second})
			held := fill(c, test.n, test.claims, test.rendered)
			entries, _ := c.Sizes()
			if held > memory || entries < test.least || entries > 1000 {
				t.Errorf("%d entries hold %d bytes, want at least %d entries and at most %d bytes", entries, held, test.least, memory)
			}
		})
	}
}

// What a handler keeps with a token must not keep the token for longer, or
// to bring it back.
func TestGrowthKeepsNothingAlive(t *testing.T) {
	c := cacheFor(t, testSettings())
	now := time.Now()
	old, current := &token.Token{Subject: "old"}, &token.Token{Subject: "current"}
	c.Keep(Key{1}, 0, old, now, now, 0)
	c.Keep(Key{1}, 0, current, now, now, 0)
	old.SetValue(token.ValueKey{Generation: 1, Handler: 1}, headers(make([]byte, 100_000)))
	c.Reweigh(Key{1}, old)
	if got, _ := c.Lookup(Key{1}, now); got != current {
		t.Errorf("got %v, want the current token", got)
	}
	c.forget(One("x"), []Key{{1}})
	current.SetValue(token.ValueKey{Generation: 1, Handler: 1}, headers(make([]byte, 100_000)))
	c.Reweigh(Key{1}, current)
	if got, _ := c.Lookup(Key{1}, now); got != nil {
		t.Errorf("a revoked token is back: %v", got)
	}
}

func TestFatRefusalsAreBounded(t *testing.T) {
	c := cacheFor(t, Settings{Size: 10_000, MaxAge: testMaxAge, NegativeAge: time.Minute})
	for i := range 2000 {
		var key Key
		binary.BigEndian.PutUint64(key[:], uint64(i))
		c.KeepRefusal(key, 0, token.Refuse(token.Invalid, "%s", strings.Repeat("x", 256<<10)), time.Now())
	}
	c.CleanUp()
	if _, negative := c.Sizes(); negative > 110 {
		t.Errorf("%d refusals of 256 KiB are kept, want at most a hundred", negative)
	}
}

// BenchmarkMemory prints what a cache with the default settings takes for the
// tokens of clients that choose their size.
func BenchmarkMemory(b *testing.B) {
	for _, test := range []struct {
		name                string
		n, claims, rendered int
	}{
		{"fat tokens", 16_437, MaxClaims, 0},
		{"eight base64 headers", 6000, 1024, 8 * (8 << 10)},
		{"ordinary tokens", 100_000, 1024, 400},
	} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				c, err := newCache(Settings{Size: DefaultSize, MaxAge: time.Hour, NegativeAge: time.Second})
				if err != nil {
					b.Fatal(err)
				}
				before := heap()
				fill(c, test.n, test.claims, test.rendered)
				b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
				entries, _ := c.Sizes()
				b.ReportMetric(float64(entries), "entries")
				if err := c.Destruct(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
