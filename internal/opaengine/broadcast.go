// SPDX-License-Identifier: Apache-2.0

package opaengine

import "sync"

// broadcast tells any number of listeners that something has happened. The zero value
// is ready to use.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{} // nil if no one waits
}

// next returns a channel that is closed when tell is called next.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
