// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
)

// maxInFlight is how many requests to one authorization server may be under
// way. A flood of made-up tokens costs one introspection each; it should cost
// neither the server nor this process an unbounded number of connections.
const maxInFlight = 256

var errTooBusy = errors.New("too many requests to this server are under way")

// limiter bounds how many requests are under way: it has a place for each.
type limiter chan struct{}

func newLimiter(places int) limiter { return make(limiter, places) }

// acquire takes a place, which the caller gives back by calling release. It waits
// for one until the context ends; then the error is errTooBusy.
func (l limiter) acquire(ctx context.Context) (release func(), err error) {
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, errTooBusy
	}
}
