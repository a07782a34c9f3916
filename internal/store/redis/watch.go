// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	// pollInterval is how late a change is known when a message was lost.
	pollInterval = 2 * time.Second

	pollPatience = 3 * time.Second
	pollPage     = 1000
)

// follower reads the stream of announcements. Messages of the channel only say
// that there is something to read: one that is lost costs time, nothing else.
type follower struct {
	*Engine
	announced func([]byte)
	last      string // the last that was read
	certain   bool   // that nothing was missed since it began
}

// Watch implements store.Engine.
func (e *Engine) Watch(ctx context.Context, announced func([]byte)) {
	wake := make(chan struct{}, 1)
	var subscribing sync.WaitGroup
	defer subscribing.Wait()
	subscribing.Go(func() { e.subscribe(ctx, wake) })

	f := &follower{Engine: e, announced: announced}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if err := f.read(ctx); err != nil {
			f.certain = false
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-ticker.C:
		}
	}
}

// subscribe wakes the follower at each message, for as long as the context
// lasts.
func (e *Engine) subscribe(ctx context.Context, wake chan<- struct{}) {
	nudge := func(rueidis.PubSubMessage) {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	backoff := pause()
	for ctx.Err() == nil {
		began := time.Now()
		if client, err := e.client(); err == nil {
			_ = client.Receive(ctx, client.B().Subscribe().Channel(changesKey).Build(), nudge)
		}
		if time.Since(began) > time.Minute {
			backoff.Reset()
		}
		if !backoff.Wait(ctx) {
			return
		}
	}
}

// read passes on what is new. When Redis did not answer for a while, or has
// dropped the place, it may also have lost announcements.
func (f *follower) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollPatience)
	defer cancel()
	if !f.certain {
		return f.begin(ctx)
	}
	if f.last != "0-0" {
		still, err := f.entries(ctx, f.last, f.last)
		if err != nil {
			return err
		}
		if len(still) == 0 {
			return f.begin(ctx)
		}
	}
	for {
		page, err := f.entries(ctx, "("+f.last, "+")
		if err != nil {
			return err
		}
		for _, entry := range page {
			f.announced([]byte(entry.FieldValues["a"]))
			f.last = entry.ID
		}
		if len(page) < pollPage {
			return nil
		}
	}
}

// begin goes to the end of the stream and tells that all may have changed.
func (f *follower) begin(ctx context.Context) error {
	newest, err := do(ctx, f.Engine, func(c rueidis.Client) ([]rueidis.XRangeEntry, error) {
		return c.Do(ctx, c.B().Xrevrange().Key(changesKey).End("+").Start("-").Count(1).Build()).AsXRange()
	})
	if err != nil {
		return err
	}
	f.last = "0-0"
	if len(newest) > 0 {
		f.last = newest[0].ID
	}
	f.certain = true
	f.announced(nil)
	return nil
}

func (f *follower) entries(ctx context.Context, from, to string) ([]rueidis.XRangeEntry, error) {
	return do(ctx, f.Engine, func(c rueidis.Client) ([]rueidis.XRangeEntry, error) {
		return c.Do(ctx, c.B().Xrange().Key(changesKey).Start(from).End(to).Count(pollPage).Build()).AsXRange()
	})
}
