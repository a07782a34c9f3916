// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/certmagic"
)

// decision decides on one change, while no other gateway can change anything
// and the draft is up to date. It returns the consumer to replace (nil to
// create) and the new one (nil to delete). Both have the same id.
type decision func(d *draft) (old, replacement *Consumer, err error)

// draft is the live consumers with the changes of a batch that are not written
// yet. Lookups do not see it. A batch is small, so what it changes is searched
// one by one.
type draft struct {
	live           *live
	removed, added []*Consumer
	parts          map[uint8]map[string]*Consumer // changed ones, as they are to be
}

func (l *live) newDraft() *draft {
	return &draft{live: l, parts: make(map[uint8]map[string]*Consumer)}
}

func idOf(c *Consumer) string        { return c.ID }
func usernameOf(c *Consumer) string  { return c.Username }
func clientKeyOf(c *Consumer) string { return clientKey(c.Provider, c.CustomID) }

func (d *draft) withID(id string) *Consumer { return d.find(&d.live.byID, idOf, id) }

func (d *draft) withUsername(name string) *Consumer {
	return d.find(&d.live.byUsername, usernameOf, name)
}

// find returns the consumer with this key, nil if there is none.
func (d *draft) find(written *index, keyOf func(*Consumer) string, key string) *Consumer {
	for _, c := range d.added {
		if keyOf(c) == key {
			return c
		}
	}
	if c := written.get(key); c != nil && !slices.Contains(d.removed, c) {
		return c
	}
	return nil
}

// conflict returns an error if c would share a field with a consumer other than
// old.
func (d *draft) conflict(c, old *Consumer) error {
	for _, unique := range []struct {
		written *index
		keyOf   func(*Consumer) string
		field   string
	}{
		{&d.live.byUsername, usernameOf, "username"},
		{&d.live.byClient, clientKeyOf, "custom_id"},
		{&d.live.byID, idOf, "id"},
	} {
		key := unique.keyOf(c)
		if key == "" {
			continue
		}
		if other := d.find(unique.written, unique.keyOf, key); other != nil && other != old {
			return newConflict(unique.field, c, false)
		}
	}
	return nil
}

// apply makes one change in the draft.
func (d *draft) apply(decide decision) (err error) {
	// No caller of the writer would recover a panic.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while deciding on a change: %v", r)
		}
	}()
	old, replacement, err := decide(d)
	if err != nil {
		return err
	}
	if old != nil && replacement != nil && old.equal(replacement) {
		return nil
	}
	if old != nil {
		d.remove(old)
	}
	if replacement != nil {
		d.add(replacement)
	}
	return nil
}

func (d *draft) remove(c *Consumer) {
	if i := slices.Index(d.added, c); i >= 0 {
		d.added = slices.Delete(d.added, i, i+1) // added by the same batch
	} else {
		d.removed = append(d.removed, c)
	}
	delete(d.part(c.ID), c.ID)
}

func (d *draft) add(c *Consumer) {
	d.added = append(d.added, c)
	d.part(c.ID)[c.ID] = c
}

// part returns the part that an id falls into, to be changed.
func (d *draft) part(id string) map[string]*Consumer {
	n := partOf(id)
	part, ok := d.parts[n]
	if !ok {
		if part = maps.Clone(d.live.parts[n]); part == nil {
			part = make(map[string]*Consumer)
		}
		d.parts[n] = part
	}
	return part
}

// write makes the changes of a batch and answers the callers that wait for
// them. The caller holds the storage's lock.
func (l *live) write(storage certmagic.Storage, batch []*change) {
	ctx := batch[len(batch)-1].ctx // the one with the most time left
	if err := l.writeDraft(ctx, storage, batch); err != nil {
		// Also for those that were refused: perhaps because of an earlier one
		// that has not been made after all.
		for _, c := range batch {
			c.err = err
		}
	}
	for _, c := range batch {
		c.outcome <- c.err
	}
}

// writeDraft makes the changes that are not refused, and notes the error of
// those that are. If it fails, none has been made.
func (l *live) writeDraft(ctx context.Context, storage certmagic.Storage, batch []*change) error {
	if err := l.mu.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting for the storage: %w", err)
	}
	defer l.mu.Release(1)
	// Also under a lock that we have had for a while: the configuration before
	// may read another storage, and a lock can be lost.
	if err := l.refresh(ctx, storage); err != nil {
		return fmt.Errorf("reading the storage: %w", err)
	}
	l.sweep(ctx, storage)
	d := l.newDraft()
	for _, c := range batch {
		c.err = d.apply(c.decide)
	}
	if err := l.commit(ctx, storage, d); err != nil {
		l.swept = false // parts may have been written that no head refers to
		return fmt.Errorf("writing to the storage: %w", err)
	}
	return nil
}

// commit writes the changed parts and then the head, and publishes the draft.
// The caller holds the storage's lock and mu, and has refreshed.
func (l *live) commit(ctx context.Context, storage certmagic.Storage, d *draft) error {
	if len(d.parts) == 0 {
		return nil
	}
	next := head{Parts: maps.Clone(l.head.Parts)}
	if next.Parts == nil {
		next.Parts = make(map[string]string)
	}
	var replaced []string
	for n, part := range d.parts {
		name := partName(n)
		if old := next.Parts[name]; old != "" {
			replaced = append(replaced, old)
		}
		delete(next.Parts, name)
		if len(part) == 0 {
			continue
		}
		value, err := storePart(ctx, storage, name, part)
		if err != nil {
			return err
		}
		next.Parts[name] = value
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := storage.Store(ctx, headKey, raw); err != nil {
		// It may have been written all the same. From now on only what the
		// storage says counts.
		l.rawHead = nil
		return err
	}
	l.rawHead, l.head = raw, next
	l.publish(d.parts, d.removed, d.added)
	for _, value := range replaced {
		_ = storage.Delete(ctx, partsKey+"/"+value) // a leftover is swept later
	}
	return nil
}

// storePart writes a part under a new key and returns its name.
func storePart(ctx context.Context, storage certmagic.Storage, name string, part map[string]*Consumer) (string, error) {
	value := name + "-" + rand.Text()
	contents, err := json.Marshal(sorted(part))
	if err != nil {
		return "", err
	}
	return value, storage.Store(ctx, partsKey+"/"+value, contents)
}
