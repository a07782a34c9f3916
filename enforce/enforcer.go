// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// Config is the configuration that enforcing handlers share.
type Config struct {
	// Whether a request is refused whose path and method no rule names. With
	// false it passes, whoever sends it. Default: true.
	DenyByDefault *bool `json:"deny_by_default,omitempty"`

	// What happens to a path that can be read in two ways, such as one with an
	// encoded slash, a dot segment or a `;`. With `reject` the answer is 400.
	// With `allow` the path gets one reading, the most cautious one (encoded
	// slashes separate elements, dot segments are resolved), and that is what
	// the upstream receives. Default: `reject`.
	AmbiguousPaths string `json:"ambiguous_paths,omitempty"`

	// Decide and record, but refuse nothing: to try rules out on real traffic.
	// Every request passes. Default: false.
	DryRun bool `json:"dry_run,omitempty"`

	// Write a line to the log for each request that a rule lets pass too, not
	// only for refused ones. Default: false.
	LogGrants bool `json:"log_grants,omitempty"`
}

// What happens to ambiguous paths.
const (
	rejectAmbiguous = "reject"
	allowAmbiguous  = "allow"
)

func (c *Config) check() error {
	switch c.AmbiguousPaths {
	case "", rejectAmbiguous, allowAmbiguous:
		return nil
	}
	return fmt.Errorf("ambiguous_paths must be reject or allow, not %q", c.AmbiguousPaths)
}

// Enforcer is the run-time half of an enforcing handler.
type Enforcer struct {
	Config

	app      *introspect.App
	policy   *scopeexpr.Policy
	answerer identity.Answerer
	counters counters
	stateKey token.ValueKey
	memos    memos
	stepsUp  bool // some rule asks for a certain authentication
	now      func() time.Time
}

// Provision sets up the enforcer of a handler of a kind.
func (e *Enforcer) Provision(ctx caddy.Context, kind identity.Kind, policy *scopeexpr.Policy) error {
	if err := e.check(); err != nil {
		return err
	}
	app, err := introspect.FromContext(ctx)
	if err != nil {
		return err
	}
	if err := siteguard.Protect(ctx, app); err != nil {
		return err
	}
	metrics, err := identity.NewMetrics(ctx, kind)
	if err != nil {
		return err
	}
	e.app, e.policy, e.now = app, policy, time.Now
	e.answerer = identity.Answerer{JSON: app.ErrorJSON(), Logger: ctx.Logger(), Metrics: metrics}
	e.counters = newCounters(metrics, policy.NumRules())
	e.stateKey = token.ValueKey{Generation: app.Generation(), Handler: token.NextHandlerID()}
	if kind == identity.OAuth {
		app.AnnounceScopes(policy.AllScopes()...) // for the metadata of the resource
	}
	for _, rule := range policy.Rules() {
		e.stepsUp = e.stepsUp || asksForAuthentication(rule)
	}
	if e.DryRun {
		ctx.Logger().Warn("dry_run is on: requests are not refused")
	}
	return nil
}

// Request is a request for which there is a rule, from somebody whom an
// authentication handler has looked at.
type Request struct {
	*http.Request
	Path     string // canonical
	Rule     *scopeexpr.Rule
	Identity *identity.Identity
	Memo     *Memo // nil if the caller has no verified token
}

// Decide says whether a request may pass: nil, or why not.
type Decide func(Request) *identity.Refusal

// Enforce lets a request pass or answers it. What is decided on is what the
// following handlers see: the path of the request becomes the canonical one.
func (e *Enforcer) Enforce(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, decide Decide) error {
	id := identity.Of(r)
	if id == nil {
		// An authentication handler would have done so.
		e.app.Stripper().StripRequest(r)
	}
	path, err := canonicalize(r, e.AmbiguousPaths == allowAmbiguous)
	if err != nil {
		return e.refuse(w, r, next, unreadable(err))
	}
	rule, err := e.policy.Lookup(r.Method, path)
	if err != nil {
		refusal := identity.NoRule()
		refusal.Cause = err
		return e.refuse(w, r, next, refusal)
	}
	if rule == nil {
		if e.DenyByDefault != nil && !*e.DenyByDefault {
			return next.ServeHTTP(w, r)
		}
		return e.refuse(w, r, next, identity.NoRule())
	}
	e.counters.endpoint(rule, r.Method).Inc()
	if refusal := e.decide(Request{Request: r, Path: path, Rule: rule, Identity: id}, decide); refusal != nil {
		refusal.Rule = rule.Pattern()
		return e.refuse(w, r, next, *refusal)
	}
	if e.LogGrants {
		e.answerer.Granted(r, id)
	}
	return next.ServeHTTP(w, r)
}

// decide applies what is common to all kinds of handlers around the decision.
func (e *Enforcer) decide(req Request, decide Decide) *identity.Refusal {
	id := req.Identity
	if id == nil {
		refusal := identity.NotAuthenticated()
		refusal.Cause = errors.New("no authentication handler ran before this one: add gluu_oauth_auth or gluu_uma_auth, or check its matcher and the order in a route block")
		return &refusal
	}
	id.Rule = req.Rule.Pattern()
	if id.Token == nil {
		return decide(req)
	}
	req.Memo = e.memo(id)
	if refusal := decide(req); refusal != nil {
		return refusal
	}
	if e.stepsUp {
		if refusal := req.authentication(e.now()); refusal != nil {
			return refusal
		}
	}
	req.Memo.granted.Inc()
	return nil
}

// authentication refuses a caller whose authentication is not the one that the
// rule asks for. Whoever knows how a person logged in is asked about it: the
// session of a person may have several authentications.
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

// refuse answers a request, or lets it pass in a dry run, with the same record.
func (e *Enforcer) refuse(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, refusal identity.Refusal) error {
	if e.DryRun {
		e.answerer.Record(r, identity.Of(r), refusal, "request would be refused")
		return next.ServeHTTP(w, r)
	}
	id := identity.Of(r)
	if id != nil {
		id.Rule = refusal.Rule // and not that of a handler before this one
	}
	if id != nil && id.Interaction != nil && refusal.StepUp != nil {
		e.answerer.Record(r, id, refusal, "request needs a stronger login")
		return id.Interaction.StepUp(w, r, refusal.StepUp.ACR, refusal.StepUp.MaxAge)
	}
	return e.answerer.Refuse(w, r, refusal)
}

// canonicalize makes the path of a request the canonical one and returns it
// decoded.
func canonicalize(r *http.Request, allowAmbiguous bool) (string, error) {
	if r.Method == "" {
		// Caddy's `method` with a placeholder that stands for nothing. What
		// the upstream receives then is GET.
		r.Method = http.MethodGet
	}
	if r.Method == http.MethodConnect {
		// There is no path, or with extended CONNECT one that is not all there
		// is to say about the target.
		return "", &pathmatch.AmbiguousError{Kind: pathmatch.NotAbsolute}
	}
	path, err := pathmatch.Canonicalize(r.URL, allowAmbiguous)
	if err != nil {
		return "", err
	}
	if path.Escaped != "" {
		path.Apply(r.URL)
		r.RequestURI = r.URL.RequestURI() // as Caddy's rewrite does
	}
	return path.Decoded, nil
}

func unreadable(err error) identity.Refusal {
	if errors.Is(err, pathmatch.ErrTooLong) {
		return identity.PathTooLong(err)
	}
	return identity.AmbiguousPath(err)
}
