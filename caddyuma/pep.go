// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/siteorder"
	"github.com/caddy-gluu/gateway/internal/status"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

func init() {
	caddy.RegisterModule(new(UMAPEP))
}

// UMAPEP is a middleware that protects the resources of an API by an UMA 2.0
// authorization server: a resource server in the words of UMA. Rules say which
// scopes a path and method need; each rule and group of methods is one
// resource at the authorization server, where it is registered in the
// background.
//
// A request passes if the permissions of its requesting party token for that
// resource satisfy the rule. Otherwise the answer is 401 with a permission
// ticket, which the client exchanges at the authorization server for a token.
// It needs an authentication handler before it, such as `gluu_uma_auth` with
// `anonymous`.
type UMAPEP struct {
	enforce.Enforcer

	// The name of the provider, in the app `gluu`, that the resources are
	// registered with. Tokens of other providers are worth nothing here.
	// Default: `default`.
	Provider string `json:"provider,omitempty"`

	// The rules: a scope expression document as for `gluu_oauth_pep`, but
	// without patterns (`^`) and without `!`, since scopes are asked for by
	// name. A condition may name an existing resource by `resource_id` or
	// `resource_name`. Rules that are `public` or `authenticated` have none.
	ScopeExpression json.RawMessage `json:"uma_scope_expression,omitempty"`

	// A file with a scope expression document. Its rules are added to the
	// others; no path can stand in both. It is read when the configuration
	// loads.
	ScopeExpressionFile string `json:"uma_scope_expression_file,omitempty"`

	enforce.RuleOptions

	// A text that the names of registered resources begin with, so that
	// several APIs of one client can be told apart. A resource is named
	// `<methods> <path>`. Default: none.
	ResourcePrefix string `json:"resource_prefix,omitempty"`

	// `on` registers a resource for each rule that has none and updates the
	// scopes of those that have. `off` registers and changes nothing:
	// resources are found by their names. `prune` is like `on` and deletes
	// what this gateway registered for rules that are gone. Default: `on`.
	Registration string `json:"registration,omitempty"`

	ClientConfig

	provider  *introspect.Provider
	authority *authority
	resources *resources
	tickets   *tickets
	client    *client // nil unless obtain_rpt is on
	stateKey  token.ValueKey
	now       func() time.Time
}

// What is done about resources at the authorization server.
const (
	registrationOn    = "on"
	registrationOff   = "off"
	registrationPrune = "prune"
)

// CaddyModule returns the Caddy module information.
func (*UMAPEP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_uma_pep",
		New: func() caddy.Module { return new(UMAPEP) },
	}
}

// option is the field with the rules, as errors name it.
const option = "uma_scope_expression"

var documentOptions = scopeexpr.Options{UMA: true}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (p *UMAPEP) UnmarshalJSON(text []byte) error {
	type plain UMAPEP
	return directive.UnmarshalJSON("gluu_uma_pep", text, (*plain)(p))
}

// Provision compiles the rules and arranges for the registration of their
// resources once the configuration runs. It makes no request.
func (p *UMAPEP) Provision(ctx caddy.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	p.ExplainBy(p.explainRule)
	if err := p.ProvisionRules(ctx, identity.UMA, p.rules()); err != nil {
		return err
	}
	app, err := introspect.FromContext(ctx)
	if err != nil {
		return err
	}
	if p.provider, err = app.Provider(p.Provider); err != nil {
		return err
	}
	if p.provider.Config.ClientID == "" && p.provider.Register == nil {
		return fmt.Errorf("provider %s has no client_id: a resource server is a client of its authorization server; write 'client_id <id>' and 'client_secret <secret>'", p.provider.Name())
	}
	if p.authority, err = openAuthority(p.provider); err != nil {
		return err
	}
	counter, err := newTicketCounter(ctx, p.provider.Name())
	if err != nil {
		return err
	}
	p.now = time.Now
	p.stateKey = token.ValueKey{Generation: app.Generation(), Handler: token.NextHandlerID()}
	p.resources = newResources(p.InForce(), p.ResourcePrefix, p.Registration, p.authority, app.Generation(), ctx.Storage(), ctx.Logger())
	p.authority.announce(p.resources, p.provider)
	p.tickets = &tickets{authority: p.authority, count: counter}
	hosts, _ := siteguard.Address(ctx)
	app.AddUMA(func() status.UMA { return p.status(hosts) })
	if p.ObtainRPT {
		if p.client, err = p.newClient(ctx); err != nil {
			return err
		}
	}
	if p.ClaimsRedirectPath != "" {
		if err := app.NoteReturnPath(siteguard.Site(ctx), p.ClaimsRedirectPath); err != nil {
			return err
		}
	}
	p.warnWithoutLogin(ctx)
	app.Background(p.resources.keep)
	return nil
}

