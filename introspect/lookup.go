// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
)

// Known returns what is known about a token without asking anybody: the
// verified token, or the *Error that refuses it. Known is false if it takes
// Verify to tell.
func (p *Provider) Known(raw string) (token *Token, err error, known bool) {
	if raw == "" || len(raw) > maxToken {
		return nil, nil, false
	}
	return p.known(p.server.cacheKeys.key(raw))
}

func (p *Provider) known(key cacheKey) (token *Token, err error, known bool) {
	s := p.server
	token, refusal := p.cache.lookup(key, s.now())
	switch {
	case token != nil:
		s.metrics.hits.Inc()
		return token, nil, true
	case refusal != nil:
		s.metrics.negativeHits.Inc()
		return nil, refusal, true
	}
	return nil, nil, false
}

// Verify returns the verified token that raw is. The error is always an
// *Error: one that refuses the token, or ProviderUnavailable if the
// authorization server had to be asked and could not be.
//
// A token with a Confirmation comes back like any other. Whoever has the
// request checks the proof: see CheckBinding.
func (p *Provider) Verify(ctx context.Context, raw string) (*Token, error) {
	if raw == "" || len(raw) > maxToken {
		return nil, refuse(TokenInvalid, "a token has between 1 and %d bytes", maxToken)
	}
	key := p.server.cacheKeys.key(raw)
	if token, err, known := p.known(key); known {
		return token, err
	}
	p.server.metrics.misses.Inc()
	return p.verifyTogether(ctx, key, raw)
}

// verifyTogether verifies a token once for all requests that come with it in
// the meantime. The work belongs to none of them: it goes on when the request
// that began it is cancelled, until it is done or the timeout is over.
func (p *Provider) verifyTogether(ctx context.Context, key cacheKey, raw string) (*Token, error) {
	s := p.server
	epoch := p.cache.currentEpoch()
	outcome := s.flights.DoChan(flightOf(key, epoch), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(s.config.Timeout))
		defer cancel()
		return p.verifyOnce(ctx, key, epoch, raw)
	})
	select {
	case done := <-outcome:
		if done.Err != nil {
			return nil, done.Err
		}
		return done.Val.(*Token), nil
	case <-ctx.Done():
		return nil, unavailable(defaultRetryAfter, "the request ended before its token was verified: %w", context.Cause(ctx))
	}
}

// flightOf names the verification of a token. One that began before an
// eviction is not joined after it.
func flightOf(key cacheKey, epoch uint64) string {
	return string(binary.BigEndian.AppendUint64(key[:], epoch))
}

// verifyOnce verifies a token and remembers the outcome. Only what the
// authorization server said, or a signature proves, is remembered: that it
// could not be asked says nothing about the token.
func (p *Provider) verifyOnce(ctx context.Context, key cacheKey, epoch uint64, raw string) (*Token, error) {
	s := p.server
	// Somebody may have been done between the lookup and here.
	if token, refusal := p.cache.lookup(key, s.now()); token != nil {
		return token, nil
	} else if refusal != nil {
		return nil, refusal
	}
	staleFor := time.Duration(s.config.StaleIfError)
	token, verifiedAt, since := p.fromShared(ctx, raw)
	if token != nil {
		p.prepare(token, raw)
		p.cache.keep(key, epoch, token, verifiedAt, s.now(), staleFor)
		return token, nil
	}
	token, refusal := s.verifySafely(ctx, raw)
	switch {
	case refusal == nil:
		p.prepare(token, raw)
		now := s.now()
		p.cache.keep(key, epoch, token, now, now, staleFor)
		p.toShared(ctx, raw, since, token, now)
		return token, nil
	case refusal.Reason == ProviderUnavailable:
		if stale := p.cache.lookupStale(key, s.now()); stale != nil {
			s.metrics.stale.Inc()
			return stale, nil
		}
	case isLasting(refusal):
		refusal = refusal.WithoutCause()
		p.cache.refuse(key, epoch, refusal, s.now())
	}
	return nil, refusal
}

// prepare makes a token ready to be kept.
func (p *Provider) prepare(token *Token, raw string) {
	token.Compact()
	if shared := p.cache.shared; shared != nil {
		token.SharedName = shared.name(raw)
	}
}

// isLasting reports whether a refusal holds for a while. That no key fits ends
// with the next fetch of the keys, and finding that out again costs little.
func isLasting(refusal *Error) bool {
	return !errors.Is(refusal, errUnknownKey) && !errors.Is(refusal, errUnfitKey) && !errors.Is(refusal, errAmbiguousKey)
}

// verifySafely survives what should not happen: the goroutine is shared by
// requests and has no handler above it that would catch a panic.
func (s *server) verifySafely(ctx context.Context, raw string) (token *Token, refusal *Error) {
	defer func() {
		if r := recover(); r != nil {
			s.logger().Error("panic while verifying a token", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
			token, refusal = nil, unavailable(defaultRetryAfter, "panic while verifying a token")
		}
	}()
	token, err := s.verifyAnew(ctx, raw)
	if err != nil {
		return nil, asError(err)
	}
	return token, nil
}
