// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// What the authorization server of this process says about a token is cached like
// the answer of any other, so that what handlers make of a token is made once. But
// it is asked at each request whether that still holds, so a revocation takes effect
// at once. Refusals are not cached, and nothing is shared through Redis: asking costs
// less.

// stillHolds reports whether a token from the cache may be used. For the token of
// another server than this process's, the cache decides that.
func (l *Lookup) stillHolds(t *token.Token) bool {
	if l.local == nil {
		return true
	}
	server, err := l.local()
	return err == nil && server.Holds(t)
}

// askLocal asks the server of this process about a token. It survives a panic there, for
// the same reason as recoverPanics.
func (l *Lookup) askLocal(ctx context.Context, key tokencache.Key, epoch uint64, raw string) (verified *token.Token, err error) {
	defer func() {
		if r := recover(); r != nil {
			verified, err = nil, l.panicked(r)
		}
	}()
	server, err := l.local()
	if err != nil {
		return nil, token.Unavailable(token.DefaultRetryAfter, "%w", err)
	}
	timeout := time.Duration(l.server.Config().Timeout)
	leave, err := l.clients.enter(ctx, timeout)
	if err != nil {
		return nil, err
	}
	defer func() { leave(err) }()
	if !server.AnswersAtOnce() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	begun := l.server.Now()
	verified, err = server.Verify(ctx, raw, l.server.Config().Audience)
	now := l.server.Now()
	l.metrics.introspected(outcomeOf(err), now.Sub(begun))
	if err != nil {
		return nil, token.AsError(err)
	}
	l.prepare(verified, raw)
	l.cache.Keep(key, epoch, verified, now, now, 0)
	return verified, nil
}
