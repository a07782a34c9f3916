// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Config is the configuration that enforcing handlers share.
type Config struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// Whether to refuse requests that no rule matches. With false, such requests
	// pass without any check. Default: true.
	DenyByDefault *bool `json:"deny_by_default,omitempty"`

	// What to do with an ambiguous path, such as one with an encoded slash, a dot
	// segment or a `;`. `reject` answers 400. `allow` uses the most cautious
	// reading (encoded slashes separate elements, dot segments are resolved, and
	// `;` parameters, NUL characters and invalid UTF-8 are removed), and sends it
	// to the upstream. Default: `reject`.
	AmbiguousPaths string `json:"ambiguous_paths,omitempty"`

	// What to do with an encoded slash. `reject` treats it as ambiguous. `keep`
	// makes it a character of its element, as GitLab and the npm registry use it:
	// `/projects/group%2Fproject` has two elements, `?` captures `group/project`,
	// and the upstream receives `%2F`. An encoded slash next to a slash, a dot
	// segment or another one is still answered 400. Do not use `keep` for an
	// upstream that decodes a path before it splits it, as FastCGI does.
	// Default: `reject`.
	EncodedSlashes string `json:"encoded_slashes,omitempty"`

	// What to do with headers that ask the upstream for another method or path than
	// the one that is decided on: X-HTTP-Method-Override, X-HTTP-Method,
	// X-Method-Override, X-Original-URL, X-Rewrite-URL. `strip` removes them from
	// all requests of the site. `pass` on one handler lets them pass on the whole
	// site: only for upstreams that ignore them, or for rules that allow all
	// methods alike. Default: `strip`.
	OverrideHeaders string `json:"override_headers,omitempty"`

	// Decide and record, but refuse nothing, to try out rules on real traffic.
	// Every request passes. Default: false.
	DryRun bool `json:"dry_run,omitempty"`

	// Also log the requests that a rule allows, not only the refused ones.
	// Default: false.
	LogGrants bool `json:"log_grants,omitempty"`
}

// Values of AmbiguousPaths and EncodedSlashes.
const (
	reject         = "reject"
	allowAmbiguous = "allow"
	keepSlashes    = "keep"
)

// Values of OverrideHeaders.
const (
	stripOverrides = "strip"
	passOverrides  = "pass"
)

func (c *Config) check() error {
	switch c.OverrideHeaders {
	case "", stripOverrides, passOverrides:
	default:
		return fmt.Errorf("override_headers must be strip or pass, not %q", c.OverrideHeaders)
	}
	switch c.AmbiguousPaths {
	case "", reject, allowAmbiguous:
	default:
		return fmt.Errorf("ambiguous_paths must be reject or allow, not %q", c.AmbiguousPaths)
	}
	switch c.EncodedSlashes {
	case "", reject, keepSlashes:
	default:
		return fmt.Errorf("encoded_slashes must be reject or keep, not %q", c.EncodedSlashes)
	}
	return nil
}

// PathOptions says how the handler reads paths.
func (c *Config) PathOptions() pathmatch.Options {
	return pathmatch.Options{
		AllowAmbiguous:     c.AmbiguousPaths == allowAmbiguous,
		KeepEncodedSlashes: c.EncodedSlashes == keepSlashes,
	}
}

// open reports whether requests without a rule pass.
func (c *Config) open() bool { return c.DenyByDefault != nil && !*c.DenyByDefault }

// siteRules are what the handler requires of every request of its site.
func (c *Config) siteRules() identity.SiteRules {
	return identity.SiteRules{
		StripOverrides: true,
		PassOverrides:  c.OverrideHeaders == passOverrides,
		RefuseNothing:  c.DryRun,
		Paths:          c.PathOptions(),
	}
}

// Enforcer is the run-time half of a handler that decides by the rules of a policy.
type Enforcer struct {
	Gate

	current   atomic.Pointer[ruleset]
	stateKey  token.ValueKey
	explainer func(*explain.Decision, *explain.Caller, *scopeexpr.Rule, string) *identity.Refusal // of UMA rules
	uniform   bool                                                                                // the answer to a caller without a token is the same for all rules
	now       func() time.Time
}

