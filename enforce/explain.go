// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// offerExplanations lets the admin API ask this handler about requests.
func (e *Enforcer) offerExplanations(ctx caddy.Context) { e.OfferExplanations(ctx, e) }

// ExplainBy sets what explains why a UMA rule refuses a caller (nil: it does not) by
// the permissions that the authorization server has granted. Call it before Provision.
func (e *Enforcer) ExplainBy(explainer func(d *explain.Decision, caller *explain.Caller, rule *scopeexpr.Rule, path string) *identity.Refusal) {
	e.explainer = explainer
}

// ExplainRequest implements explain.Enforcer. It decides as Enforce does, without a
// trace in the records.
func (e *Enforcer) ExplainRequest(r *http.Request, caller *explain.Caller, _ bool) *explain.Decision {
	d := &explain.Decision{Decision: explain.Deny, DryRun: e.DryRun}
	policy := e.InForce()
	path, err := canonicalize(r, policy.CheckMethod, e.PathOptions())
	if err != nil {
		d.Decision, d.Refused = explain.BadRequest, identity.Explained(asRefusal(err))
		return d
	}
	rule, err := policy.Lookup(r.Method, path)
	if err != nil || rule == nil {
		refusal := identity.NoRule()
		if refusal.Cause = err; err == nil && e.open() {
			d.Decision = explain.Unprotected
			return d
		}
		d.Refused = identity.Explained(refusal)
		return d
	}
	d.Method, d.Rule, d.Access, d.Required = rule.Method(), rule.Pattern(), rule.Access(), required(rule)
	d.Operation = rule.Operation()
	if refusal := e.explainRule(d, rule, path, caller); refusal != nil {
		d.Refused = identity.Explained(*refusal)
		return d
	}
	d.Decision = explain.Allow
	return d
}

// RuleFor implements explain.Ruler.
func (e *Enforcer) RuleFor(r *http.Request, before explain.Ruled) explain.Ruled {
	policy := e.InForce()
	path, err := canonicalize(r, policy.CheckMethod, e.PathOptions())
	if err != nil {
		return before
	}
	rule, err := policy.Lookup(r.Method, path)
	if err != nil || rule == nil {
		return before
	}
	return explain.Ruled{Operation: rule.Operation(), Pattern: rule.PathPattern(), Path: path}
}

// explainRule returns why a rule refuses a caller, nil if it does not.
func (e *Enforcer) explainRule(d *explain.Decision, rule *scopeexpr.Rule, path string, caller *explain.Caller) *identity.Refusal {
	var t *token.Token
	var scopes []string
	if caller != nil && caller.Token != nil {
		t, scopes = caller.Token, caller.Token.Scopes
	}
	explanation := rule.Explain(path, scopes)
	for _, capture := range explanation.Captures {
		d.Captures = append(d.Captures, capture.Value)
	}
	var refusal identity.Refusal
	switch {
	case rule.Access() == scopeexpr.Public:
		return nil
	case rule.Access() == scopeexpr.Denied:
		refusal = identity.NoRule()
	case caller == nil:
		refusal = Unauthenticated()
	case rule.UMA():
		return e.explainer(d, caller, rule, path)
	case t == nil:
		refusal = identity.NoToken()
	case !explanation.Granted:
		refusal = identity.InsufficientScope(rule.ChallengeScope())
	case caller.LoggedIn:
		return nil // the session knows how, and decides about each request
	default:
		event := eventOf(t)
		return (&Memo{event: func() authenticationEvent { return event }}).authentication(rule, event.judgedAt(caller.AdmittedAt, e.now()))
	}
	return &refusal
}

// Interface guard
var _ explain.Ruler = (*Enforcer)(nil)
