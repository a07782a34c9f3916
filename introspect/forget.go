// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// An operator can make the gateway forget tokens, which are then verified
// again the next time they are used. For a token that was introspected this makes a
// revocation take effect at once; a JWT stays valid by its signature until it
// expires.
//
// Each of these returns how many tokens this process has forgotten. An error
// means that gateways that share the cache have not been told yet: they are
// told as soon as Redis is available again.

// MaxToken is the size in bytes of the largest token that any provider accepts.
func (a *App) MaxToken() int {
	longest := provider.DefaultMaxToken
	for _, p := range a.all() {
		longest = max(longest, p.MaxTokenLength())
	}
	return longest
}

// ForgetTokens forgets all tokens.
func (a *App) ForgetTokens(ctx context.Context) (forgotten int, err error) {
	return a.cache.Forget(ctx, tokencache.All(), nil)
}

// ForgetTokensOfClient forgets the tokens of an OAuth client.
func (a *App) ForgetTokensOfClient(ctx context.Context, clientID string) (forgotten int, err error) {
	return a.cache.Forget(ctx, tokencache.OfClient(clientID), nil)
}

// ForgetTokensOfSubject forgets the tokens of a subject, of all providers.
func (a *App) ForgetTokensOfSubject(ctx context.Context, subject string) (forgotten int, err error) {
	return a.cache.Forget(ctx, tokencache.OfSubject(subject), nil)
}

// ForgetToken forgets one token, also if it was refused.
func (a *App) ForgetToken(ctx context.Context, raw string) (forgotten int, err error) {
	var keys []tokencache.Key
	for _, p := range a.all() {
		keys = append(keys, p.CacheKey(raw))
	}
	return a.cache.Forget(ctx, tokencache.One(raw), keys)
}

// CacheStatus is the state of the cache of verified tokens.
type CacheStatus = tokencache.Status

// CacheStatus returns how many tokens are cached, and whether the cache that
// gateways share is available.
func (a *App) CacheStatus() CacheStatus { return a.cache.Status() }

// EachToken visits the verified tokens in the memory of this process, until visit returns
// false. They come in no order.
func (a *App) EachToken(visit func(t *token.Token) bool) { a.cache.Each(visit) }
