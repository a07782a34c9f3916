// SPDX-License-Identifier: Apache-2.0

package session

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/minio/highwayhash"
)

// nearCache holds sessions of this process, opened, so that a request costs a
// lookup and no decryption. It goes by a keyed hash of the cookie: what is in
// memory is not a list of cookies.
type nearCache struct {
	key     [highwayhash.Size]byte
	entries *otter.Cache[nearKey, *nearEntry]

	mu  sync.Mutex
	ids map[[idSize]byte]nearKey // of the sessions that are here, to end them

	// removals counts how often a session was removed, by the first byte of its
	// id. What was read from the store before a removal is not put here after it:
	// a session that ended while it was read would go on.
	removals [256]atomic.Uint64
}

type nearKey [highwayhash.Size128]byte

// nearEntry is a session as it was read.
type nearEntry struct {
	session *Session
	readAt  time.Time
}

// unused is when an unused session leaves the memory.
const unused = time.Hour

func newNearCache(size int) (*nearCache, error) {
	c := &nearCache{ids: make(map[[idSize]byte]nearKey)}
	rand.Read(c.key[:]) // never fails, see crypto/rand
	entries, err := otter.New(&otter.Options[nearKey, *nearEntry]{
		MaximumSize:      size,
		ExpiryCalculator: otter.ExpiryAccessing[nearKey, *nearEntry](unused),
		OnAtomicDeletion: func(e otter.DeletionEvent[nearKey, *nearEntry]) {
			if e.Cause != otter.CauseReplacement {
				c.forget(e.Value.session.ref.id, e.Key)
			}
		},
	})
	c.entries = entries
	return c, err
}

func (c *nearCache) hash(ref *reference) nearKey {
	var text [idSize + secretSize]byte
	copy(text[:], ref.id[:])
	copy(text[idSize:], ref.secret[:])
	return highwayhash.Sum128(text[:], c.key[:])
}

func (c *nearCache) get(ref *reference) (*Session, time.Time) {
	entry, ok := c.entries.GetIfPresent(c.hash(ref))
	if !ok {
		return nil, time.Time{}
	}
	return entry.session, entry.readAt
}

// mark returns what put takes to know whether a session was removed since. It is
// called before the session is read.
func (c *nearCache) mark(id [idSize]byte) uint64 { return c.removals[id[0]].Load() }

// put keeps a session, unless one like it was removed since the mark.
func (c *nearCache) put(s *Session, readAt time.Time, mark uint64) {
	if s.values == nil {
		s.values = new(sync.Map)
	}
	key := c.hash(&s.ref)
	c.mu.Lock()
	c.ids[s.ref.id] = key
	c.mu.Unlock()
	c.entries.Set(key, &nearEntry{s, readAt})
	if c.mark(s.ref.id) != mark {
		c.drop(s.ref.id) // removed before it was here
	}
}

// remove forgets a session by its id, which is all that an announcement of its
// end has.
func (c *nearCache) remove(id [idSize]byte) {
	c.removals[id[0]].Add(1)
	c.drop(id)
}

func (c *nearCache) drop(id [idSize]byte) {
	c.mu.Lock()
	key, ok := c.ids[id]
	delete(c.ids, id)
	c.mu.Unlock()
	if ok {
		c.entries.Invalidate(key)
	}
}

func (c *nearCache) forget(id [idSize]byte, key nearKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids[id] == key {
		delete(c.ids, id)
	}
}

// size is about how many sessions are here.
func (c *nearCache) size() int { return c.entries.EstimatedSize() }

// clear forgets all sessions.
func (c *nearCache) clear() {
	for i := range c.removals {
		c.removals[i].Add(1)
	}
	c.mu.Lock()
	clear(c.ids)
	c.mu.Unlock()
	c.entries.InvalidateAll()
}
