// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// explainRule says why a rule refuses a caller, nil if it does not, as decide does. The
// authorization server is not asked, so there is no ticket.
func (p *UMAPEP) explainRule(d *explain.Decision, caller *explain.Caller, rule *scopeexpr.Rule, path string) *identity.Refusal {
	authenticated := caller.Token != nil && caller.Provider == p.provider.Name()
	if !rule.HasResource() {
		return decideAccess(authenticated)
	}
	d.Resource = &explain.Resource{
		ID: p.resources.of(rule), Name: rule.ResourceName(p.ResourcePrefix), Scopes: p.resources.scopes(rule), ObtainRPT: p.client != nil,
	}
	refusal := ticketRefusal(p.provider.Issuer(), "", identity.ReasonNoToken)
	switch {
	case d.Resource.ID == "":
		refusal = unreachable(p.resources.unknown())
	case authenticated:
		granted, err := p.permits(caller.Token, rule, path, d.Resource.ID)
		if granted {
			return nil
		}
		refusal = ticketRefusal(p.provider.Issuer(), "", identity.ReasonScopeMissing)
		if err != nil {
			refusal = identity.InvalidToken(&token.Error{Reason: token.Invalid, Err: err})
		}
	}
	return &refusal
}
