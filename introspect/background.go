// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"sync"
)

// Background runs a task while this configuration is the running one: from when
// Caddy starts it, so that a configuration that is only validated does nothing,
// until Caddy stops it. A handler calls it while it is provisioned.
func (a *App) Background(task func(ctx context.Context)) { a.background.add(task) }

type background struct {
	mu      sync.Mutex
	tasks   []func(ctx context.Context)
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (b *background) add(task func(ctx context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tasks = append(b.tasks, task)
}

func (b *background) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	for _, task := range b.tasks {
		b.running.Go(func() { task(ctx) })
	}
}

// stop ends the tasks and waits for them. Those of the next configuration are
// running by then, since Caddy starts it before it stops this one.
func (b *background) stop() {
	b.mu.Lock()
	cancel := b.cancel
	b.cancel = nil
	b.mu.Unlock()
	if cancel != nil {
		cancel()
		b.running.Wait()
	}
}

// Identity is the same for two providers if all their settings are, also across
// configurations. It is the key for what a package keeps about an authorization
// server across reloads.
func (p *Provider) Identity() [32]byte { return p.poolID }
