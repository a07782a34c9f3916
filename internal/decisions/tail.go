// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Tail follows the refusals from when it was made. It has no queue of its own: it
// reads the register, so that a slow reader holds nothing up and takes no memory,
// but misses what is overwritten before it comes to read it.
type Tail struct {
	register *Register
	filter   Filter
	read     uint64 // number of the last one that was read or missed
	woken    chan struct{}
}

// tails are those that are open. Most of the time there are none.
type tails struct {
	mu   sync.Mutex
	open atomic.Pointer[[]*Tail]
}

// wake tells all tails that there is something to read.
func (t *tails) wake() {
	open := t.open.Load()
	if open == nil {
		return
	}
	for _, tail := range *open {
		select {
		case tail.woken <- struct{}{}:
		default: // it will read this one too
		}
	}
}

// change replaces the list, which readers go through without a lock.
func (t *tails) change(by func([]*Tail) []*Tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var changed []*Tail
	if open := t.open.Load(); open != nil {
		changed = slices.Clone(*open)
	}
	if changed = by(changed); len(changed) == 0 {
		t.open.Store(nil)
		return
	}
	t.open.Store(&changed)
}

// Tail returns a tail of the refusals that a filter wants. Close it when it is no
// longer read.
func (r *Register) Tail(f Filter) *Tail {
	t := &Tail{register: r, filter: f, woken: make(chan struct{}, 1)}
	r.tails.change(func(open []*Tail) []*Tail { return append(open, t) })
	t.read = r.added.Load()
	return t
}

// Close ends the tail.
func (t *Tail) Close() {
	t.register.tails.change(func(open []*Tail) []*Tail {
		return slices.DeleteFunc(open, func(other *Tail) bool { return other == t })
	})
}

// maxBatch is how many refusals Next returns at most.
const maxBatch = 100

// Next waits for refusals and returns them, the oldest first, at most a hundred at a
// time. It also returns how many the reader has missed since the last call because it
// was too slow, wanted or not. The error is that of the context.
func (t *Tail) Next(ctx context.Context) (found []*Decision, missed uint64, err error) {
	for {
		found, missed = t.poll()
		if len(found) > 0 || missed > 0 {
			return found, missed, nil
		}
		select {
		case <-t.woken:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// NextWithin is Next, but returns with nothing when so much time has passed.
func (t *Tail) NextWithin(ctx context.Context, most time.Duration) (found []*Decision, missed uint64, err error) {
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if found, missed, err = t.Next(limited); err != nil {
		err = ctx.Err() // nil if only the time is over
	}
	return found, missed, err
}

// poll reads what there is.
func (t *Tail) poll() (found []*Decision, missed uint64) {
	newest := t.register.added.Load()
	if oldest := t.register.oldest(newest); t.read+1 < oldest {
		missed += oldest - t.read - 1
		t.read = oldest - 1
	}
	for t.read < newest && len(found) < maxBatch {
		d, state := t.register.read(t.read+1, t.filter.quick)
		switch {
		case state == pending:
			return found, missed // its writer wakes this tail again
		case state == gone:
			missed++
		case d != nil && t.filter.Wants(d):
			found = append(found, d)
		}
		t.read++
	}
	return found, missed
}
