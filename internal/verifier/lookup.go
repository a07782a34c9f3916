// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/clientlimit"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
	"github.com/caddy-gluu/gateway/jose"
)

// How a token is looked up, from what every request pays to what few do:
//
//	Verify                     bounds the length
//	├── cached                 what this process knows; most requests end here
//	└── coalesce               one verification for all requests with the token:
//	    │                      at once where nothing has to be waited for
//	    └── verifyUncached     remembers the outcome
//	        ├── askLocal       the server of this process knows
//	        ├── foreignIssuer  a JWT of another provider ends here
//	        ├── fromShared     what another gateway knows (Redis)
//	        └── recoverPanics
//	            └── verifyByMode
//	                ├── verifyLocally   by the signature of a JWT
//	                └── introspect      by asking the authorization server
//
// A token is taken apart once on its way, by the first step that needs it.

// Cached returns what is known about a token without asking the authorization
// server: the verified token, or the *token.Error that refuses it. Known is false if it
// takes Verify to tell.
func (l *Lookup) Cached(raw string) (verified *token.Token, err error, known bool) {
	if raw == "" || len(raw) > l.maxToken {
		return nil, nil, false
	}
	return l.cached(l.cacheKeys.Key(raw))
}

// CachedFor returns the verified token if a handler has kept something with it
// under this key, else nil. A handler with several providers finds a token that it
// has picked the provider for in this way: that another handler had the same token
// verified elsewhere says nothing about where this one would have asked.
func (l *Lookup) CachedFor(raw string, key token.ValueKey) *token.Token {
	if raw == "" || len(raw) > l.maxToken {
		return nil
	}
	t := l.cache.LookupVerified(l.cacheKeys.Key(raw), l.server.Now())
	if t == nil || t.Value(key) == nil || !l.stillHolds(t) {
		return nil
	}
	l.metrics.hits.Inc()
	return t
}

// Grown tells the cache that a handler has kept something large with a token
// ([token.Sized]), which takes room there.
func (l *Lookup) Grown(raw string, t *token.Token) {
	l.cache.Reweigh(l.cacheKeys.Key(raw), t)
}

func (l *Lookup) cached(key tokencache.Key) (verified *token.Token, err error, known bool) {
	verified, refusal := l.cache.Lookup(key, l.server.Now())
	switch {
	case verified != nil && l.stillHolds(verified):
		l.metrics.hits.Inc()
		return verified, nil, true
	case refusal != nil:
		l.metrics.negativeHits.Inc()
		return nil, refusal, true
	}
	return nil, nil, false
}

// Verify returns the verified token that raw is. The error is always a
// *token.Error: one that refuses the token, or token.ProviderUnavailable if the
// authorization server had to be asked and could not be.
//
// A token with a Confirmation comes back like any other. The proof is checked by
// the caller, who has the request: see CheckBinding.
func (l *Lookup) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if raw == "" || len(raw) > l.maxToken {
		return nil, token.Refuse(token.Invalid, "a token has between 1 and %d bytes", l.maxToken)
	}
	key := l.cacheKeys.Key(raw)
	if verified, err, known := l.cached(key); known {
		return verified, err
	}
	l.metrics.misses.Inc()
	return l.coalesce(ctx, key, raw)
}

// coalesce verifies a token once for all requests that come with it in the
// meantime. The work belongs to none of them: it goes on when the request that
// began it is cancelled. Each of its steps has the timeout for itself, and waiting
// for the turn is a step: a server is never blamed for a queue.
func (l *Lookup) coalesce(ctx context.Context, key tokencache.Key, raw string) (*token.Token, error) {
	epoch := l.cache.Epoch()
	flights, flight := &l.singleFlight, flightKey(key, epoch)
	sent := l.presented(raw, key)
	if l.verifiesAtOnce(sent) {
		// No goroutine: the check of a signature, or a look into the file of the
		// embedded server, costs little more than handing it over.
		if l.local != nil {
			ctx = context.WithoutCancel(ctx)
		}
		done, err, _ := flights.Do(flight, func() (any, error) { return l.verifyUncached(ctx, key, epoch, sent) })
		if err != nil {
			return nil, err
		}
		return done.(*token.Token), nil
	}
	detached := clientlimit.Detach(ctx)
	outcome := flights.DoChan(flight, func() (any, error) {
		ctx, cancel := context.WithTimeout(detached, verificationSteps*time.Duration(l.server.Config().Timeout))
		defer cancel()
		return l.verifyUncached(ctx, key, epoch, sent)
	})
	select {
	case done := <-outcome:
		if done.Err != nil {
			return nil, done.Err
		}
		return done.Val.(*token.Token), nil
	case <-ctx.Done():
		return nil, token.Unavailable(token.DefaultRetryAfter, "the request ended before its token was verified: %w", context.Cause(ctx))
	}
}

