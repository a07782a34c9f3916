// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/opaengine"
	"github.com/caddy-gluu/gateway/internal/outbound"
)

// errUnavailable wraps the error of a server that does not answer.
type errUnavailable struct{ error }

func (e errUnavailable) Unwrap() error { return e.error }

// unanswered refuses a request about which there is no answer.
func (p *PEP) unanswered(q *question, err error) identity.Refusal {
	if e := asUnshown(err); e != nil {
		return p.marked(q, identity.Refusal{
			Status: e.status, Error: "invalid_request", Reason: e.reason,
			Description: identity.Sentence(e.text), Cause: e,
		}, "")
	}
	refusal := identity.Refusal{
		Status: http.StatusServiceUnavailable, Error: "temporarily_unavailable", RetryAfter: time.Second, Cause: err,
		Description: "The request cannot be decided at the moment. Try again later.",
	}
	_, unavailable := errors.AsType[errUnavailable](err)
	switch {
	case errors.Is(err, opaengine.ErrNotReady):
		refusal.Reason = identity.ReasonNotReady
	case errors.Is(err, opaengine.ErrTimeout):
		refusal.Reason = identity.ReasonPolicyTimeout
	case errors.Is(err, outbound.ErrOpen):
		refusal.Reason, refusal.RetryAfter = identity.ReasonPolicyUnavailable, outbound.Pause
	case unavailable, errors.Is(err, opaengine.ErrStale):
		refusal.Reason = identity.ReasonPolicyUnavailable
	default:
		return p.marked(q, wrong(err), "error")
	}
	return p.marked(q, refusal, "")
}

// wrong refuses a request because the policy is wrong.
func wrong(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusInternalServerError, Error: "server_error", Reason: identity.ReasonPolicyError,
		Description: "The policy failed.", Cause: cause,
	}
}

// refusalFor returns how to refuse a request after a verdict, nil if it may pass.
func (p *PEP) refusalFor(q *question, v *verdict) *identity.Refusal {
	var refusal identity.Refusal
	switch v.outcome {
	case granted:
		return nil
	case undefined:
		if p.Open() {
			return nil
		}
		refusal = p.undefined(q)
	case denied:
		refusal = p.denied(q, v)
	default:
		refusal = wrong(v.cause)
	}
	refusal = p.marked(q, refusal, v.outcome.String())
	return &refusal
}

// marked adds what the records say about a decision.
func (p *PEP) marked(q *question, refusal identity.Refusal, outcome string) identity.Refusal {
	refusal.DecisionID, refusal.Policy = q.decisionID(), q.answer.revision
	refusal.Log = append(refusal.Log, zap.String("decision", p.logTitle()), zap.String("revision", q.answer.revision))
	if outcome != "" {
		refusal.Log = append(refusal.Log, zap.String("outcome", outcome))
	}
	return refusal
}

// undefined refuses a request about which the policy says nothing.
func (p *PEP) undefined(q *question) identity.Refusal {
	refusal := identity.Refusal{Status: http.StatusForbidden, Error: "access_denied", Description: "Access is denied."}
	if !q.authenticated() {
		refusal = identity.NoToken()
	}
	refusal.Reason = identity.ReasonPolicyUndefined
	refusal.Cause = errors.New("the policy says nothing about the request: check the name of the decision, and give it a default ('default allow := false')")
	return refusal
}

// denied refuses a request as the policy wants it.
func (p *PEP) denied(q *question, v *verdict) identity.Refusal {
	refusal := identity.Refusal{Status: http.StatusForbidden, Error: "access_denied", Reason: identity.ReasonPolicyDenied, Description: "The policy does not allow this request."}
	switch {
	case v.status >= 300 && v.status < 400:
		if p.mayRedirect(q.r, v.location) {
			refusal.Status, refusal.Fields = v.status, []identity.Param{{Name: "Location", Value: v.location}}
			return withMessage(refusal, v)
		}
		p.warned.once(p.logger, "the policy redirects to an address that is neither on this site nor in redirect_origins: it is 403 instead", v.location)
	case !q.authenticated():
		return withMessage(identity.NoToken(), v)
	case v.challenge != nil && (len(v.challenge.acr) > 0 || v.challenge.maxAge > 0):
		return withMessage(identity.StepUp(v.challenge.acr, v.challenge.maxAge), v)
	case v.challenge != nil:
		return withMessage(identity.InsufficientScope(v.challenge.scope), v)
	case v.status == http.StatusUnauthorized: // RFC 9110, section 11.6.1
		refusal.Status, refusal.Challenge = v.status, &identity.Challenge{Scheme: identity.Bearer}
	case v.status != 0:
		refusal.Status = v.status
	}
	if !q.authenticated() {
		refusal = identity.NoToken()
	}
	return withMessage(refusal, v)
}

// withMessage has the client get what the policy says.
func withMessage(refusal identity.Refusal, v *verdict) identity.Refusal {
	if v.message != "" {
		refusal.Description = v.message
	}
	refusal.Body = v.document
	return refusal
}

// mayRedirect reports whether a policy may send the client to an address: on this site,
// or on an origin that the configuration lists.
func (p *PEP) mayRedirect(r *http.Request, location string) bool {
	if !isFieldValue(location) || strings.ContainsAny(location, "\\ ") {
		return false
	}
	u, err := url.Parse(location)
	if err != nil || u.User != nil || u.Opaque != "" {
		return false
	}
	if u.Host == "" {
		return u.Scheme == "" && strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//")
	}
	origin := u.Scheme + "://" + u.Host
	return origin == scheme(r)+"://"+r.Host || slices.Contains(p.RedirectOrigins, origin)
}
