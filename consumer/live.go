// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
	"golang.org/x/sync/errgroup"
)

// How live consumers are kept in a storage that knows only keys and values
// and may be shared by many gateways:
//
//	gluu/consumers/parts/07-k3v...   consumers whose id falls into part 07
//	gluu/consumers/head.json         which value of each part is the current one
//
// A change writes a new value of one part under a new key and then the head.
// Writing the head is the commit: whoever reads the old head still sees all
// old parts, and a gateway that is killed in between leaves a key that nobody
// refers to. Reading 100,000 consumers takes 257 reads instead of 100,000,
// finding out that nothing changed takes one, and one change writes 60 KiB
// then. One key per consumer would make every start and every look for news
// as expensive as the whole; a log would need compaction, which is the same
// again at the worst moment.
const (
	keyPrefix = "gluu/consumers"
	headKey   = keyPrefix + "/head.json"
	partsKey  = keyPrefix + "/parts"
	lockName  = "gluu_consumers"
)

// live holds the live consumers of one storage in memory.
type live struct {
	// What lookups use, without a lock.
	byID       index
	byUsername index
	byCustomID index
	loaded     atomic.Bool

	// writing is held by the one change that is being made, also while it waits
	// for the storage's lock. Reading does not need it: another gateway may
	// keep the lock for long.
	writing mutex
	lease   *lease

	// mu is held while consumers are read from the storage or written to it.
	// Who needs both takes writing first.
	mu      mutex
	rawHead []byte // as it was last read or written, nil if that is not known
	head    head
	swept   bool // keys that nobody refers to have been deleted

	unused atomic.Bool // by any configuration

	// The same consumers by part and id, for listing and writing.
	partsMu sync.RWMutex
	parts   [shardCount]map[string]*Consumer
}

func newLive() *live { return &live{writing: make(mutex, 1), mu: make(mutex, 1)} }

// Destruct implements caddy.Destructor.
func (l *live) Destruct() error {
	l.unused.Store(true)
	return nil
}

// mutex is a lock that nobody has to wait for longer than he likes.
type mutex chan struct{}

func (m mutex) lock(ctx context.Context) error {
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m mutex) unlock() { <-m }

// head says which value of each part is current. A part that is not named is
// empty.
type head struct {
	Parts map[string]string `json:"parts"`
}

func partOf(id string) uint8 {
	h := fnv.New32a()
	h.Write([]byte(id))
	return uint8(h.Sum32())
}

func partName(n uint8) string { return fmt.Sprintf("%02x", n) }

// refresh reads the head and the parts that have changed. The caller holds mu.
func (l *live) refresh(ctx context.Context, storage certmagic.Storage) error {
	var err error
	// A part that is gone was replaced after we read the head. Then the head
	// is a new one too.
	for range 5 {
		var raw []byte
		raw, err = storage.Load(ctx, headKey)
		if errors.Is(err, fs.ErrNotExist) {
			raw = []byte("{}")
		} else if err != nil {
			return err
		}
		if l.loaded.Load() && bytes.Equal(raw, l.rawHead) {
			return nil
		}
		var current head
		if err := json.Unmarshal(raw, &current); err != nil {
			return fmt.Errorf("%s: %w", headKey, err)
		}
		var changed map[uint8]map[string]*Consumer
		changed, err = l.loadChanged(ctx, storage, current)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		l.replace(changed)
		l.rawHead, l.head = raw, current
		l.loaded.Store(true)
		return nil
	}
	return err
}

// loadChanged reads the parts that differ between the known head and current.
func (l *live) loadChanged(ctx context.Context, storage certmagic.Storage, current head) (map[uint8]map[string]*Consumer, error) {
	var mu sync.Mutex
	changed := make(map[uint8]map[string]*Consumer)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range shardCount {
		n := uint8(i)
		value := current.Parts[partName(n)]
		if value == l.head.Parts[partName(n)] && l.rawHead != nil {
			continue
		}
		group.Go(func() error {
			part, err := loadPart(ctx, storage, value)
			if err == nil {
				mu.Lock()
				changed[n] = part
				mu.Unlock()
			}
			return err
		})
	}
	return changed, group.Wait()
}

func loadPart(ctx context.Context, storage certmagic.Storage, value string) (map[string]*Consumer, error) {
	if value == "" {
		return nil, nil
	}
	b, err := storage.Load(ctx, partsKey+"/"+value)
	if err != nil {
		return nil, err
	}
	var consumers []Consumer
	if err := json.Unmarshal(b, &consumers); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", partsKey, value, err)
	}
	part := make(map[string]*Consumer, len(consumers))
	for i := range consumers {
		part[consumers[i].ID] = &consumers[i]
	}
	return part, nil
}

