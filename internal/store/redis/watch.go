// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-gluu/gateway/internal/store"
)

const (
	pollPatience = 3 * time.Second
	pollPage     = 1000
)

// follower reads the stream of announcements.
type follower struct {
	*Engine
	announced func([]byte)
	last      string // the last that was read
	certain   bool   // that nothing was missed since it began
}

// Watch implements store.Engine.
func (e *Engine) Watch(ctx context.Context, announced func([]byte)) {
	f := &follower{Engine: e, announced: announced}
	(&store.Follower{
		Listen:  e.subscribe,
		Backoff: pause(),
		Read: func(ctx context.Context) {
			if err := f.read(ctx); err != nil {
				f.certain = false
			}
		},
	}).Follow(ctx)
}

// subscribe wakes the follower at each message.
func (e *Engine) subscribe(ctx context.Context, wake func()) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	return client.Receive(ctx, client.B().Subscribe().Channel(changesKey).Build(), func(rueidis.PubSubMessage) { wake() })
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
