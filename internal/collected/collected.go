// SPDX-License-Identifier: Apache-2.0

// Package collected gathers what handlers contribute while a configuration loads, for
// requests to read.
package collected

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Items gathers what handlers contribute while they are provisioned, until
// requests need it in another form. The app cannot build that form when it
// starts: Caddy starts apps in any order, and requests may come before. So the
// first use builds it, and the others read it without a lock.
type Items[T, Form any] struct {
	mu    sync.Mutex
	items []T
	built atomic.Pointer[Form]

	changes atomic.Uint64 // how often items have changed
}

// Add adds items.
func (c *Items[T, Form]) Add(items ...T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = append(c.items, items...)
	c.changed()
}

// Replace puts an item in place of those that it supersedes.
func (c *Items[T, Form]) Replace(item T, supersedes func(old T) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = append(slices.DeleteFunc(c.items, supersedes), item)
	c.changed()
}

func (c *Items[T, Form]) changed() {
	c.built.Store(nil)
	c.changes.Add(1)
}

// Get returns what build makes of all items. Callers must not change it.
func (c *Items[T, Form]) Get(build func(items []T) Form) Form {
	if form := c.built.Load(); form != nil {
		return *form
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	form := build(slices.Clone(c.items))
	c.built.Store(&form)
	return form
}

// Changes returns a number that grows whenever items change.
func (c *Items[T, Form]) Changes() uint64 { return c.changes.Load() }
