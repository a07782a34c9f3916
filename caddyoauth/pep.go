// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

func init() {
	caddy.RegisterModule(new(OAuthPEP))
}

// OAuthPEP is a middleware that lets a request pass if the scopes of its token
// satisfy the rule for its path and method: a policy enforcement point. It
// needs an authentication handler before it, such as `gluu_oauth_auth`.
//
// Rules are about the path that the upstream receives, in its one canonical
// form: percent-decoded once, without repeated slashes, without dot segments.
// A path that can be read in two ways is answered 400. What no rule names is
// answered 403, a token without the scopes 403, a caller without a token 401 unless
// the rule is public.
type OAuthPEP struct {
	enforce.Enforcer

	// The rules: a scope expression document, a list of
	// `{"path": "...", "conditions": [{"httpMethods": ["GET"],
	// "scope_expression": {"rule": {...}, "data": ["..."]}}]}`, or a string that
	// holds one. In place of `scope_expression` a condition may have `"access":
	// "public"` (no token needed) or `"access": "authenticated"` (any verified
	// token).
	ScopeExpression json.RawMessage `json:"oauth_scope_expression,omitempty"`

	// A file with a scope expression document. Its rules are added to the
	// others; no path can stand in both. It is read when the configuration
	// loads.
	ScopeExpressionFile string `json:"oauth_scope_expression_file,omitempty"`

	enforce.RuleOptions
}

// CaddyModule returns the Caddy module information.
func (*OAuthPEP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_oauth_pep",
		New: func() caddy.Module { return new(OAuthPEP) },
	}
}

// option is the field with the rules, as errors name it.
const option = "oauth_scope_expression"

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (p *OAuthPEP) UnmarshalJSON(text []byte) error {
	type plain OAuthPEP
	return directive.UnmarshalJSON("gluu_oauth_pep", text, (*plain)(p))
}

// Provision compiles the rules.
func (p *OAuthPEP) Provision(ctx caddy.Context) error {
	return p.ProvisionRules(ctx, identity.OAuth, p.rules())
}

func (p *OAuthPEP) rules() *enforce.RuleSource {
	return &enforce.RuleSource{RuleOptions: p.RuleOptions, Option: option, Inline: p.ScopeExpression, File: p.ScopeExpressionFile}
}

// Policy compiles the rules of the configuration.
func (p *OAuthPEP) Policy() (*scopeexpr.Policy, error) {
	policy, _, err := p.rules().Compile()
	return policy, err
}

// ServeHTTP lets the request pass or answers it.
func (p *OAuthPEP) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return p.Enforce(w, r, next, decide)
}

// decide says whether the scopes of the token satisfy the rule, or whether there is
// a token where the rule requires no more. A caller
// without a verified token is never judged by an expression, which could be
// one that is true of no scopes at all.
func decide(req enforce.Request) *identity.Refusal {
	if req.Memo == nil {
		refusal := identity.NoToken()
		return &refusal
	}
	if !req.Rule.Decide(req.Path, req.Memo.Scopes) {
		refusal := identity.InsufficientScope(req.ChallengeScope())
		return &refusal
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*OAuthPEP)(nil)
	_ caddyhttp.MiddlewareHandler = (*OAuthPEP)(nil)
)