// verifiesAtOnce reports whether a token is verified without waiting for anything:
// by the server of this process, or by its signature with a key that is at hand.
func (l *Lookup) verifiesAtOnce(sent *presented) bool {
	if l.local != nil {
		server, err := l.local()
		return err == nil && server.AnswersAtOnce()
	}
	if !l.verifiesLocally(sent) || !sent.claimsAny(l.server.Issuers()) {
		return false
	}
	jwt, err := sent.parse()
	if err != nil {
		return false
	}
	key, ok := l.server.KeyAtHand(jwt.Header.KeyName, jwt.Header.Algorithm)
	if ok {
		sent.atHand = oneKey{key}
	}
	return ok
}

// oneKey is the key of a token that has been found already.
type oneKey struct{ key jose.Key }

// Key implements jwtcheck.KeySet.
func (k oneKey) Key(context.Context, jose.KeyName, string) (jose.Key, error) { return k.key, nil }

// verificationSteps are those that may take the timeout each: metadata that is
// being read for the first time, the queue of the client's network, that of the
// server, the call, and the keys of a signed answer.
const verificationSteps = 5

// flightKey names the verification of a token. One that began before an
// eviction is not joined after it.
func flightKey(key tokencache.Key, epoch uint64) string {
	return string(binary.BigEndian.AppendUint64(key[:], epoch))
}

// verifyUncached verifies a token and remembers the outcome. Only what the
// authorization server said, or a signature proves, is remembered: that it
// was unavailable says nothing about the token.
func (l *Lookup) verifyUncached(ctx context.Context, key tokencache.Key, epoch uint64, sent *presented) (*token.Token, error) {
	s := l.server
	// Another flight may have ended between the lookup and here.
	if verified, refusal := l.cache.Lookup(key, s.Now()); verified != nil && l.stillHolds(verified) {
		return verified, nil
	} else if refusal != nil {
		return nil, refusal
	}
	if l.local != nil {
		return l.askLocal(ctx, key, epoch, sent.raw)
	}
	if other := l.foreignIssuer(sent); other != "" {
		// Not remembered: it holds for this configuration.
		return nil, token.Refuse(token.Invalid, "a JWT of issuer %q, which is another provider here, not of %q", other, s.Config().Issuer)
	}
	staleFor := time.Duration(s.Config().StaleIfError)
	sent.insist = staleFor > 0 && l.cache.LookupStale(key, s.Now()) != nil
	verified, verifiedAt, since := l.fromShared(ctx, sent)
	if verified != nil {
		l.prepare(verified, sent.raw)
		l.cache.Keep(key, epoch, verified, verifiedAt, s.Now(), staleFor)
		return verified, nil
	}
	verified, refusal := l.recoverPanics(ctx, sent)
	switch {
	case refusal == nil:
		l.prepare(verified, sent.raw)
		now := s.Now()
		l.cache.Keep(key, epoch, verified, now, now, staleFor)
		l.toShared(ctx, sent, since, verified, now)
		return verified, nil
	case provider.HasFailed(refusal):
		// Only the failure of this very question: clients can open a breaker or
		// fill a queue, and would choose how long a revoked token works.
		if stale := l.cache.LookupStale(key, s.Now()); stale != nil {
			l.metrics.stale.Inc()
			return stale, nil
		}
	case isLasting(refusal):
		refusal = refusal.WithoutCause()
		if refusal.Reason == token.Inactive {
			refusal.Until = sent.claimed().validAgain(s.Now())
		}
		l.cache.KeepRefusal(key, epoch, refusal, s.Now())
	}
	return nil, refusal
}

