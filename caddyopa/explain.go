// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// ExplainRequest implements explain.Enforcer. It asks as ServeHTTP does, past the
// cache and without a trace in the records. A server is asked too, but not about streams.
func (p *PEP) ExplainRequest(r *http.Request, caller *explain.Caller, why bool) *explain.Decision {
	d := &explain.Decision{Decision: explain.Deny, DryRun: p.DryRun, DecidedBy: p.logTitle()}
	rawPath := r.URL.EscapedPath()
	path, refusal := p.Canonicalize(r)
	if refusal != nil {
		d.Decision, d.Refused = explain.BadRequest, identity.Explained(*refusal)
		return d
	}
	if caller == nil {
		d.Refused = identity.Explained(enforce.Unauthenticated())
		return d
	}
	isPast := !caller.AdmittedAt.IsZero()
	if isPast && !p.judgesPast() {
		return unknown(d)
	}
	quiet := p.quiet()
	q := &question{pep: quiet, r: r, isPast: isPast, id: p.identityFor(caller), path: path, rawPath: rawPath, started: time.Now()}
	if isPast {
		q.started = caller.AdmittedAt
	}
	if refusal := quiet.findOperation(q); refusal != nil {
		d.Refused = identity.Explained(*refusal)
		return d
	}
	d.Operation = q.id.Operation
	var trace opaengine.Trace
	refusal, err := quiet.explain(d, q, &trace, why)
	if errors.Is(err, errNotKept) {
		return unknown(d)
	}
	d.Why = trace.Failed()
	switch {
	case refusal == nil && d.Decision != explain.Unprotected:
		d.Decision = explain.Allow
	case refusal != nil:
		d.Refused = identity.Explained(*refusal)
	}
	return d
}

// explain asks, and returns how the request would be refused, nil if it would not. The
// error is why there is no answer.
func (p *PEP) explain(d *explain.Decision, q *question, trace *opaengine.Trace, why bool) (*identity.Refusal, error) {
	decider := p.decider
	if e, ok := decider.(*embedded); ok {
		quiet := *e
		if quiet.metrics = nil; why {
			quiet.options, quiet.limit = []opaengine.Option{trace.Option()}, toolLimit
		}
		if q.isPast { // time alone does not end a stream
			quiet.options = append(quiet.options, opaengine.At(q.started))
		}
		decider = &quiet
	}
	if s, ok := decider.(*server); ok {
		quiet := *s
		quiet.metrics = nil
		decider = &quiet
	}
	a, err := decider.decide(q.r.Context(), q)
	if q.answer = a; err != nil {
		if asUnshown(err) != nil {
			d.Decision = explain.BadRequest
		}
		refusal := p.unanswered(q, err)
		return &refusal, err
	}
	d.Revision, d.Result = a.revision, asJSON(a.value)
	v := p.read(a.value)
	if v.outcome == undefined && p.Open() {
		d.Decision = explain.Unprotected
	}
	return p.refusalFor(q, v), nil
}

// quiet is the handler without its records.
func (p *PEP) quiet() *PEP {
	quiet := &PEP{Gate: p.Gate, Config: p.Config, decider: p.decider, logger: zap.NewNop(), stateKey: p.stateKey, metrics: p.metrics}
	if p.operations != nil {
		quiet.operations = p.operations.Quiet()
	}
	return quiet
}

// identityFor is who an explained caller is to the policy.
func (p *PEP) identityFor(caller *explain.Caller) *identity.Identity {
	id := &identity.Identity{Token: caller.Token, Consumer: p.App().Directory().Find(caller.ConsumerID), Anonymous: caller.Anonymous}
	if ruled := caller.Ruled; ruled.Pattern != nil {
		id.Rule, id.Operation, id.Pattern, id.RulePath = ruled.Pattern.String(), ruled.Operation, ruled.Pattern, ruled.Path
	}
	return id
}

// RuleFor implements explain.Ruler: with an OpenAPI document the operation counts, be
// it none.
func (p *PEP) RuleFor(r *http.Request, before explain.Ruled) explain.Ruled {
	if p.operations == nil {
		return before
	}
	path, refusal := p.Canonicalize(r)
	if refusal != nil {
		return before
	}
	var id identity.Identity
	if err := p.operations.Quiet().Note(&id, r.Method, path); err != nil {
		return before
	}
	return explain.Ruled{Operation: id.Operation, Pattern: id.Pattern, Path: id.RulePath}
}

// asJSON shows the value of a decision, null for one that is undefined.
func asJSON(value ast.Value) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	plain, err := ast.JSON(value)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(plain); err == nil {
			return text
		}
	}
	return json.RawMessage(`"a value that JSON does not have"`)
}

// Interface guard
var _ explain.Ruler = (*PEP)(nil)
