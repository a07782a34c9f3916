// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/status"
	"github.com/caddy-gluu/gateway/internal/token"
)

func init() {
	caddy.RegisterModule(new(PEP))
}

// PEP is a middleware that has Open Policy Agent decide about each request: a policy
// enforcement point. It needs an authentication handler before it, such as
// `gluu_oauth_auth`.
//
// Decisions are about the path that the upstream receives, in its one canonical form.
// A request passes if the policy says `true`, or `allow: true`, and in no other case:
// not if the policy says nothing, not if it fails, and not if it cannot be asked.
type PEP struct {
	enforce.Gate
	Config

	decider    decider
	operations *enforce.Finder // nil without an OpenAPI document
	logger     *zap.Logger
	stateKey   token.ValueKey
	metrics    *metrics
	records    *recorder
	cache      *decisions
	warned     warnings
}

// decider asks whatever decides.
type decider interface {
	// decide returns the answer, or an error that says that there is none.
	decide(ctx context.Context, q *question) (answer, error)
}

// CaddyModule returns the Caddy module information.
func (*PEP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_opa_pep",
		New: func() caddy.Module { return new(PEP) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (p *PEP) UnmarshalJSON(text []byte) error {
	type plain PEP
	return directive.UnmarshalJSON("gluu_opa_pep", text, (*plain)(p))
}

// Provision finds what decides.
func (p *PEP) Provision(ctx caddy.Context) (err error) {
	if err := p.Config.check(); err != nil {
		return err
	}
	if err := p.Gate.Provision(ctx, identity.OPA); err != nil {
		return err
	}
	p.logger = ctx.Logger()
	p.stateKey = token.ValueKey{Generation: p.App().Generation(), Handler: token.NextHandlerID()}
	if p.metrics, err = newMetrics(ctx); err != nil {
		return err
	}
	p.App().ReserveHeaders(p.SetHeaders...)
	if p.OpenAPI != nil {
		if p.operations, err = p.NewFinder(ctx, p.OpenAPI); err != nil {
			return err
		}
	}
	if p.decider, err = p.newDecider(ctx); err != nil {
		return err
	}
	if p.cache, err = p.newCache(); err != nil {
		return err
	}
	p.records = newRecorder(ctx, p)
	p.OfferExplanations(ctx, p)
	hosts, _ := siteguard.Address(ctx)
	p.App().AddDecider(func() status.Decider { return p.status(hosts) })
	p.warn()
	return nil
}

// warn logs what loads but can hardly be meant.
func (p *PEP) warn() {
	if p.Open() {
		p.logger.Warn("deny_by_default is off: a request about which the policy says nothing passes")
	}
	if p.seesCredentials() {
		p.logger.Warn("the policy sees credentials of clients: keep them out of its logs, or name the headers that it needs", zap.Strings("headers", p.Config.Headers))
	}
}

// Cleanup ends what Provision began.
func (p *PEP) Cleanup() error {
	p.records.stop()
	if closer, ok := p.decider.(interface{ close() }); ok {
		closer.close()
	}
	return nil
}

// ServeHTTP lets the request pass or answers it.
func (p *PEP) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	id := p.Identify(r)
	q := &question{pep: p, r: r, id: id, rawPath: r.URL.EscapedPath(), started: time.Now()}
	path, refusal := p.Canonicalize(r)
	if refusal != nil {
		return p.reject(w, q, next, *refusal)
	}
	if id == nil {
		return p.reject(w, q, next, enforce.Unauthenticated())
	}
	q.path = path
	if refusal := p.findOperation(q); refusal != nil {
		return p.reject(w, q, next, *refusal)
	}
	v, refusal := p.decide(q)
	if refusal == nil {
		refusal = p.refusalFor(q, v)
	}
	if refusal != nil {
		v.addResponseHeaders(w.Header())
		return p.reject(w, q, next, *refusal)
	}
	p.grant(w, q, v)
	return next.ServeHTTP(w, r)
}

// findOperation finds out which operation of the OpenAPI document the request is. A
// policy must not take a request whose operation is unknown for one that is none.
func (p *PEP) findOperation(q *question) *identity.Refusal {
	if p.operations == nil {
		return nil
	}
	if err := p.operations.Note(q.id, q.r.Method, q.path); err != nil {
		refusal := p.marked(q, wrong(err), "error")
		return &refusal
	}
	return nil
}

// decide asks, and reads the answer.
func (p *PEP) decide(q *question) (*verdict, *identity.Refusal) {
	a, err := p.ask(q)
	q.answer = a
	if err != nil {
		refusal := p.unanswered(q, err)
		p.records.failed(q, err)
		return new(verdict), &refusal
	}
	v := p.read(a.value)
	p.records.decided(q, v)
	return v, nil
}

// ask asks whatever decides, or remembers its answer.
func (p *PEP) ask(q *question) (answer, error) {
	if p.cache != nil {
		return p.cache.decide(q)
	}
	return p.decider.decide(q.r.Context(), q)
}

// reject refuses the request. Rule and operation are those of the OpenAPI document, or
// stay those of a handler before this one.
func (p *PEP) reject(w http.ResponseWriter, q *question, next caddyhttp.Handler, refusal identity.Refusal) error {
	if q.id != nil && refusal.Rule == "" {
		refusal.Rule, refusal.Operation = q.id.Rule, q.id.Operation
	}
	return p.Reject(w, q.r, next, refusal)
}

// grant changes the request as the policy wants it, and counts it.
func (p *PEP) grant(w http.ResponseWriter, q *question, v *verdict) {
	v.apply(q.r.Header)
	v.addResponseHeaders(w.Header())
	q.granted().Inc()
	p.Passed(q.id)
	if p.LogGrants {
		p.Granted(q.r, q.id, zap.String("decision_id", q.decisionID()), zap.String("decision", p.logTitle()), zap.String("revision", q.answer.revision))
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*PEP)(nil)
	_ caddy.CleanerUpper          = (*PEP)(nil)
	_ caddyhttp.MiddlewareHandler = (*PEP)(nil)
)