// Again verifies a token once more, whatever is remembered of it, for a stream
// that has gone on since. The outcome replaces what is remembered: a token that
// the server does not vouch for any more is forgotten by all gateways.
func (l *Lookup) Again(ctx context.Context, raw string) (*token.Token, error) {
	s := l.server
	key := l.cacheKeys.Key(raw)
	epoch := l.cache.Epoch()
	if l.local != nil {
		return l.askLocal(ctx, key, epoch, raw)
	}
	verified, refusal := l.recoverPanics(ctx, l.presented(raw, key))
	now := s.Now()
	switch {
	case refusal == nil:
		l.prepare(verified, raw)
		l.cache.Keep(key, epoch, verified, now, now, time.Duration(s.Config().StaleIfError))
		return verified, nil
	case refusal.IsRefusal():
		// What other gateways have not been told is on its way to them.
		_, _ = l.cache.Withdraw(ctx, tokencache.One(raw), []tokencache.Key{key})
		if isLasting(refusal) {
			refusal = refusal.WithoutCause()
			l.cache.KeepRefusal(key, l.cache.Epoch(), refusal, now)
		}
	}
	return nil, refusal
}

// AsksServer reports whether the authorization server is asked about a token,
// rather than its signature checked.
func (l *Lookup) AsksServer(raw string) bool {
	return l.local != nil || !l.verifiesLocally(&presented{raw: raw, most: l.maxToken})
}

// Holds reports whether a token that was verified before is still good, as far as
// that can be told without asking.
func (l *Lookup) Holds(t *token.Token) bool { return l.stillHolds(t) }

// IsLocal reports whether the authorization server is one of this process.
func (l *Lookup) IsLocal() bool { return l.local != nil }

// prepare makes a token ready to be kept.
func (l *Lookup) prepare(verified *token.Token, raw string) {
	verified.Provider = l.server.Name()
	verified.Compact()
	verified.SharedName = l.cache.SharedName(raw)
}

// isLasting reports whether the outcome for a token holds for a while: a refusal,
// or that the server's answer about it cannot be read. That no key fits ends with
// the next fetch of the keys, and that there is no endpoint with the next
// discovery; finding either out again costs little.
func isLasting(refusal *token.Error) bool {
	if refusal.Reason == token.Unreadable {
		return true
	}
	return refusal.IsRefusal() && !errors.As(refusal, new(*provider.NoEndpointError)) &&
		!errors.Is(refusal, provider.ErrUnknownKey) && !errors.Is(refusal, provider.ErrUnfitKey) && !errors.Is(refusal, provider.ErrAmbiguousKey)
}

// foreignIssuer returns the issuer that a JWT names if that is another provider's
// of the configuration, and not this one's, else "". Such a token is that
// provider's to verify. This one's server has no business seeing it.
func (l *Lookup) foreignIssuer(sent *presented) string {
	if l.isForeign == nil || sent.claimsAny(l.server.Issuers()) {
		return ""
	}
	for _, issuer := range sent.claimed().issuers {
		if l.isForeign(issuer) {
			return issuer
		}
	}
	return ""
}

// recoverPanics verifies a token and survives what should not happen: the
// goroutine is shared by requests and has no handler above it that would catch a
// panic.
func (v *Verifier) recoverPanics(ctx context.Context, sent *presented) (verified *token.Token, refusal *token.Error) {
	defer func() {
		if r := recover(); r != nil {
			verified, refusal = nil, v.panicked(r)
		}
	}()
	verified, err := v.verifyByMode(ctx, sent)
	if err != nil {
		return nil, token.AsError(err)
	}
	return verified, nil
}

// panicked logs a panic and returns what the client is told.
func (v *Verifier) panicked(cause any) *token.Error {
	v.server.Logger().Error("panic while verifying a token", zap.Any("panic", cause), zap.ByteString("stack", debug.Stack()))
	return token.Unavailable(token.DefaultRetryAfter, "panic while verifying a token")
}
