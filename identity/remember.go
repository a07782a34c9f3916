// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// WouldRefuse is the message about a refusal that a dry run does not carry out.
const WouldRefuse = "request would be refused"

// HandlerOf returns how the register of decisions knows the handler that is being
// provisioned.
func HandlerOf(ctx caddy.Context, authenticates bool) decisions.HandlerID {
	return decisions.Identify(decisions.HandlerInfo{Name: caddy.GetModuleName(ctx.Module()), Authenticates: authenticates})
}

// Where names the handler that is being provisioned, for a warning: by its site.
func Where(ctx caddy.Context) string {
	hosts, _ := siteguard.Address(ctx)
	if len(hosts) == 0 {
		return caddy.GetModuleName(ctx.Module())
	}
	return strings.Join(hosts, " ") + ": " + caddy.GetModuleName(ctx.Module())
}

// Passed notes that the handler lets a request pass. The identity may be nil; then
// there is nowhere to note it.
func (a *Answerer) Passed(id *Identity) { id.Passed(a.Handler) }

// Passed notes that a handler lets the request of an identity pass, for the record of
// a later handler that does not. It costs no memory.
func (id *Identity) Passed(handler decisions.HandlerID) {
	if id != nil {
		id.passed.Add(handler)
	}
}

// Remember adds a refusal to the register of decisions. The identity is who the
// record is about, which the request may not carry; it may be nil.
func Remember(r *http.Request, id *Identity, handler decisions.HandlerID, refusal *Refusal, dryRun bool) {
	d := decisions.Refused{
		RequestID: RequestID(r), Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), ClientIP: clientIP(r),
		Handler: handler, Status: refusal.Status, Reason: refusal.Reason, Error: refusal.Error, Description: refusal.Description,
		Rule: refusal.Rule, Operation: refusal.Operation, Policy: refusal.Policy, DecisionID: refusal.DecisionID,
		ClientID: id.ClientID(), Required: refusal.Required, Scopes: refusal.Grants, Enough: refusal.enough(), DryRun: dryRun,
	}
	if id != nil {
		d.Provider = id.Provider
		if id.Consumer != nil {
			d.Consumer = id.Consumer.Name()
		}
		if d.Scopes == nil && id.Token != nil {
			d.Scopes = id.Token.Scopes
		}
	}
	if refusal.Cause != nil {
		d.Detail = refusal.Cause.Error()
	}
	if attached := Of(r); attached != nil {
		d.Passed, d.Caller = attached.passed, attached.verdict()
	}
	decisions.Recent.Add(&d)
}

// verdict says what an authentication handler has found out.
func (id *Identity) verdict() decisions.Verdict {
	switch {
	case id.Token != nil || id.Interaction != nil:
		return decisions.Authenticated
	case id.Anonymous:
		return decisions.Anonymous
	}
	return decisions.NoToken
}

// enough returns the scopes that would do, as the challenge names them.
func (r *Refusal) enough() string {
	if r.Challenge == nil {
		return ""
	}
	for _, p := range r.Challenge.Params {
		if p.Name == "scope" {
			return p.Value
		}
	}
	return ""
}
