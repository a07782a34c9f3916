// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"net/http"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
)

// interaction implements identity.Interaction for the person of a visit, who may
// not be logged in.
type interaction struct{ visit *visit }

func (i interaction) Person() identity.Person {
	if i.visit.session == nil {
		return nil
	}
	return &holder{i.visit.visitor, i.visit.session}
}

func (i interaction) Satisfies(acrs []string, maxAge int64) bool {
	return i.visit.session != nil && i.visit.lifetimes.satisfies(i.visit.session, acrs, maxAge, i.visit.now())
}

func (i interaction) StepUp(w http.ResponseWriter, r *http.Request, acrs []string, maxAge int64) error {
	again := i.answering(w, r)
	if again.session == nil {
		return again.logIn(&session.Attempt{ACRs: acrs, MaxAge: maxAge}, identity.LoginRequired())
	}
	return again.stepUp(acrs, maxAge)
}

func (i interaction) LogIn(w http.ResponseWriter, r *http.Request) error {
	again := i.answering(w, r)
	attempt := &session.Attempt{MaxAge: again.needs.maxAge, ACRs: again.needs.acrs}
	if again.session != nil {
		attempt.Session = again.session.Tag()
	}
	return again.logIn(attempt, identity.LoginRequired())
}

func (i interaction) OpensPage(r *http.Request) bool {
	return i.visit.session != nil && r.Method == http.MethodGet && isPage(r) && !isUpgrade(r) && !isPrefetch(r.Header)
}

func (i interaction) Send(w http.ResponseWriter, r *http.Request, errand *identity.Errand) error {
	return i.answering(w, r).send(errand)
}

func (i interaction) ShowRefusal(w http.ResponseWriter, r *http.Request, refusal identity.Refusal) (shown bool, err error) {
	v := i.visit
	if !v.answerer.JSON || !showsPage(r) {
		return false, nil
	}
	if refusal.RetryAfter > 0 && r.Method == http.MethodGet {
		refusal.Link = returnTo(originalURL(r))
	}
	return true, v.answerer.show(w, r, v.answerer.name(v.session), refusal)
}

// answering is the visit with the request and the answer as a later handler has
// them.
func (i interaction) answering(w http.ResponseWriter, r *http.Request) *visit {
	again := *i.visit
	again.w, again.r = w, r
	return &again
}

// holder implements identity.Person.
type holder struct {
	visitor *visitor
	session *session.Session
}

func (p *holder) Session() *session.Session { return p.session }

func (p *holder) Update(ctx context.Context, change func(*session.Session) error) (identity.Person, error) {
	updated, err := p.visitor.sessions.Update(ctx, p.session, p.visitor.lifetimes.expires, change)
	if err != nil {
		return nil, err
	}
	return &holder{p.visitor, updated}, nil
}

func (p *holder) Exclusive(ctx context.Context, name string, work func(context.Context, identity.Person) (identity.Person, error)) (identity.Person, error) {
	s, err := p.visitor.sessions.Exclusive(ctx, p.session, name, func(ctx context.Context, current *session.Session) (*session.Session, error) {
		done, err := work(ctx, &holder{p.visitor, current})
		if err != nil {
			return nil, err
		}
		return done.Session(), nil
	})
	if err != nil {
		return nil, err
	}
	return &holder{p.visitor, s}, nil
}

// Interface guards
var (
	_ identity.Interaction = interaction{}
	_ identity.Person      = (*holder)(nil)
)
