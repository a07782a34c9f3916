// SPDX-License-Identifier: Apache-2.0

package introspect

import "context"

// MaxToken is the size in bytes of the largest token that is accepted anywhere.
const MaxToken = maxToken

// An operator can make the gateway forget tokens, which are then verified
// anew when they come again. For a token that was introspected this makes a
// revocation take effect at once; a JWT stays valid by its signature until it
// expires.
//
// Each of these returns how many tokens this process has forgotten. An error
// means that gateways that share the cache have not been told yet: they are
// told as soon as Redis is available again.

// ForgetTokens forgets all tokens.
func (a *App) ForgetTokens(ctx context.Context) (forgotten int, err error) {
	return a.forget(ctx, selection{kind: allTokens})
}

// ForgetTokensOfClient forgets the tokens of an OAuth client.
func (a *App) ForgetTokensOfClient(ctx context.Context, clientID string) (forgotten int, err error) {
	return a.forget(ctx, selection{tokensOfClient, clientID})
}

// ForgetTokensOfSubject forgets the tokens of a subject, whoever issued them.
func (a *App) ForgetTokensOfSubject(ctx context.Context, subject string) (forgotten int, err error) {
	return a.forget(ctx, selection{tokensOfSubject, subject})
}

// ForgetToken forgets one token, also if it was refused.
func (a *App) ForgetToken(ctx context.Context, raw string) (forgotten int, err error) {
	return a.forget(ctx, selection{oneToken, raw})
}

// forget starts with what is shared, so that a token that is missing here
// afterwards is not found there again.
func (a *App) forget(ctx context.Context, what selection) (forgotten int, err error) {
	if a.cache.shared != nil {
		err = a.cache.shared.evict(ctx, what)
	}
	var keys []cacheKey
	if what.kind == oneToken {
		for _, p := range a.all() {
			keys = append(keys, p.verifier.cacheKeys.key(what.value))
		}
	}
	return a.cache.evict(what, keys), err
}

// CacheStatus returns how many tokens are cached, and whether the cache that
// gateways share is available.
func (a *App) CacheStatus() CacheStatus { return a.cache.status() }