// Provision sets up the enforcer of a handler of a kind.
func (e *Enforcer) Provision(ctx caddy.Context, kind identity.Kind, policy *scopeexpr.Policy) error {
	if err := e.Gate.Provision(ctx, kind); err != nil {
		return err
	}
	e.now = time.Now
	e.stateKey = token.ValueKey{Generation: e.app.Generation(), Handler: token.NextHandlerID()}
	e.uniform = kind == identity.OAuth
	e.use(policy)
	e.offerExplanations(ctx)
	hosts, _ := siteguard.Address(ctx)
	name := caddy.GetModuleName(ctx.Module())
	e.app.AddPolicy(func() introspect.PolicyStatus { return e.status(name, hosts) })
	e.warnOfUnreachable(siteguard.Site(ctx))
	warn(ctx, policy)
	return nil
}

// warnOfUnreachable warns when the configuration runs if a rule is public and no
// request without a token gets as far as the rules.
func (e *Enforcer) warnOfUnreachable(site string) {
	rules := e.InForce().Rules()
	i := slices.IndexFunc(rules, func(r *scopeexpr.Rule) bool { return r.Access() == scopeexpr.Public })
	if i < 0 || site == "" {
		return
	}
	e.app.Background(func(context.Context) {
		if e.app.DemandsToken(site) {
			e.answerer.Logger.Warn("a rule is public, but the authentication handler of the site answers 401 without a token: add optional to it",
				zap.String("rule", rules[i].Method()+" "+rules[i].Pattern()))
		}
	})
}

// Request is a request with the rule that applies to it, after authentication.
type Request struct {
	*http.Request
	Path     string // canonical
	Rule     *scopeexpr.Rule
	Identity *identity.Identity
	Memo     *Memo // nil if the caller has no verified token

	enforcer *Enforcer
	rules    *ruleset
}

// ChallengeScope returns the scopes that a client could request to satisfy the
// rule (RFC 6750, section 3), "" if that is not the way to satisfy it.
func (r Request) ChallengeScope() string {
	for _, scope := range r.Rule.StaticScopes() {
		if !r.enforcer.app.CanRequest(scope) {
			return ""
		}
	}
	return r.Rule.ChallengeScope()
}

// Decide returns nil if a request may pass, or else the refusal.
type Decide func(Request) *identity.Refusal

// Enforce passes a request on or refuses it. It also sets the path of the request to
// the canonical one, so that the next handlers see exactly what was decided on.
func (e *Enforcer) Enforce(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, decide Decide) error {
	id := e.Identify(r)
	rules := e.current.Load()
	path, err := canonicalize(r, rules.policy.CheckMethod, e.PathOptions())
	if err != nil {
		return e.rejectBy(rules, w, r, next, asRefusal(err))
	}
	rule, err := e.lookup(rules.policy, id, r.Method, path)
	if err != nil {
		refusal := identity.NoRule()
		refusal.Cause = err
		return e.rejectBy(rules, w, r, next, refusal)
	}
	if rule == nil {
		if e.open() {
			return next.ServeHTTP(w, r)
		}
		return e.rejectBy(rules, w, r, next, identity.NoRule())
	}
	rules.counters.count(rule, r.Method)
	if refusal := e.decide(Request{Request: r, Path: path, Rule: rule, Identity: id, enforcer: e, rules: rules}, decide); refusal != nil {
		explainRefusal(refusal, rule, id)
		return e.rejectBy(rules, w, r, next, *refusal)
	}
	e.Passed(id)
	if e.LogGrants {
		if id == nil {
			id = &identity.Identity{Rule: rule.Pattern(), Operation: rule.Operation()} // a public rule
		}
		e.answerer.Granted(r, id)
	}
	return next.ServeHTTP(w, r)
}

