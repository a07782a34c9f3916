// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"context"
	"sync"
	"time"
)

// Grants reads how many requests were granted off a counter, so that a grant costs
// nothing for being counted in the register. The zero value has no counter yet.
type Grants struct {
	mu    sync.Mutex
	read  func() uint64
	taken uint64
}

// From sets the counter.
func (g *Grants) From(read func() uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read = read
}

// Count adds the grants since the last call to the register of recent decisions.
func (g *Grants) Count() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.read == nil {
		return
	}
	if total := g.read(); total > g.taken {
		Recent.Granted(total - g.taken)
		g.taken = total
	}
}

// Watch counts until the context ends.
func (g *Grants) Watch(ctx context.Context) {
	defer g.Count()
	ticker := time.NewTicker(Interval / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.Count()
		case <-ctx.Done():
			return
		}
	}
}