func (p *UMAPEP) check() error {
	switch p.Registration {
	case "", registrationOn, registrationOff, registrationPrune:
	default:
		return fmt.Errorf("registration is on, off or prune, not %q", p.Registration)
	}
	if strings.ContainsFunc(p.ResourcePrefix, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("resource_prefix %q contains control characters", p.ResourcePrefix)
	}
	return p.checkClient()
}

// warnWithoutLogin warns of options that are about people who are logged in, on a
// site without a login.
func (p *UMAPEP) warnWithoutLogin(ctx caddy.Context) {
	if (p.ObtainRPT || p.RequireIDToken) && siteorder.LacksLogin(ctx) {
		ctx.Logger().Warn("obtain_rpt and require_id_token are about people who are logged in, but this site has no gluu_openid_connect: write it before gluu_uma_pep")
	}
}

func (p *UMAPEP) rules() *enforce.RuleSource {
	return &enforce.RuleSource{RuleOptions: p.RuleOptions, Option: option, Inline: p.ScopeExpression, File: p.ScopeExpressionFile, Options: documentOptions}
}

// Policy compiles the rules of the configuration.
func (p *UMAPEP) Policy() (*scopeexpr.Policy, error) {
	policy, _, err := p.rules().Compile()
	return policy, err
}

// Cleanup lets go of what is known about the authorization server.
func (p *UMAPEP) Cleanup() error {
	if p.authority == nil {
		return nil
	}
	if p.resources != nil {
		p.authority.retire(p.resources.generation)
	}
	return p.authority.release()
}

// ServeHTTP lets the request pass or answers it.
func (p *UMAPEP) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return p.Enforce(w, r, next, p.decide)
}

// decide says whether the permissions of the token for the rule's resource
// satisfy the rule. A token of another provider is as good as none: its
// permissions are about resources of that one, whose ids mean nothing here.
//
// A person who is logged in has no such token but a session: the ID token says
// nothing about permissions, whatever claims it has.
func (p *UMAPEP) decide(req enforce.Request) *identity.Refusal {
	person := req.Identity.Person()
	authenticated := req.Memo != nil && req.Identity.Provider == p.provider.Name() || person != nil && p.client != nil
	if !authenticated && person == nil && req.Identity.Interaction != nil && p.RequireIDToken {
		return new(identity.LoginRequired())
	}
	if !req.Rule.HasResource() {
		return decideAccess(authenticated)
	}
	if person != nil && p.client != nil {
		return p.client.decide(req, person)
	}
	resource := p.resources.await(req.Context(), req.Rule)
	if !authenticated || person != nil {
		return p.withTicket(req, resource, identity.ReasonNoToken)
	}
	if resource != "" {
		granted, err := p.permits(req.Identity.Token, req.Rule, req.Path, resource)
		if err != nil {
			refusal := identity.InvalidToken(&token.Error{Reason: token.Invalid, Err: err})
			return &refusal
		}
		if granted {
			return nil
		}
	}
	refusal := p.withTicket(req, resource, identity.ReasonScopeMissing)
	refusal.Grants = p.held(req, resource)
	return refusal
}

// decideAccess decides a rule that has no resource, so that there is nothing to
// get a ticket for.
func decideAccess(authenticated bool) *identity.Refusal {
	if authenticated {
		return nil
	}
	refusal := identity.NoToken()
	return &refusal
}

// withTicket refuses a request with a ticket for all scopes of the rule. In a
// dry run no ticket is asked for, since no client would get it.
func (p *UMAPEP) withTicket(req enforce.Request, resource, reason string) *identity.Refusal {
	if p.DryRun {
		refusal := ticketRefusal(p.provider.Issuer(), "", reason)
		return &refusal
	}
	if resource == "" {
		refusal := unreachable(p.resources.unknown())
		return &refusal
	}
	ticket, err := p.tickets.ask(req.Context(), clientOf(req), resource, p.resources.scopes(req.Rule))
	switch {
	case errors.Is(err, errTooMany):
		refusal := tooMany(err)
		return &refusal
	case errors.Is(err, errUnknownResource):
		p.resources.forget(req.Rule)
		fallthrough
	case err != nil:
		refusal := unreachable(err)
		return &refusal
	}
	refusal := ticketRefusal(p.provider.Issuer(), ticket, reason)
	return &refusal
}

// Interface guards
var (
	_ caddy.Provisioner           = (*UMAPEP)(nil)
	_ caddy.CleanerUpper          = (*UMAPEP)(nil)
	_ caddyhttp.MiddlewareHandler = (*UMAPEP)(nil)
)
