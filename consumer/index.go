// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"hash/maphash"
	"maps"
	"sync/atomic"
)

// shardCount is into how many parts the live consumers are divided, in memory
// and in the storage. With 100,000 consumers a part has 400: few enough to be
// copied for one change, in memory (20 microseconds) and in the storage (60
// KiB).
const shardCount = 256

// index finds consumers by one of their fields. Readers take no lock: each
// shard is a map that is replaced as a whole and never changed once published.
// There is one writer at a time.
type index struct {
	shards [shardCount]atomic.Pointer[map[string]*Consumer]
}

var indexSeed = maphash.MakeSeed()

func indexShard(key string) uint8 {
	return uint8(maphash.String(indexSeed, key))
}

func (x *index) get(key string) *Consumer {
	if m := x.shards[indexShard(key)].Load(); m != nil {
		return (*m)[key]
	}
	return nil
}

// getBytes is get for a key that was put together for this lookup.
func (x *index) getBytes(key []byte) *Consumer {
	if m := x.shards[uint8(maphash.Bytes(indexSeed, key))].Load(); m != nil {
		return (*m)[string(key)]
	}
	return nil
}

// edit collects changes to an index and publishes them, one copy per shard
// that they touch.
type edit struct {
	index   *index
	touched map[uint8]map[string]*Consumer
}

func (x *index) edit() *edit {
	return &edit{index: x, touched: make(map[uint8]map[string]*Consumer)}
}

func (e *edit) shard(key string) map[string]*Consumer {
	n := indexShard(key)
	m, ok := e.touched[n]
	if !ok {
		if old := e.index.shards[n].Load(); old != nil {
			m = maps.Clone(*old)
		} else {
			m = make(map[string]*Consumer)
		}
		e.touched[n] = m
	}
	return m
}

// remove takes c out, unless its key has passed to another consumer.
func (e *edit) remove(key string, c *Consumer) {
	if key == "" {
		return
	}
	if m := e.shard(key); m[key] == c {
		delete(m, key)
	}
}

func (e *edit) put(key string, c *Consumer) {
	if key != "" {
		e.shard(key)[key] = c
	}
}

func (e *edit) publish() {
	for n, m := range e.touched {
		e.index.shards[n].Store(&m)
	}
}