// replace puts new contents of parts in the place of the old ones. Consumers
// that are the same keep their pointers.
func (l *live) replace(parts map[uint8]map[string]*Consumer) {
	var gone, come []*Consumer
	for n, part := range parts {
		for id, old := range l.parts[n] {
			if c, stays := part[id]; stays && c.equal(old) {
				part[id] = old
			} else {
				gone = append(gone, old)
			}
		}
		for id, c := range part {
			if l.parts[n][id] != c {
				come = append(come, c)
			}
		}
	}
	l.partsMu.Lock()
	for n, part := range parts {
		l.parts[n] = part
	}
	l.partsMu.Unlock()
	l.reindex(gone, come)
}

func (l *live) reindex(gone, come []*Consumer) {
	for _, by := range []struct {
		index *index
		key   func(*Consumer) string
	}{
		{&l.byCustomID, func(c *Consumer) string { return c.CustomID }},
		{&l.byUsername, func(c *Consumer) string { return c.Username }},
		{&l.byID, func(c *Consumer) string { return c.ID }},
	} {
		edit := by.index.edit()
		for _, c := range gone {
			edit.remove(by.key(c), c)
		}
		for _, c := range come {
			edit.put(by.key(c), c)
		}
		edit.publish()
	}
}

// taken returns the field that c would share with a consumer other than old.
func (l *live) taken(c, old *Consumer) error {
	for _, unique := range []struct {
		index      *index
		field, key string
	}{{&l.byUsername, "username", c.Username}, {&l.byCustomID, "custom_id", c.CustomID}, {&l.byID, "id", c.ID}} {
		if unique.key == "" {
			continue
		}
		if other := unique.index.get(unique.key); other != nil && other != old {
			return &ConflictError{Field: unique.field, Value: unique.key}
		}
	}
	return nil
}

// commit replaces old (nil: none) by replacement (nil: none) in the storage
// and then in memory. Both have the same id. The caller holds writing, the
// storage's lock and mu, and has refreshed.
func (l *live) commit(ctx context.Context, storage certmagic.Storage, old, replacement *Consumer) error {
	var gone, come []*Consumer
	var n uint8
	if old != nil {
		n, gone = partOf(old.ID), []*Consumer{old}
	}
	if replacement != nil {
		n, come = partOf(replacement.ID), []*Consumer{replacement}
	}
	part := maps.Clone(l.parts[n])
	if part == nil {
		part = make(map[string]*Consumer)
	}
	for _, c := range gone {
		delete(part, c.ID)
	}
	for _, c := range come {
		part[c.ID] = c
	}

	next := head{Parts: maps.Clone(l.head.Parts)}
	if next.Parts == nil {
		next.Parts = make(map[string]string)
	}
	replaced := next.Parts[partName(n)]
	delete(next.Parts, partName(n))
	if len(part) > 0 {
		value := partName(n) + "-" + rand.Text()
		contents, err := json.Marshal(sorted(part))
		if err != nil {
			return err
		}
		if err := storage.Store(ctx, partsKey+"/"+value, contents); err != nil {
			return err
		}
		next.Parts[partName(n)] = value
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := storage.Store(ctx, headKey, raw); err != nil {
		// It may have been written all the same: what counts from now on
		// is what the storage says.
		l.rawHead = nil
		return err
	}
	l.rawHead, l.head = raw, next

	l.partsMu.Lock()
	l.parts[n] = part
	l.partsMu.Unlock()
	l.reindex(gone, come)

	if replaced != "" {
		_ = storage.Delete(ctx, partsKey+"/"+replaced) // a leftover is swept later
	}
	return nil
}

// sweep deletes values of parts that no head refers to: those of gateways
// that were killed while they wrote. The caller holds mu and the storage's
// lock.
func (l *live) sweep(ctx context.Context, storage certmagic.Storage) {
	if l.swept {
		return
	}
	l.swept = true
	keys, err := storage.List(ctx, partsKey, false)
	if err != nil {
		return // nothing there, or nothing lost but space
	}
	current := make(map[string]bool, len(l.head.Parts))
	for _, value := range l.head.Parts {
		current[partsKey+"/"+value] = true
	}
	for _, key := range keys {
		if !current[key] {
			_ = storage.Delete(ctx, key)
		}
	}
}

func (l *live) list(after string, n int, visible func(*Consumer) *Consumer) []*Consumer {
	var page []*Consumer
	first := 0
	if after != "" {
		first = int(partOf(after))
	}
	l.partsMu.RLock()
	defer l.partsMu.RUnlock()
	for i := first; i < shardCount && len(page) < n; i++ {
		for _, c := range sorted(l.parts[i]) {
			if after != "" && i == first && c.ID <= after {
				continue
			}
			if visible(c) == nil {
				continue
			}
			if page = append(page, c); len(page) == n {
				break
			}
		}
	}
	return page
}

func sorted(part map[string]*Consumer) []*Consumer {
	return slices.SortedFunc(maps.Values(part), byID)
}
