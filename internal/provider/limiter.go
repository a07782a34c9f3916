// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"time"
)

// maxInFlight is how many requests to one endpoint of an authorization server may
// be under way. A flood of made-up tokens costs one introspection each; it should
// cost neither the server nor this process an unbounded number of connections.
const maxInFlight = 256

var errTooBusy = errors.New("too many requests to this endpoint are under way")

// limiter bounds how many requests are under way: it has a place for each.
type limiter chan struct{}

func newLimiter(places int) limiter { return make(limiter, places) }

// acquire takes a place, which the caller gives back by calling release. If none
// becomes free in time, the error is errTooBusy; if the context ends first, its
// cause.
func (l limiter) acquire(ctx context.Context, wait time.Duration) (release func(), err error) {
	release = func() { <-l }
	select {
	case l <- struct{}{}:
		return release, nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case l <- struct{}{}:
		return release, nil
	case <-timer.C:
		return nil, errTooBusy
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
