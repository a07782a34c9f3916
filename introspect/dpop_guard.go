// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/maphash"
	"sync"
	"time"
)

// maxProofs is how many proofs are remembered: 17,000 a second, in about 40 MB.
// Only clients with a valid token of their own can get there.
const maxProofs = 1 << 20

// replayCache remembers the DPoP proofs of one authorization server's tokens, so
// that none is used twice, and gives out nonces. It is part of the verifier,
// so that a reload forgets nothing.
//
// The memory is a set for each second that proofs say they were made in. A
// set goes as a whole when its second is too long ago for any proof of it to be
// accepted. Until then nothing in it can be pushed out, which a cache with a
// limited size would allow: a client could replay another's proof after
// a flood of his own. When the memory is full, new proofs are refused.
//
// What is kept of a proof is a seeded hash of its key and jti. Two proofs with
// one hash cost a client a repeated request, once in 10^13 proofs; nobody who
// does not know the seed can do better.
type replayCache struct {
	seed     maphash.Seed
	nonceKey [32]byte
	limit    int // maxProofs, except in tests

	mu     sync.Mutex
	used   map[int64]map[uint64]struct{} // by the second of iat
	count  int
	oldest int64 // no set is of an earlier second
}

func newReplayCache() *replayCache {
	c := &replayCache{seed: maphash.MakeSeed(), limit: maxProofs, used: make(map[int64]map[uint64]struct{})}
	rand.Read(c.nonceKey[:])
	return c
}

// What becomes of a proof.
type proofUse int

const (
	proofFirst proofUse = iota
	proofReplayed
	proofsFull
)

// use remembers the proof. A jti is unique for its key (RFC 9449, section 4.2,
// leaves it to the client), so that no client can use up those of another.
func (c *replayCache) use(jkt, jti string, issued, now time.Time) proofUse {
	id := maphash.Comparable(c.seed, [2]string{jkt, jti})
	second := issued.Unix()

	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now.Add(-proofMaxAge).Unix())
	if second < c.oldest {
		return proofReplayed // for all that is known: it was in time, but what it was compared with is gone
	}
	// The same jti with another iat is another proof, but an honest client
	// makes no such thing, and a thief cannot.
	set := c.used[second]
	if _, ok := set[id]; ok {
		return proofReplayed
	}
	if c.count >= c.limit {
		return proofsFull
	}
	if set == nil {
		set = make(map[uint64]struct{})
		c.used[second] = set
	}
	set[id] = struct{}{}
	c.count++
	return proofFirst
}

// forget drops the proofs that say they were made before this second.
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

// Nonces (RFC 9449, section 9) are a time and its HMAC: nothing is kept for
// them, and none can be made elsewhere. One is given out for half a minute and
// good for three.
const (
	noncePeriod = 30 * time.Second
	nonceMaxAge = 3 * time.Minute
)

func (c *replayCache) nonce(now time.Time) string {
	return c.nonceAt(now.Truncate(noncePeriod).Unix())
}

func (c *replayCache) nonceAt(second int64) string {
	made := binary.BigEndian.AppendUint64(nil, uint64(second))
	mac := hmac.New(sha256.New, c.nonceKey[:])
	mac.Write(made)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(made)[:8+16])
}

func (c *replayCache) validNonce(nonce string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 8+16 {
		return false
	}
	second := int64(binary.BigEndian.Uint64(b))
	if !hmac.Equal([]byte(nonce), []byte(c.nonceAt(second))) {
		return false
	}
	return now.Sub(time.Unix(second, 0)) <= nonceMaxAge
}
