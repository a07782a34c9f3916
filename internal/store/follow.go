// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/retry"
)

// Follower reads the announcements of an engine. A message only says that there is
// something to read: one that is lost costs time, nothing else.
type Follower struct {
	// Listen calls wake when it begins and at each message, until its connection
	// breaks.
	Listen func(ctx context.Context, wake func()) error

	// Backoff is the pause before it listens again.
	Backoff retry.Backoff

	// Read passes on what is new.
	Read func(ctx context.Context)
}

const (
	// pollInterval is how late a change is known when a message was lost, and
	// where none is passed on, such as behind PgBouncer.
	pollInterval = 2 * time.Second

	// steady is how long a connection lasts that is not taken for a failed attempt.
	steady = time.Minute
)

// Follow reads at first, whenever it is woken and from time to time, for as long as
// the context lasts.
func (f *Follower) Follow(ctx context.Context) {
	wake := make(chan struct{}, 1)
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { f.listen(ctx, wake) })

	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		f.Read(ctx)
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-ticker.C:
		}
	}
}

// listen listens again and again.
func (f *Follower) listen(ctx context.Context, wake chan<- struct{}) {
	nudge := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	for ctx.Err() == nil {
		began := time.Now()
		_ = f.Listen(ctx, nudge)
		if time.Since(began) > steady {
			f.Backoff.Reset()
		}
		if !f.Backoff.Wait(ctx) {
			return
		}
	}
}