// lookup finds the rule for a request.
func (e *Enforcer) lookup(policy *scopeexpr.Policy, id *identity.Identity, method, path string) (*scopeexpr.Rule, error) {
	if e.uniform && (id == nil || id.Token == nil) {
		return policy.LookupWithoutToken(method, path, e.open())
	}
	return policy.Lookup(method, path)
}

// decide wraps the decision of the handler with the common checks.
func (e *Enforcer) decide(req Request, decide Decide) *identity.Refusal {
	id := req.Identity
	if id != nil {
		id.Rule, id.Operation = req.Rule.Pattern(), req.Rule.Operation()
		id.Pattern, id.RulePath = req.Rule.PathPattern(), req.Path
	}
	switch req.Rule.Access() {
	case scopeexpr.Public:
		if id != nil && id.Token != nil {
			e.memo(req.rules, id).granted.Inc()
		}
		return nil
	case scopeexpr.Denied:
		refusal := identity.NoRule()
		return &refusal
	}
	if id == nil {
		refusal := Unauthenticated()
		return &refusal
	}
	if id.Token == nil {
		return decide(req)
	}
	req.Memo = e.memo(req.rules, id)
	if refusal := decide(req); refusal != nil {
		return refusal
	}
	if req.rules.stepsUp {
		if refusal := req.authentication(e.now()); refusal != nil {
			return refusal
		}
	}
	req.Memo.granted.Inc()
	return nil
}

// authentication refuses a caller who did not authenticate as the rule requires. A
// login handler knows how a person logged in, and decides if there is one: a
// session may hold several authentications.
func (r *Request) authentication(now time.Time) *identity.Refusal {
	person := r.Identity.Interaction
	if person == nil {
		return r.Memo.authentication(r.Rule, now)
	}
	condition := r.Rule.Condition()
	if !asksForAuthentication(r.Rule) || person.Satisfies(condition.ACR, condition.MaxAge) {
		return nil
	}
	refusal := identity.StepUp(condition.ACR, condition.MaxAge)
	return &refusal
}

// rejectBy rejects a request by rules.
func (e *Enforcer) rejectBy(rules *ruleset, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, refusal identity.Refusal) error {
	refusal.Policy = rules.revision()
	return e.reject(w, r, next, refusal)
}

// reject refuses a request, or passes it on in a dry run. Both are recorded.
func (g *Gate) reject(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, refusal identity.Refusal) error {
	if g.DryRun {
		g.answerer.Record(r, identity.Of(r), refusal, identity.WouldRefuse)
		return next.ServeHTTP(w, r)
	}
	id := identity.Of(r)
	if id != nil {
		id.Rule, id.Operation = refusal.Rule, refusal.Operation // and not that of a handler before this one
	}
	if id != nil && id.Interaction != nil {
		if answered, err := g.answerPerson(w, r, id, refusal); answered {
			return err
		}
	}
	return g.answerer.Refuse(w, r, refusal)
}

// answerPerson answers a person in front of a browser, where they can do something
// about the refusal or are shown a page. It reports false if the answer is the
// usual one.
func (g *Gate) answerPerson(w http.ResponseWriter, r *http.Request, id *identity.Identity, refusal identity.Refusal) (answered bool, err error) {
	switch {
	case refusal.StepUp != nil:
		g.answerer.Record(r, id, refusal, "request needs a stronger login")
		return true, id.Interaction.StepUp(w, r, refusal.StepUp.ACR, refusal.StepUp.MaxAge)
	case refusal.Person == nil:
		return false, nil
	case refusal.Person.LogIn:
		g.answerer.Record(r, id, refusal, "request needs a login")
		return true, id.Interaction.LogIn(w, r)
	case refusal.Person.Errand != nil && id.Interaction.OpensPage(r):
		g.answerer.Record(r, id, refusal, "request needs to know more about the person")
		return true, id.Interaction.Send(w, r, refusal.Person.Errand)
	}
	shown, err := id.Interaction.ShowRefusal(w, r, refusal)
	if shown {
		g.answerer.Record(r, id, refusal, "request refused")
		g.answerer.EmitRefused(r, id, refusal)
	}
	return shown, err
}
