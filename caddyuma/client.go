// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/enforce"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
)

// client obtains requesting party tokens (RPT) for people who are logged in. A
// request of theirs goes through these steps:
//
//	decide         the session has an RPT that satisfies the rule: pass, no call is made
//	└── obtain     once at a time per session and rule, over all gateways
//	    ├── ticket     the permission endpoint, or what the session has kept
//	    ├── redeem     the token endpoint
//	    └── conclude   keeps the RPT in the session, or refuses
//
// An RPT and a PCT are kept in the session of the person and nowhere else. All that
// this process also remembers is that a permission was denied, for a moment.
type client struct {
	pep       *UMAPEP
	authority *authority
	provider  *introspect.Provider
	claims    *pushedClaims // nil if nothing is pushed
	asPerson  bool          // the person's access token is shown, not the gateway's credentials
	count     rptCounter

	keys sync.Map // index of a rule to *grantKey
}

func (p *UMAPEP) newClient(ctx caddy.Context) (*client, error) {
	count, err := newRPTCounter(ctx, p.provider.Name())
	if err != nil {
		return nil, err
	}
	c := &client{pep: p, authority: p.authority, provider: p.provider, asPerson: p.RequestingParty == partyAccessToken, count: count}
	if p.PushedClaims != "" {
		c.claims, err = newPushedClaims(&p.ClientConfig, p.provider.Issuer(), p.App().Signer())
	}
	return c, err
}

// grant is what one request of a person needs.
type grant struct {
	*client
	req      enforce.Request
	resource string
	key      string // of the session's permission
}

// grantKey is under which a session keeps the permission for a rule. It changes
// with the resource.
type grantKey struct{ resource, client, key string }

// keyOf names the permission for a rule in a session: by what the authorization
// server knows, so that it is the same on all gateways and after a reload.
func (c *client) keyOf(req enforce.Request, resource string) string {
	clientID := c.provider.ClientID()
	if kept, ok := c.keys.Load(req.Rule.Index()); ok {
		if k := kept.(*grantKey); k.resource == resource && k.client == clientID {
			return k.key
		}
	}
	k := &grantKey{resource, clientID, digest(append([]string{c.provider.Issuer(), clientID, resource}, req.Rule.Scopes()...)...)}
	c.keys.Store(req.Rule.Index(), k)
	return k.key
}

// claimsKey names the PCT of this client in a session.
func (c *client) claimsKey() string { return digest(c.provider.Issuer(), c.provider.ClientID()) }

func digest(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(hash, "%d %s", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:16])
}

// decide lets a person pass whose permission satisfies the rule, and obtains it if
// need be.
func (c *client) decide(req enforce.Request, person identity.Person) *identity.Refusal {
	resource := c.pep.resources.await(req.Context(), req.Rule)
	if resource == "" {
		return personal(identity.Unavailable(0, c.pep.resources.unknown()))
	}
	g := &grant{client: c, req: req, resource: resource, key: c.keyOf(req, resource)}
	satisfied, err := g.satisfiedBy(req.Context(), person.Session())
	switch {
	case err != nil:
		return personal(refusalOf(err))
	case satisfied:
		return nil
	case c.pep.DryRun:
		return personal(denied(errors.New("no permission is obtained in a dry run")))
	}
	if refusal := g.recall(person.Session()); refusal != nil {
		return refusal
	}
	return g.getAndDecide(person)
}

// getAndDecide obtains the permission and decides by it.
func (g *grant) getAndDecide(person identity.Person) *identity.Refusal {
	holder, err := person.Exclusive(g.req.Context(), "rpt "+g.key, g.obtainOnce)
	if err != nil {
		return personal(refusalOf(err))
	}
	satisfied, err := g.satisfiedBy(g.req.Context(), holder.Session())
	switch {
	case err != nil:
		return personal(refusalOf(err))
	case satisfied:
		return nil
	}
	return personal(g.remember(holder.Session(), denied(errors.New("the permissions that were granted do not satisfy the rule"))))
}

