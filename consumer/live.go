// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// How live consumers are kept in a storage that knows only keys and values
// and may be shared by many gateways:
//
//	gluu/consumers/parts/07-k3v...   consumers whose id falls into part 07
//	gluu/consumers/head.json         which value of each part is the current one
//
// A change writes a new value of one part under a new key and then the head.
// Writing the head is the commit: a gateway that reads the old head still sees
// all old parts, and one that is killed in between leaves an unused key.
// Reading 100,000 consumers takes 257 reads instead of 100,000, finding out
// that nothing changed takes one, and one change writes 60 KiB. With one key
// per consumer every start and every refresh would read them all; a log would
// need compaction, which costs the same at the worst moment.
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
	byClient   index
	named      atomic.Int64 // consumers that name a provider
	loaded     atomic.Bool

	now    func() time.Time
	writer *writer

	// mu is held while consumers are read from the storage or written to it,
	// but not while a change waits for the storage's lock: another gateway may
	// keep that lock for a long time.
	mu      *semaphore.Weighted
	rawHead []byte // as it was last read or written, nil if that is not known
	head    head
	swept   bool // unused keys have been deleted

	// The same consumers by part and id, for listing and writing.
	partsMu sync.RWMutex
	parts   [shardCount]map[string]*Consumer
}

func newLive() *live {
	l := &live{now: time.Now, mu: semaphore.NewWeighted(1)}
	l.writer = newWriter(l)
	return l
}

// Destruct implements caddy.Destructor.
func (l *live) Destruct() error { return nil }

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
	// A part that is missing was replaced after we read the head. Then the head
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
	var removed, added []*Consumer
	for n, part := range parts {
		for id, old := range l.parts[n] {
			if c, stays := part[id]; stays && c.equal(old) {
				part[id] = old
			} else {
				removed = append(removed, old)
			}
		}
		for id, c := range part {
			if l.parts[n][id] != c {
				added = append(added, c)
			}
		}
	}
	l.publish(parts, removed, added)
}

// publish makes new contents of parts what lookups and lists see.
func (l *live) publish(parts map[uint8]map[string]*Consumer, removed, added []*Consumer) {
	l.partsMu.Lock()
	for n, part := range parts {
		l.parts[n] = part
	}
	l.partsMu.Unlock()
	l.reindex(removed, added)
}

func (l *live) reindex(removed, added []*Consumer) {
	// Before the indexes when it grows and after them when it falls, so that a
	// lookup never misses a consumer because of it.
	l.named.Add(countNamed(added))
	defer l.named.Add(-countNamed(removed))
	for _, by := range []struct {
		index *index
		key   func(*Consumer) string
	}{
		{&l.byClient, clientKeyOf},
		{&l.byUsername, usernameOf},
		{&l.byID, idOf},
	} {
		edit := by.index.edit()
		for _, c := range removed {
			edit.remove(by.key(c), c)
		}
		for _, c := range added {
			edit.put(by.key(c), c)
		}
		edit.publish()
	}
}

func countNamed(consumers []*Consumer) (named int64) {
	for _, c := range consumers {
		if c.Provider != "" {
			named++
		}
	}
	return named
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

// has reports whether a condition holds for one of the consumers.
func (l *live) has(condition func(*Consumer) bool) bool {
	l.partsMu.RLock()
	defer l.partsMu.RUnlock()
	for _, part := range l.parts {
		for _, c := range part {
			if condition(c) {
				return true
			}
		}
	}
	return false
}

func sorted(part map[string]*Consumer) []*Consumer {
	consumers := slices.AppendSeq(make([]*Consumer, 0, len(part)), maps.Values(part))
	slices.SortFunc(consumers, byID)
	return consumers
}
