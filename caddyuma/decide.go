// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"sync"

	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// rpt is what a handler keeps about a token: its permissions, read once, and
// for each resource that it was used for the scopes in the form that the
// policy decides on.
type rpt struct {
	permissions permissions
	err         error
	granted     sync.Map // resource id to *grantedScopes
}

// grantedScopes are good until one of the permissions behind them ends or
// begins.
type grantedScopes struct {
	scopes *scopeexpr.Scopes
	any    bool  // there is a scope, whichever
	until  int64 // in seconds since 1970; 0: as long as the token
}

// held returns the scopes that the token has at a resource, for the log.
func (p *UMAPEP) held(req enforce.Request, resource string) []string {
	held := []string{}
	if kept, ok := req.Identity.Token.Value(p.stateKey).(*rpt); ok {
		scopes, _ := kept.permissions.scopes(resource, p.now().Unix())
		held = append(held, scopes...)
	}
	return held
}

// permits says whether a token's permissions at a resource satisfy a rule.
func (p *UMAPEP) permits(token *token.Token, rule *scopeexpr.Rule, path, resource string) (bool, error) {
	kept, ok := token.Value(p.stateKey).(*rpt)
	if !ok {
		kept = new(rpt)
		kept.permissions, kept.err = permissionsOf(token)
		token.SetValue(p.stateKey, kept)
	}
	if kept.err != nil {
		return false, kept.err
	}
	if _, named := kept.permissions[resource]; !named {
		return false, nil // and nothing is kept, so that what is kept is bounded by the token
	}
	now := p.now().Unix()
	if known, ok := kept.granted.Load(resource); ok {
		granted := known.(*grantedScopes)
		if granted.until == 0 || now < granted.until {
			return granted.satisfies(rule, path), nil
		}
	}
	scopes, until := kept.permissions.scopes(resource, now)
	granted := &grantedScopes{scopeexpr.NewScopes(p.resources.policy, scopes), len(scopes) > 0, until}
	kept.granted.Store(resource, granted)
	return granted.satisfies(rule, path), nil
}

// satisfies decides a rule. One that any permission satisfies needs one that holds
// now: its expression is always true.
func (g *grantedScopes) satisfies(rule *scopeexpr.Rule, path string) bool {
	return (g.any || rule.Access() != scopeexpr.Permitted) && rule.Decide(path, g.scopes)
}
