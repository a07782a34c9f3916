// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 31, 23, 59, 30, 0, time.UTC)} }

func (c *clock) Now() time.Time { return c.now }

func count(l *Limiter, key string, requests int) (allowed int) {
	for range requests {
		if _, ok := l.Take(context.Background(), key, nil); ok {
			allowed++
		}
	}
	return allowed
}

func TestWindows(t *testing.T) {
	at := time.Date(2024, 2, 29, 13, 14, 15, 16, time.FixedZone("east", 3600))
	for period, want := range map[Period][2]string{
		Second: {"2024-02-29T12:14:15Z", "2024-02-29T12:14:16Z"},
		Minute: {"2024-02-29T12:14:00Z", "2024-02-29T12:15:00Z"},
		Hour:   {"2024-02-29T12:00:00Z", "2024-02-29T13:00:00Z"},
		Day:    {"2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		Month:  {"2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		Year:   {"2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"},
	} {
		t.Run(period.String(), func(t *testing.T) {
			start, end := period.window(at)
			if got := [2]string{start.Format(time.RFC3339), end.Format(time.RFC3339)}; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	c := newClock()
	l := New(Config{Limits: []Limit{{Second, 2}, {Minute, 5}}, Now: c.Now})
	if got := count(l, "a", 4); got != 2 {
		t.Errorf("in the first second: got %d, want 2", got)
	}
	if got := count(l, "b", 1); got != 1 {
		t.Errorf("another key: got %d, want 1", got)
	}
	c.now = c.now.Add(time.Second)
	usages, ok := l.Take(context.Background(), "a", nil)
	if !ok || len(usages) != 2 || usages[0].Remaining != 1 || usages[1].Remaining != 2 || usages[1].Reset != 29*time.Second {
		t.Errorf("got %+v, %v", usages, ok)
	}
	for range 3 {
		c.now = c.now.Add(time.Second)
		count(l, "a", 2)
	}
	if got := count(l, "a", 1); got != 0 {
		t.Errorf("beyond the minute: got %d, want 0", got)
	}
	c.now = c.now.Add(30 * time.Second) // February
	if got := count(l, "a", 3); got != 2 {
		t.Errorf("in the next minute: got %d, want 2", got)
	}
	c.now = c.now.Add(-10 * time.Second)
	if got := count(l, "a", 3); got != 0 {
		t.Errorf("after the clock went back: got %d, want 0", got)
	}
}

// A request that one window refuses counts in no other.
func TestARefusedRequestDoesNotCount(t *testing.T) {
	c := newClock()
	l := New(Config{Limits: []Limit{{Second, 1}, {Minute, 3}}, Now: c.Now})
	count(l, "a", 50)
	c.now = c.now.Add(time.Second)
	if got := count(l, "a", 50); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

// fakeShared is a counter in memory that can fail.
type fakeShared struct {
	mu    sync.Mutex
	used  map[string]int64
	trips int
	down  bool
}

func (f *fakeShared) Draw(_ context.Context, key string, n, limit int64, _ time.Time) (int64, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return 0, 0, errors.New("down")
	}
	f.trips++
	granted := max(min(n, limit-f.used[key]), 0)
	f.used[key] += granted
	return granted, limit - f.used[key], nil
}

// Several gateways together never exceed the limit, and make few trips.
func TestLeases(t *testing.T) {
	for _, gateways := range []int{1, 3, 100} {
		t.Run(fmt.Sprint(gateways), func(t *testing.T) {
			c, shared := newClock(), &fakeShared{used: map[string]int64{}}
			var limiters []*Limiter
			for range gateways {
				limiters = append(limiters, New(Config{Limits: []Limit{{Minute, 10_000}}, Shared: shared, Gateways: int64(gateways), Now: c.Now}))
			}
			var mu sync.Mutex
			var running sync.WaitGroup
			total := 0
			for _, l := range limiters {
				running.Go(func() {
					n := count(l, "a", 20_000/gateways*2)
					mu.Lock()
					total += n
					mu.Unlock()
				})
			}
			running.Wait()
			t.Logf("%d gateways: %d of 10000 requests passed, %d trips for %d", gateways, total, shared.trips, 20_000/gateways*2*gateways)
			if total > 10_000 || total < 9_500 {
				t.Errorf("got %d requests, want 10000 but for a few leases that are not spent", total)
			}
			if shared.trips > 4_000 {
				t.Errorf("got %d trips for 40000 requests, want one for ten at most", shared.trips)
			}
		})
	}
}

// Windows that refuse give back what the others have leased.
func TestLeasesOfSeveralWindows(t *testing.T) {
	c, shared := newClock(), &fakeShared{used: map[string]int64{}}
	l := New(Config{Limits: []Limit{{Second, 2}, {Minute, 6}}, Shared: shared, Now: c.Now})
	total := 0
	for range 5 {
		total += count(l, "a", 10)
		c.now = c.now.Add(time.Second)
	}
	if total != 6 {
		t.Errorf("got %d, want 6", total)
	}
}

// While the store is down each gateway keeps to its share, and it goes back to
// the store afterwards.
func TestAnOutage(t *testing.T) {
	c, shared := newClock(), &fakeShared{used: map[string]int64{}, down: true}
	l := New(Config{Limits: []Limit{{Minute, 9}}, Shared: shared, Gateways: 3, Now: c.Now})
	if got := count(l, "a", 20); got != 3 {
		t.Errorf("got %d, want the share of 3", got)
	}
	usages, _ := l.Take(context.Background(), "a", nil)
	if usages[0].Remaining != 0 {
		t.Errorf("got %d remaining", usages[0].Remaining)
	}
	shared.down = false
	if got := count(l, "b", 1); got != 1 || shared.trips != 0 {
		t.Errorf("within a second of a failure: got %d and %d trips, want none", got, shared.trips)
	}
	c.now = c.now.Add(2 * time.Second)
	if got := count(l, "b", 20); got != 9 || shared.trips == 0 {
		t.Errorf("got %d and %d trips", got, shared.trips)
	}
}

// What passes at most when the store is lost in the middle of a window: what was
// counted there, and the share of each gateway that has not used its own.
func TestAnOutageOfAHundredGateways(t *testing.T) {
	const gateways, limit = 100, 10_000
	for name, test := range map[string]struct {
		busy int // gateways that use up the limit before
		most int
	}{
		"one gateway had all the calls": {1, limit + (gateways-1)*(limit/gateways)},
		"they were spread evenly":       {gateways, limit + limit/10},
	} {
		t.Run(name, func(t *testing.T) {
			c, shared := newClock(), &fakeShared{used: map[string]int64{}}
			var limiters []*Limiter
			for range gateways {
				limiters = append(limiters, New(Config{Limits: []Limit{{Minute, limit}}, Shared: shared, Gateways: gateways, Now: c.Now}))
			}
			passed := 0
			for range 2 * limit / test.busy {
				for _, l := range limiters[:test.busy] {
					passed += count(l, "a", 1)
				}
			}
			shared.down = true
			for _, l := range limiters {
				passed += count(l, "a", limit)
			}
			t.Logf("%d of %d passed", passed, limit)
			if passed > test.most {
				t.Errorf("%d requests passed, want at most %d", passed, test.most)
			}
		})
	}
}

// A flood of keys does not take memory without bound, and does not free the
// one that has used up its limit.
func TestAFloodOfKeys(t *testing.T) {
	c := newClock()
	l := New(Config{Limits: []Limit{{Hour, 100}}, MaxKeys: 6400, Now: c.Now})
	count(l, "greedy", 200)
	for i := range 50_000 {
		count(l, fmt.Sprint("key-", i), 1)
	}
	n := 0
	for i := range l.shards {
		n += len(l.shards[i].entries)
	}
	if n > 6400+64 {
		t.Errorf("got %d keys", n)
	}
	if got := count(l, "greedy", 1); got != 0 {
		t.Error("the flood has freed a key from its limit")
	}
}

func BenchmarkTake(b *testing.B) {
	l := New(Config{Limits: []Limit{{Second, 1 << 40}, {Minute, 1 << 41}}})
	space := make([]Usage, 0, 6)
	b.ReportAllocs()
	for b.Loop() {
		l.Take(context.Background(), "consumer", space)
	}
}
