// SPDX-License-Identifier: Apache-2.0

package dpop

import (
	"hash/maphash"
	"sync"
	"time"
)

// maxProofs is how many proofs are remembered: 17,000 a second, in about 40 MB.
// It takes clients with valid tokens of their own to get there.
const maxProofs = 1 << 20

// replayCache remembers the proofs of one authorization server's tokens, so that
// none is used twice.
//
// The memory is one set for each second in which proofs claim to have been made.
// A set is dropped as a whole when its second is too long ago for any of its
// proofs to be accepted. Until then nothing in it can be evicted, which a cache of
// limited size would allow: a client could replay the proof of another one after
// a flood of its own. When the memory is full, new proofs are refused.
//
// What is kept of a proof is a seeded hash of its key and jti. Two proofs with
// the same hash cost a client a repeated request, once in 10^13 proofs; without
// the seed an attacker cannot do better.
type replayCache struct {
	seed  maphash.Seed
	limit int // maxProofs, except in tests

	mu     sync.Mutex
	used   map[int64]map[uint64]struct{} // by the second of iat
	count  int
	oldest int64 // no set is of an earlier second
}

func newReplayCache() *replayCache {
	c := &replayCache{seed: maphash.MakeSeed(), limit: maxProofs, used: make(map[int64]map[uint64]struct{})}
	return c
}

// Outcomes of use.
type proofUse int

const (
	first proofUse = iota
	replayed
	full
)

// use remembers the proof. A jti is unique for its key (RFC 9449, section 4.2,
// leaves it to the client), so that no client can use up those of another.
func (c *replayCache) use(jkt, jti string, issued, now time.Time) proofUse {
	id := maphash.Comparable(c.seed, [2]string{jkt, jti})
	second := issued.Unix()

	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now.Add(-maxAge).Unix())
	if second < c.oldest {
		return replayed // possibly: it was in time, but the set to compare it with was dropped
	}
	// The same jti with another iat is another proof. An honest client does not
	// make one, and a thief cannot.
	set := c.used[second]
	if _, ok := set[id]; ok {
		return replayed
	}
	if c.count >= c.limit {
		return full
	}
	if set == nil {
		set = make(map[uint64]struct{})
		c.used[second] = set
	}
	set[id] = struct{}{}
	c.count++
	return first
}

// forget drops the proofs that claim to have been made before this second.
func (c *replayCache) forget(before int64) {
	if before <= c.oldest {
		return
	}
	for second, set := range c.used {
		if second < before {
			c.count -= len(set)
			delete(c.used, second)
		}
	}
	c.oldest = before
}
