// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Limit is how many requests a window may have.
type Limit struct {
	Period Period
	Count  int64
}

// Config is what a limiter needs.
type Config struct {
	Limits []Limit // of different periods, at least one

	// Shared is a counter that several gateways share; nil: this one is alone.
	Shared Shared
	// Prefix is put before the keys in Shared.
	Prefix string
	// Gateways is the number of gateways that share the limit while Shared
	// cannot be reached, at least 1.
	Gateways int64

	// MaxKeys bounds the memory. Default: 1,000,000
	MaxKeys int
	// Now is the clock. Default: time.Now
	Now func() time.Time
}

// Shared is a store of counters.
type Shared interface {
	// Draw adds up to n to a counter without exceeding the limit. It returns
	// how much was added, and how much is left. The counter is forgotten some
	// time after the end.
	Draw(ctx context.Context, key string, n, limit int64, end time.Time) (granted, left int64, err error)
}

// Usage is how much of a limit is left after a request.
type Usage struct {
	Limit
	Remaining int64
	Reset     time.Duration // until the window ends
}

// Limiter limits requests by key. It is safe for concurrent use.
type Limiter struct {
	config Config
	seed   maphash.Seed
	shards [64]shard

	downUntil atomic.Int64 // Unix nanoseconds; the store is not asked before
}

type shard struct {
	mu      sync.Mutex
	entries map[string]*entry
	sweepAt int // number of entries
}

// entry has a counter for each limit of a key.
type entry struct {
	mu       sync.Mutex
	counters []counter
	ends     atomic.Int64 // of the last window, Unix nanoseconds
}

// counter is one limit in its current window.
type counter struct {
	start, end time.Time
	used       int64 // admitted here
	lease      int64 // may be admitted without asking
	left       int64 // on the shared counter, as far as is known
	exhausted  bool  // so the shared counter said
	alone      int64 // admitted here while the store could not be reached
}

// New returns a limiter.
func New(config Config) *Limiter {
	if config.MaxKeys == 0 {
		config.MaxKeys = 1_000_000
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.Gateways = max(config.Gateways, 1)
	l := &Limiter{config: config, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i] = shard{entries: make(map[string]*entry), sweepAt: max(config.MaxKeys/len(l.shards), 1)}
	}
	return l
}

// Take counts a request, unless one of the limits is used up: then it counts
// nowhere, and the result is false. Usages are in the order of the limits; out
// is reused for them.
func (l *Limiter) Take(ctx context.Context, key string, out []Usage) (usages []Usage, allowed bool) {
	now := l.config.Now()
	e := l.entry(key, now)
	e.mu.Lock()
	defer e.mu.Unlock()
	allowed = true
	taken := 0
	for i := range e.counters {
		if !l.take(ctx, key, &e.counters[i], l.config.Limits[i], now) {
			allowed = false
			break
		}
		taken++
	}
	if !allowed {
		for i := range taken {
			e.counters[i].giveBack(l.config.Shared != nil)
		}
	}
	var last int64
	for i := range e.counters {
		c := &e.counters[i]
		c.turn(l.config.Limits[i].Period, now)
		last = max(last, c.end.UnixNano())
		out = append(out, Usage{l.config.Limits[i], l.remaining(c, l.config.Limits[i]), c.end.Sub(now)})
	}
	e.ends.Store(last)
	return out, allowed
}

// take counts a request in one window.
func (l *Limiter) take(ctx context.Context, key string, c *counter, limit Limit, now time.Time) bool {
	c.turn(limit.Period, now)
	switch {
	case l.config.Shared == nil:
		if c.used >= limit.Count {
			return false
		}
		c.used++
		return true
	case c.lease == 0 && !c.exhausted:
		if !l.draw(ctx, key, c, limit, now) {
			return c.takeAlone(max(limit.Count/l.config.Gateways, 1))
		}
	}
	if c.lease == 0 {
		return false
	}
	c.lease--
	c.used++
	return true
}

// turn begins a new window if the last one has ended. A clock that goes back
// does not begin an old one again.
func (c *counter) turn(p Period, now time.Time) {
	if now.Before(c.end) {
		return
	}
	start, end := p.window(now)
	*c = counter{start: start, end: end, left: -1}
}

func (c *counter) giveBack(shared bool) {
	switch {
	case !shared:
		c.used--
	case c.alone > 0:
		c.alone--
	default:
		c.used--
		c.lease++
	}
}

// takeAlone counts against the share of this gateway.
func (c *counter) takeAlone(share int64) bool {
	if c.used+c.alone >= share {
		return false
	}
	c.alone++
	return true
}

// leaseParts is the part of what is left that a gateway draws at once: one of
// this many. A small part leaves more to others, a large one saves trips.
const leaseParts = 10

// maxLease bounds a lease.
const maxLease = 1000

// downTime is how long a store is not asked after it has failed.
const downTime = time.Second

// draw gets a lease. It reports whether the store has answered.
func (l *Limiter) draw(ctx context.Context, key string, c *counter, limit Limit, now time.Time) bool {
	if now.UnixNano() < l.downUntil.Load() {
		return false
	}
	left := c.left
	if left < 0 {
		left = limit.Count
	}
	n := min(max(left/(leaseParts*l.config.Gateways), 1), maxLease)
	granted, left, err := l.config.Shared.Draw(ctx, fmt.Sprintf("%s%s:%d:%s", l.config.Prefix, limit.Period, c.start.Unix(), key), n, limit.Count, c.end)
	if err != nil {
		l.downUntil.Store(now.Add(downTime).UnixNano())
		return false
	}
	c.lease, c.left, c.exhausted = granted, left, granted == 0
	return true
}

func (l *Limiter) remaining(c *counter, limit Limit) int64 {
	switch {
	case l.config.Shared == nil:
		return max(limit.Count-c.used, 0)
	case c.exhausted:
		return 0
	case c.left >= 0:
		return max(c.left, 0) + c.lease
	}
	return max(limit.Count/l.config.Gateways-c.used-c.alone, 0)
}

// entry returns the counters of a key.
func (l *Limiter) entry(key string, now time.Time) *entry {
	s := &l.shards[maphash.String(l.seed, key)%uint64(len(l.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		if len(s.entries) >= s.sweepAt {
			s.sweep(now)
		}
		e = &entry{counters: make([]counter, len(l.config.Limits))}
		e.ends.Store(now.Add(time.Second).UnixNano()) // until it is counted for the first time
		s.entries[key] = e
	}
	return e
}

// sweep removes the entries whose windows have ended. If that is not enough,
// it removes some of those that have been used least: to push out its own
// counter, a client would have to be the most modest one.
func (s *shard) sweep(now time.Time) {
	for key, e := range s.entries {
		if e.ends.Load() <= now.UnixNano() {
			delete(s.entries, key)
		}
	}
	for excess := len(s.entries) - s.sweepAt*9/10; excess > 0; excess-- {
		var least string
		var used int64 = -1
		seen := 0
		for key, e := range s.entries {
			if n := e.total(); used < 0 || n < used {
				least, used = key, n
			}
			if seen++; seen == 8 {
				break
			}
		}
		delete(s.entries, least)
	}
}

func (e *entry) total() (n int64) {
	if !e.mu.TryLock() {
		return 1 << 62 // in use
	}
	defer e.mu.Unlock()
	for i := range e.counters {
		n += e.counters[i].used + e.counters[i].alone
	}
	return n
}