// satisfiedBy reports whether a session has an RPT whose permissions satisfy the
// rule. The error says that it cannot be told.
//
// The RPT may be bound to a key (`cnf`): it came over the gateway's own connection
// to the authorization server, in answer to its own request, and never from a
// client.
func (g *grant) satisfiedBy(ctx context.Context, s *session.Session) (bool, error) {
	held := s.Permissions[g.key]
	if held.Token == "" || !held.ExpiresAt.IsZero() && !g.authority.now().Before(held.ExpiresAt) {
		return false, nil
	}
	verified, err := g.provider.Verify(ctx, held.Token)
	if refusal, ok := errors.AsType[*token.Error](err); ok && refusal.IsRefusal() {
		return false, nil // ended or revoked: a new one is asked for
	}
	if err != nil {
		return false, err
	}
	return g.pep.permits(verified, g.req.Rule, g.req.Path, g.resource)
}

// denial names a denied permission in the memory of this process.
func (g *grant) denial(s *session.Session) denialKey { return denialKey{s.Tag(), g.key} }

// remember has a refusal hold for a moment, so that a page that is loaded again and
// again does not ask each time.
func (g *grant) remember(s *session.Session, refusal identity.Refusal) identity.Refusal {
	g.authority.denials.keep(g.denial(s), refusal, g.authority.now())
	return refusal
}

// recall returns a refusal that still holds. That the server wants to know more does
// not hold for a person who has come back with a ticket, nor for one who opens a page
// and can be sent there, for which it takes a new ticket.
func (g *grant) recall(s *session.Session) *identity.Refusal {
	refusal := g.authority.denials.recall(g.denial(s), g.authority.now())
	if refusal == nil || refusal.Person.Errand == nil {
		return refusal
	}
	if s.Permissions[g.key].Ticket != "" || g.req.Identity.Interaction.OpensPage(g.req.Request) {
		return nil
	}
	return refusal
}

// refusedError is a refusal on its way out of work that several requests wait for.
type refusedError struct{ refusal identity.Refusal }

func (e *refusedError) Error() string { return e.refusal.Error + ": " + e.refusal.Description }

// refusalOf is the refusal for what went wrong with a permission or a session.
func refusalOf(err error) identity.Refusal {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.refusal
	}
	if unverified, ok := errors.AsType[*token.Error](err); ok {
		if unverified.IsRefusal() {
			return failed(err)
		}
		return identity.InvalidToken(unverified)
	}
	switch {
	case errors.Is(err, session.ErrNone):
		return identity.LoginRequired() // logged out meanwhile
	case errors.Is(err, session.ErrTooLarge):
		return failed(err)
	case errors.Is(err, session.ErrUnavailable):
		return identity.SessionUnavailable(err)
	}
	return identity.Unavailable(0, err)
}

// personal is a refusal that a person reads on a page.
func personal(refusal identity.Refusal) *identity.Refusal {
	if refusal.Person == nil {
		refusal.Person = new(identity.ForPerson)
	}
	return &refusal
}

// partyOf returns the access token of a person whose token asks for the RPT.
func (g *grant) partyOf(s *session.Session) (string, error) {
	if access := s.Access; access.Token == "" || !access.ExpiresAt.IsZero() && !g.authority.now().Before(access.ExpiresAt) {
		return "", &refusedError{identity.LoginRequired()}
	}
	return s.Access.Token, nil
}

// justLoggedIn is how long after a login another one is not the remedy.
const justLoggedIn = 30 * time.Second

// strangerToServer refuses a person whose access token the authorization server
// does not take. A new login gives a new one; right after one it would not help.
func (g *grant) strangerToServer(s *session.Session, cause error) error {
	newest := s.Created
	for _, at := range []time.Time{s.RenewedAt, s.UserinfoAt, s.Newest().IssuedAt} {
		if newest.Before(at) {
			newest = at
		}
	}
	if g.authority.now().Sub(newest) < justLoggedIn {
		return &refusedError{g.remember(s, denied(cause))}
	}
	refusal := identity.LoginRequired()
	refusal.Cause = cause
	return &refusedError{refusal}
}

// titled is the reason of a call, for the records: what was asked, and what came.
func titled(a *tokenAnswer) error {
	return fmt.Errorf("token endpoint: %w", &serverError{a.status, cmp.Or(a.code, "no error code"), a.description})
}
