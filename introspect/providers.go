// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"slices"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/verifier"
)

// Providers are the authorization servers whose tokens one handler accepts, in the
// order of its configuration. There is at least one.
type Providers []*Provider

// NamedProviders returns the providers of these names. It refuses two that a
// token's `iss` cannot tell apart.
func (a *App) NamedProviders(names []string) (Providers, error) {
	var all Providers
	for _, name := range names {
		p, err := a.Provider(name)
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if issuer := p.ConfiguredIssuers().Common(other.ConfiguredIssuers()); issuer != "" {
				return nil, fmt.Errorf("the providers %q and %q have the same issuer %q, so that no token says which of them it is for: keep one, or write a handler for each", other.name, name, issuer)
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// Pick returns the provider that verifies a token: the first one whose issuer the
// token names, unverified, whatever else is odd about the token; else the first
// one that introspects. A token can only choose whose keys it is checked against,
// and does not pass with those of another.
func (p Providers) Pick(raw string) *Provider {
	if len(p) == 1 {
		return p[0]
	}
	if issuers := verifier.ClaimedIssuers(raw); len(issuers) > 0 {
		for _, each := range p {
			if slices.ContainsFunc(issuers, each.issuers().Claim) {
				return each
			}
		}
	}
	for _, each := range p {
		if each.Config.Verify != provider.VerifyJWT {
			return each
		}
	}
	return p[0]
}

// issuers are the values of `iss` that are this provider's.
func (p *Provider) issuers() provider.Issuers {
	if p.server == nil {
		return p.ConfiguredIssuers()
	}
	return p.server.Issuers()
}
