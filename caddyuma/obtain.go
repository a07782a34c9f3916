// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/token"
)

// obtainOnce is the work of one of the requests that need the same permission. The
// others, on this gateway and on others, find what it has left in the session.
func (g *grant) obtainOnce(ctx context.Context, person identity.Person) (identity.Person, error) {
	satisfied, err := g.satisfiedBy(ctx, person.Session())
	if err != nil || satisfied {
		return person, err
	}
	if refusal := g.recall(person.Session()); refusal != nil {
		return nil, &refusedError{*refusal}
	}
	if err := g.waiting(person.Session()); err != nil {
		return nil, err
	}
	return g.obtain(ctx, person)
}

// obtain exchanges a ticket for an RPT. A ticket that the server does not take any
// more is replaced once: one that was kept may have ended, and a restarted server
// has forgotten all.
func (g *grant) obtain(ctx context.Context, person identity.Person) (identity.Person, error) {
	ticket := person.Session().Permissions[g.key].Ticket
	for attempt := 0; ; attempt++ {
		if ticket == "" {
			var err error
			if ticket, err = g.newTicket(ctx, person.Session()); err != nil {
				return nil, err
			}
		}
		answer, err := g.redeem(ctx, person.Session(), ticket, attempt == 0)
		if err != nil {
			return nil, g.uncalled(err)
		}
		if person, err = g.spend(ctx, person, ticket); err != nil {
			return nil, err
		}
		if answer.isSpent() && attempt == 0 {
			ticket = ""
			continue
		}
		return g.conclude(ctx, person, answer)
	}
}

// spend forgets a kept ticket that the server has seen: it takes each one once.
func (g *grant) spend(ctx context.Context, person identity.Person, ticket string) (identity.Person, error) {
	if person.Session().Permissions[g.key].Ticket != ticket {
		return person, nil
	}
	return person.Update(ctx, func(s *session.Session) error {
		if kept := s.Permissions[g.key]; kept.Ticket == ticket {
			kept.Ticket = ""
			s.SetPermission(g.key, kept, g.authority.now())
		}
		return nil
	})
}

// newTicket asks for a ticket for all scopes of the rule.
func (g *grant) newTicket(ctx context.Context, s *session.Session) (string, error) {
	ticket, err := g.pep.tickets.ask(ctx, "session "+s.Tag(), g.resource, g.pep.resources.scopes(g.req.Rule))
	switch {
	case err == nil:
		return ticket, nil
	case errors.Is(err, errTooMany):
		return "", &refusedError{tooMany(err)}
	case errors.Is(err, errUnknownResource):
		g.pep.resources.forget(g.req.Rule)
	}
	return "", g.uncalled(err)
}

// uncalled counts a server that did not answer.
func (g *grant) uncalled(err error) error {
	if _, refused := errors.AsType[*refusedError](err); refused {
		return err
	}
	g.count.unavailable.Inc()
	retryAfter := time.Duration(0)
	if unavailable, ok := errors.AsType[*token.Error](err); ok {
		retryAfter = unavailable.RetryAfter
	}
	return &refusedError{identity.Unavailable(retryAfter, err)}
}

// conclude makes of the server's answer what it is worth.
func (g *grant) conclude(ctx context.Context, person identity.Person, answer *tokenAnswer) (identity.Person, error) {
	s := person.Session()
	switch {
	case answer.status == http.StatusOK:
		return g.keep(ctx, person, answer)
	case answer.status == http.StatusUnauthorized && g.asPerson:
		return nil, g.strangerToServer(s, titled(answer))
	}
	switch answer.code {
	case "access_denied", "request_denied", "not_authorized":
		// Keycloak describes every denial as "request_submitted", also where no
		// owner can approve anything. After an approval the next ticket is granted.
		g.count.denied.Inc()
		return nil, &refusedError{g.remember(s, denied(titled(answer)))}
	case codeSubmitted:
		return g.keepWaiting(ctx, person, answer)
	case codeNeedInfo:
		g.count.needInfo.Inc()
		return nil, &refusedError{g.needInfo(ctx, s, answer)}
	case "invalid_client", "unauthorized_client":
		return nil, g.uncalled(titled(answer))
	}
	g.count.failed.Inc()
	return nil, &refusedError{failed(titled(answer))}
}

// keep puts the RPT into the session, once it is known to be one.
func (g *grant) keep(ctx context.Context, person identity.Person, answer *tokenAnswer) (identity.Person, error) {
	verified, err := g.provider.Verify(ctx, answer.rpt)
	if refusal, ok := errors.AsType[*token.Error](err); ok && refusal.IsRefusal() {
		g.count.failed.Inc()
		return nil, &refusedError{failed(fmt.Errorf("the requesting party token that was granted is not valid here: %w", err))}
	}
	if err == nil {
		if err := g.checkParty(verified, person.Session()); err != nil {
			g.count.failed.Inc()
			return nil, &refusedError{failed(err)}
		}
	}
	// A token about which the server cannot be asked at the moment is kept: it is
	// verified before it is used.
	g.count.obtained.Inc()
	return person.Update(ctx, func(s *session.Session) error {
		s.SetPermission(g.key, session.Permission{Token: answer.rpt, ExpiresAt: answer.expires}, g.authority.now())
		if answer.pct != "" {
			s.SetClaims(g.claimsKey(), answer.pct)
		}
		return nil
	})
}

// checkParty refuses an RPT of someone else, where it names a person at the issuer
// of the login. A token that the gateway obtains as a client names that client.
func (g *grant) checkParty(rpt *token.Token, s *session.Session) error {
	if g.asPerson && rpt.Subject != "" && rpt.Issuer == s.Issuer && rpt.Subject != s.Subject {
		return errors.New("the requesting party token that was granted is of another person")
	}
	return nil
}

// keepWaiting keeps the ticket of a request that someone has to approve.
func (g *grant) keepWaiting(ctx context.Context, person identity.Person, answer *tokenAnswer) (identity.Person, error) {
	g.count.submitted.Inc()
	now := g.authority.now()
	holder, err := person.Update(ctx, func(s *session.Session) error {
		kept := s.Permissions[g.key]
		kept.Ticket, kept.NotBefore = answer.ticket, now.Add(answer.interval)
		s.SetPermission(g.key, kept, now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return nil, g.waiting(holder.Session())
}

// waiting refuses a request that is too early to ask again whether it was approved.
func (g *grant) waiting(s *session.Session) error {
	if left := s.Permissions[g.key].NotBefore.Sub(g.authority.now()); left > 0 {
		return &refusedError{submitted(left)}
	}
	return nil
}
