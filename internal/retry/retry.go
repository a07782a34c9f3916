// SPDX-License-Identifier: Apache-2.0

// Package retry paces attempts at something that fails for a while: a server
// that is down, a storage that does not answer.
//
// A Backoff says how long to wait after each failure. The pause doubles from
// Min to Max and is shortened at random by up to a quarter, so that gateways
// that lost the same server at the same moment do not come back at the same
// moment. Success resets it.
//
// The package decides neither what is worth another attempt nor when to give
// up, and it does not call anything: the loop stays with the caller, who knows
// what else to wait for. It is not a circuit breaker, which keeps requests from
// a server that fails.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is the pause between failed attempts. Min and Max must be set. It
// belongs to one loop and is not safe for concurrent use.
type Backoff struct {
	Min   time.Duration // the first pause, and the shortest
	Max   time.Duration // the longest pause
	Clock Clock         // nil: the machine's

	failures int
}

// Next notes a failure and returns how long to wait after it: never less than
// Min, never more than Max.
func (b *Backoff) Next() time.Duration {
	pause := b.Min
	for range b.failures {
		if pause >= b.Max/2 {
			pause = b.Max
			break
		}
		pause *= 2
	}
	b.failures++
	pause = min(pause, b.Max)
	if spread := pause / 4; spread > 0 {
		pause -= rand.N(spread + 1)
	}
	return min(max(pause, b.Min), b.Max)
}

// Reset notes a success: the next failure is the first one again.
func (b *Backoff) Reset() { b.failures = 0 }

// Wait notes a failure and waits. It reports whether the pause is over; if not,
// the context has ended.
func (b *Backoff) Wait(ctx context.Context) bool {
	return b.Clock.Sleep(ctx, b.Next())
}

// Sleep waits by the machine's clock until the time has passed or the context
// has ended, and reports whether it was the time.
func Sleep(ctx context.Context, d time.Duration) bool { return Clock(nil).Sleep(ctx, d) }

// Clock tells when a time has passed, as time.After does. A nil Clock is that
// function. Tests inject another one.
type Clock func(time.Duration) <-chan time.Time

// After returns a channel that receives once the time has passed.
func (c Clock) After(d time.Duration) <-chan time.Time {
	if c == nil {
		return time.After(d)
	}
	return c(d)
}

// Sleep waits by this clock as the function Sleep does by the machine's.
func (c Clock) Sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-c.After(d):
		return true
	}
}
