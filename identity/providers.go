// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
)

// A handler has one provider, or several of which each token picks one by the
// issuer that it names. For one nothing is picked: its requests pay for nothing.

func (a *Authenticator) findProviders(ctx caddy.Context) (err error) {
	switch {
	case a.hasOwnProvider():
		a.provider, err = a.app.AddProvider(ctx, &introspect.Provider{Config: a.Config.Config})
	case len(a.Providers) == 1:
		a.provider, err = a.app.Provider(a.Providers[0])
	case len(a.Providers) > 1:
		a.several, err = a.app.NamedProviders(a.Providers)
	default:
		a.provider, err = a.app.Provider(a.Config.Provider)
	}
	return err
}

// longestToken is how many bytes a token of any of the providers may have.
func (a *Authenticator) longestToken() int {
	if a.several == nil {
		return a.provider.MaxTokenLength()
	}
	longest := 0
	for _, p := range a.several {
		longest = max(longest, p.MaxTokenLength())
	}
	return longest
}

// cached returns the provider that a token is for and what is known about the
// token without asking ([introspect.Provider.Cached]).
func (a *Authenticator) cached(raw string) (p *introspect.Provider, t *token.Token, err error, known bool) {
	if a.several == nil {
		t, err, known = a.provider.Cached(raw)
		return a.provider, t, err, known
	}
	for _, p := range a.several {
		if t := p.CachedFor(raw, a.stateKey); t != nil {
			return p, t, nil, true
		}
	}
	p = a.several.Pick(raw)
	t, err, known = p.Cached(raw)
	return p, t, err, known
}

// caller is who a request is from as far as is known: the provider is nil as long
// as none of several is picked, and the token as long as none is verified.
func (a *Authenticator) caller(p *introspect.Provider, t *token.Token) *Identity {
	id := &Identity{Token: t, Realm: a.realm()}
	if p != nil {
		id.Provider = p.Name()
	}
	return id
}
