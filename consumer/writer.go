// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/storagelock"
)

// All changes of a process to the consumers of a storage go through one writer.
// It runs while there is something to write. A turn is one time that it holds
// the storage's lock: whatever waits is written together, under one new head,
// and so is what comes next, as long as the pauses between are short. An import
// makes thousands of changes in a row, and a lock for each would cost a synced
// write each and a second of waiting for every other gateway.

const (
	// turnIdle is how long the writer waits for another change before its turn
	// ends.
	turnIdle = 250 * time.Millisecond

	// turnMax is when a turn ends although more changes come, and turnPause how
	// long the lock is then left to other gateways, which look for it once a
	// second.
	turnMax   = 10 * time.Second
	turnPause = 1100 * time.Millisecond

	// maxBatch bounds what is written under one head.
	maxBatch = 250

	// closeTimeout bounds how long a reload waits for a turn to end.
	closeTimeout = time.Second
)

// change is a change that a caller waits for.
type change struct {
	store   *Store
	ctx     context.Context // ends when the caller no longer waits
	decide  decision
	err     error
	outcome chan error
	claimed atomic.Bool // by the writer, to make it, or by the caller, to drop it
}

// writer makes changes, one batch after another.
type writer struct {
	live *live

	mu      sync.Mutex
	waiting []*change
	batch   []*change // what was taken last, used again
	running bool
	turn    *turn         // the current one
	wake    chan struct{} // there is another change, or the turn should end
}

// turn is one time that the writer holds the storage's lock.
type turn struct {
	storage certmagic.Storage
	hurry   bool          // a configuration is being closed; guarded by writer.mu
	done    chan struct{} // closed when the lock has been given back
}

func newWriter(l *live) *writer {
	return &writer{live: l, wake: make(chan struct{}, 1)}
}

// do makes a change and returns when it has been written. If the context ends
// first, it has not been made and will not be.
func (w *writer) do(ctx context.Context, s *Store, decide decision) error {
	c := &change{store: s, ctx: ctx, decide: decide, outcome: make(chan error, 1)}
	w.mu.Lock()
	w.waiting = append(w.waiting, c)
	if !w.running {
		w.running = true
		go w.run()
	}
	w.mu.Unlock()
	w.rouse()
	select {
	case err := <-c.outcome:
		return err
	case <-ctx.Done():
	}
	if c.claimed.CompareAndSwap(false, true) {
		return fmt.Errorf("waiting for the storage: %w", ctx.Err())
	}
	return <-c.outcome
}

func (w *writer) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run takes turns until nothing is left to write.
func (w *writer) run() {
	for {
		first := w.first()
		if first == nil {
			return
		}
		if crowded := w.takeTurn(first); crowded {
			retry.Sleep(context.Background(), turnPause)
		}
	}
}

// first returns the change that has waited longest. If there is none, the
// writer ends.
func (w *writer) first() *change {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = slices.DeleteFunc(w.waiting, func(c *change) bool { return c.claimed.Load() })
	if len(w.waiting) == 0 {
		w.running = false
		return nil
	}
	return w.waiting[0]
}

// takeTurn holds the lock for as long as changes come, and reports whether it
// was given back although more were coming.
func (w *writer) takeTurn(first *change) (crowded bool) {
	t := w.begin(first.store.storage)
	defer w.end(t)
	release, err := storagelock.Acquire(first.ctx, t.storage, lockName, first.store.logger)
	if err != nil {
		w.fail(t.storage, first, err)
		return false
	}
	defer release()
	last := w.live.now().Add(turnMax)
	idle := time.NewTimer(turnIdle)
	defer idle.Stop()
	for {
		batch := w.take(t.storage)
		if len(batch) == 0 {
			return false
		}
		w.live.write(t.storage, batch)
		if !w.live.now().Before(last) {
			return true
		}
		idle.Reset(turnIdle)
		w.awaitMore(t, idle.C)
	}
}

func (w *writer) begin(storage certmagic.Storage) *turn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn = &turn{storage: storage, done: make(chan struct{})}
	return w.turn
}

func (w *writer) end(t *turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn = nil
	close(t.done)
}

// take claims the changes that wait for a storage value, up to the first one
// for another: the configuration before and the next one each use their own.
// The slice is valid until the next call.
func (w *writer) take(storage certmagic.Storage) []*change {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.batch)
	w.batch = w.batch[:0]
	taken := 0
	for _, c := range w.waiting {
		if c.store.storage != storage || len(w.batch) == maxBatch {
			break
		}
		taken++
		if c.claimed.CompareAndSwap(false, true) {
			w.batch = append(w.batch, c)
		}
	}
	w.waiting = slices.Delete(w.waiting, 0, taken)
	return w.batch
}

// awaitMore returns when a change waits, none has come for a while, or the turn
// should end.
func (w *writer) awaitMore(t *turn, idle <-chan time.Time) {
	for {
		w.mu.Lock()
		enough := len(w.waiting) > 0 || t.hurry
		w.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-w.wake:
		case <-idle:
			return
		}
	}
}

// fail answers changes that the lock could not be had for: the first alone if it
// has waited too long, else all, since the storage has failed.
func (w *writer) fail(storage certmagic.Storage, first *change, err error) {
	err = fmt.Errorf("waiting for the storage: %w", err)
	if first.ctx.Err() != nil {
		if first.claimed.CompareAndSwap(false, true) {
			first.outcome <- err
		}
		return
	}
	for _, c := range w.take(storage) {
		c.outcome <- err
	}
}

// leave ends the turn of a storage value that is about to be closed, as soon as
// what waits has been written. It does not wait for it for long.
func (w *writer) leave(storage certmagic.Storage) {
	w.mu.Lock()
	t := w.turn
	if t == nil || t.storage != storage {
		w.mu.Unlock()
		return
	}
	t.hurry = true
	w.mu.Unlock()
	w.rouse()
	patience := time.NewTimer(closeTimeout)
	defer patience.Stop()
	select {
	case <-t.done:
	case <-patience.C:
	}
}
