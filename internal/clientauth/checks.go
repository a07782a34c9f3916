// SPDX-License-Identifier: Apache-2.0

package clientauth

import (
	"context"
	"crypto/sha256"
	"sync"
)

// checks has requests with one and the same secret share its check: a client
// that starts with a hundred requests waits for one turn, and so do a hundred
// requests with the same wrong secret. The zero value is ready. It is safe for
// concurrent use.
type checks struct {
	mu       sync.Mutex
	underWay map[[sha256.Size]byte]*check
}

// check is one that is under way. It ends early when no request waits for it any
// longer.
type check struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	right   bool
	err     error
}

// do returns what run returns, for this call or for one with the same key that is
// under way. The error may also be that of ctx.
func (c *checks) do(ctx context.Context, key [sha256.Size]byte, run func(context.Context) (bool, error)) (bool, error) {
	shared := c.join(ctx, key, run)
	select {
	case <-shared.done:
		return shared.right, shared.err
	case <-ctx.Done():
		c.part(key, shared)
		return false, ctx.Err()
	}
}

func (c *checks) join(ctx context.Context, key [sha256.Size]byte, run func(context.Context) (bool, error)) *check {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shared, ok := c.underWay[key]; ok {
		shared.waiting++
		return shared
	}
	if c.underWay == nil {
		c.underWay = make(map[[sha256.Size]byte]*check)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	shared := &check{done: make(chan struct{}), cancel: cancel, waiting: 1}
	c.underWay[key] = shared
	go func() {
		defer cancel()
		shared.right, shared.err = run(ctx)
		c.mu.Lock()
		c.forget(key, shared)
		c.mu.Unlock()
		close(shared.done)
	}()
	return shared
}

func (c *checks) part(key [sha256.Size]byte, shared *check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shared.waiting--; shared.waiting > 0 {
		return
	}
	c.forget(key, shared) // a request that comes now starts another one
	shared.cancel()
}

// forget is called with the lock held.
func (c *checks) forget(key [sha256.Size]byte, shared *check) {
	if c.underWay[key] == shared {
		delete(c.underWay, key)
	}
}
