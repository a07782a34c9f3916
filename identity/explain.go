// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
)

// offerExplanations lets the admin API ask this handler about tokens.
func (a *Authenticator) offerExplanations(ctx caddy.Context) {
	hosts, _ := siteguard.Address(ctx)
	a.app.AddExplained(explain.Part{Site: siteguard.Site(ctx), Hosts: hosts, Authenticator: a})
}

// ExplainToken implements explain.Authenticator. It verifies as a request does, with
// the same cache, except that a proof of possession cannot be checked.
func (a *Authenticator) ExplainToken(ctx context.Context, raw string) *explain.Caller {
	if raw == "" {
		return a.explainRefused(&explain.Caller{Provider: nameOf(a.provider), Continues: a.Optional}, NoToken())
	}
	credential, err := readCredential(http.Header{"Authorization": {"Bearer " + raw}}, a.maxToken)
	if err == nil {
		err = credential.CheckToken()
	}
	if err != nil {
		return &explain.Caller{Provider: nameOf(a.provider), Refused: Explained(Malformed(err))}
	}
	provider := a.provider
	if a.several != nil {
		provider = a.several.Pick(raw)
	}
	t, err := provider.Verify(ctx, raw)
	if err != nil {
		return a.explainRefused(&explain.Caller{Provider: provider.Name()}, InvalidToken(asProviderError(err)))
	}
	caller := describe(t)
	c := a.consumerOf(t)
	switch {
	case c != nil:
		caller.Consumer, caller.ConsumerID = c.Name(), c.ID
	case !enabled(a.ConsumerMapping):
	case !a.consumers.Ready():
		caller.Refused = Explained(NotReady(errors.New("the live consumers cannot be read yet")))
		return caller
	default:
		return a.explainRefused(caller, UnknownConsumer())
	}
	caller.Token = t
	return caller
}

// explainRefused adds a refusal, and what becomes of the caller.
func (a *Authenticator) explainRefused(caller *explain.Caller, refusal Refusal) *explain.Caller {
	caller.Refused = Explained(refusal)
	if a.DryRun {
		caller.Continues = true
	}
	if !a.mayBeAnonymous(refusal) {
		return caller
	}
	if c := a.consumers.Find(a.Anonymous); c != nil {
		caller.Consumer, caller.ConsumerID, caller.Anonymous, caller.Continues = c.Name(), c.ID, true, true
	}
	return caller
}

// nameOf returns the name of a provider, "" if none of several is picked yet.
func nameOf(p *introspect.Provider) string {
	if p == nil {
		return ""
	}
	return p.Name()
}

func describe(t *token.Token) *explain.Caller {
	caller := &explain.Caller{
		Provider: t.Provider, Issuer: t.Issuer, Subject: t.Subject, ClientID: t.ClientID,
		ExpiresAt: t.ExpiresAt, Grants: t.Scopes, JWT: t.JWT, Audience: jwtcheck.AudienceIn(t.ClaimsJSON),
	}
	if t.Confirmation != nil {
		caller.Bound = "DPoP"
		if t.Confirmation.JKT == "" {
			caller.Bound = "mutual TLS"
		}
	}
	return caller
}

// Explained is a refusal as the admin API shows it.
func Explained(r Refusal) *explain.Refusal {
	e := &explain.Refusal{Status: r.Status, Reason: r.Reason}
	if r.Cause != nil {
		e.Error = r.Cause.Error()
	}
	return e
}

// Interface guard
var _ explain.Authenticator = (*Authenticator)(nil)
