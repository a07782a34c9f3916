// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/clientlimit"
	"github.com/caddy-gluu/gateway/internal/token"
)

// clientLimits keep one client network from keeping the authorization server busy
// with unknown tokens while others wait.
type clientLimits struct{ *clientlimit.Limits }

// enter waits for a place for the introspection of a token. The caller calls leave
// with the outcome.
func (l clientLimits) enter(ctx context.Context, wait time.Duration) (leave func(err error), err error) {
	done, err := l.Enter(ctx, clientlimit.NetworkOf(ctx), wait)
	switch {
	case errors.Is(err, clientlimit.ErrTooMany):
		return nil, &token.Error{Reason: token.Limited, RetryAfter: token.DefaultRetryAfter, Err: err}
	case err != nil:
		return nil, token.Unavailable(token.DefaultRetryAfter, "waiting to introspect the token: %w", err)
	}
	return func(err error) { done(isUnknown(err)) }, nil
}

// isUnknown reports whether a token counts against its network: it was refused, or
// had an answer that cannot be read. A server that does not answer is not the
// client's doing.
func isUnknown(err error) bool {
	if err == nil {
		return false
	}
	e := token.AsError(err)
	return e.IsRefusal() || e.Reason == token.Unreadable
}
