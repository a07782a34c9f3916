// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"
)

func TestPausesGrowBetweenTheirBounds(t *testing.T) {
	for name, test := range map[string]struct {
		min, max time.Duration
		want     []time.Duration // the longest that each pause may be
	}{
		"doubling":    {time.Second, 30 * time.Second, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9}},
		"constant":    {time.Second, time.Second, []time.Duration{1e9, 1e9, 1e9}},
		"odd bounds":  {400 * time.Millisecond, 500 * time.Millisecond, []time.Duration{4e8, 5e8, 5e8}},
		"max below":   {2 * time.Second, time.Second, []time.Duration{1e9, 1e9}},
		"no overflow": {math.MaxInt64 / 3, math.MaxInt64, []time.Duration{math.MaxInt64 / 3, math.MaxInt64 / 3 * 2, math.MaxInt64}},
		"tiny":        {1, 3, []time.Duration{1, 3, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				b := Backoff{Min: test.min, Max: test.max}
				for i, longest := range test.want {
					shortest := min(max(longest-longest/4, test.min), test.max)
					if got := b.Next(); got > longest || got < shortest {
						t.Fatalf("pause %d: got %s, want %s to %s", i, got, shortest, longest)
					}
				}
			}
		})
	}
}

func TestManyFailuresLaterThePauseIsStillBounded(t *testing.T) {
	b := Backoff{Min: time.Second, Max: time.Minute}
	for range 10_000 {
		if got := b.Next(); got < time.Second || got > time.Minute {
			t.Fatalf("got %s", got)
		}
	}
}

func TestSuccessStartsOver(t *testing.T) {
	b := Backoff{Min: time.Second, Max: time.Minute}
	for range 5 {
		b.Next()
	}
	b.Reset()
	if got := b.Next(); got != time.Second {
		t.Errorf("got %s, want 1s", got)
	}
}

// Of a hundred gateways that fail together no ten may come back within the same
// hundredth of the time over which they are spread.
func TestPausesAreSpread(t *testing.T) {
	const gateways, pause = 100, 32 * time.Second
	perSlot := make(map[time.Duration]int)
	for range gateways {
		b := Backoff{Min: time.Second, Max: pause}
		var got time.Duration
		for range 10 {
			got = b.Next()
		}
		perSlot[got/(pause/400)]++
	}
	counts := make([]int, 0, len(perSlot))
	for _, n := range perSlot {
		counts = append(counts, n)
	}
	if most := slices.Max(counts); most > 10 {
		t.Errorf("%d of %d gateways come back at once", most, gateways)
	}
}

func TestWaitingFollowsTheInjectedClock(t *testing.T) {
	var asked []time.Duration
	passed := make(chan time.Time, 1)
	b := Backoff{Min: time.Hour, Max: time.Hour, Clock: func(d time.Duration) <-chan time.Time {
		asked = append(asked, d)
		return passed
	}}
	passed <- time.Time{}
	if !b.Wait(t.Context()) {
		t.Error("the pause is over, and Wait says that the context has ended")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b.Wait(ctx) {
		t.Error("the context has ended, and Wait says that the pause is over")
	}
	if !slices.Equal(asked, []time.Duration{time.Hour}) {
		t.Errorf("the clock was asked for %v, want one hour once", asked)
	}
}
