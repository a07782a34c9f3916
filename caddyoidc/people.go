// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
)

// people turns sessions into identities, and tells the upstream about them.
type people struct {
	provider  string
	realm     string
	consumers *consumer.Directory
	headers   *identity.HeaderWriter
	key       viewKey
	logger    *zap.Logger

	claim       string // that names the consumer, "" if none does
	mapping     bool   // a person who is not a consumer is refused
	anonymous   string // consumer for requests without a session
	streams     *streams.Guard
	accessToken bool // the upstream gets it
}

// viewKey is under which a session keeps what one handler makes of it.
type viewKey struct{ handler uint64 }

// view is a session as the handlers that follow, and the upstream, see it. It is
// made once for each version of a session.
type view struct {
	token    *token.Token
	named    string // the value of the claim that names the consumer
	consumer *consumer.Consumer
	headers  *identity.HeaderSet
	userinfo map[string]any
}

func (o *OpenIDConnect) newPeople(ctx caddy.Context, provider *introspect.Provider) (*people, error) {
	records, err := identity.NewMetrics(ctx, identity.OpenIDConnect)
	if err != nil {
		return nil, err
	}
	p := &people{
		provider: provider.Name(), realm: either(o.Realm, identity.DefaultRealm), consumers: o.app.Directory(), logger: ctx.Logger(),
		key: viewKey{token.NextHandlerID()}, claim: o.ConsumerClaim, mapping: o.ConsumerMapping, anonymous: o.Anonymous, accessToken: o.AccessTokenUpstream,
	}
	if p.anonymous != "" && p.consumers.Ready() && p.consumers.Find(p.anonymous) == nil {
		return nil, errors.New("anonymous: there is no consumer " + strconv.Quote(p.anonymous) + ": define it in the app, or name another one by username or id")
	}
	if p.streams, err = o.app.NewStreamGuard(ctx, o.Streams); err != nil {
		return nil, err
	}
	p.headers, err = identity.NewHeaderWriter(o.app, identity.HeaderOptions{
		Standard: enabled(o.UpstreamHeaders), Expiration: "X-OAuth-Expiration", Custom: o.CustomHeaders, Vars: expressionVars, SigningAlg: o.PhantomTokenAlg,
	}, records, p.logger)
	return p, err
}

// admit attaches the identity of a session, or of a caller without one, and
// calls the next handler.
func (p *people) admit(v *visit) error {
	if v.session == nil {
		return p.admitStranger(v)
	}
	seen, err := p.view(v.session)
	if err != nil {
		return v.answerer.refuse(v.w, v.r, v.session, unrendered(err))
	}
	if seen.consumer == nil && p.mapping {
		if !p.consumers.Ready() {
			return v.answerer.refuse(v.w, v.r, v.session, identity.NotReady(errors.New("the live consumers cannot be read yet")))
		}
		return v.answerer.refuse(v.w, v.r, v.session, notAConsumer())
	}
	h := v.r.Header
	if p.accessToken {
		h["Authorization"] = []string{"Bearer " + v.session.Access.Token}
	}
	seen.headers.Apply(h)
	seen.headers.Authenticated()
	id := p.identityOf(v.session)
	id.Token, id.Consumer = seen.token, seen.consumer
	id.Interaction, id.Details = interaction{v}, details{v.session, seen}.value
	id.UserInfo = seen.userinfo
	v.answerer.Passed(id)
	identity.Attach(v.r, id)
	if streams.IsStream(v.r) {
		return p.streams.ServeHTTP(v.w, v.r, p.streamOf(v, seen), v.next)
	}
	return v.next.ServeHTTP(v.w, v.r)
}

// admitStranger lets a request without a session pass: as the anonymous
// consumer, or without an identity.
func (p *people) admitStranger(v *visit) error {
	if p.accessToken {
		delete(v.r.Header, "Authorization") // the upstream takes it for a person's
	}
	id := &identity.Identity{Provider: p.provider, Realm: p.realm, Interaction: interaction{v}}
	if p.anonymous != "" && !v.needs.noAuth {
		id.Consumer, id.Anonymous = p.consumers.Find(p.anonymous), true
		if id.Consumer == nil {
			return v.answerer.refuse(v.w, v.r, nil, identity.LoginRequired())
		}
		set, err := p.headers.Render(p.provider, nil, id.Consumer, variables(nil, nil, nil))
		if err != nil {
			return v.answerer.refuse(v.w, v.r, nil, unrendered(err))
		}
		set.Apply(v.r.Header)
	}
	v.answerer.Passed(id)
	identity.Attach(v.r, id)
	return v.next.ServeHTTP(v.w, v.r)
}

// identityOf is who a record is about. The session may be nil.
func (p *people) identityOf(s *session.Session) *identity.Identity {
	id := &identity.Identity{Provider: p.provider, Realm: p.realm}
	if s != nil {
		id.Token = &token.Token{Provider: p.provider, Issuer: s.Issuer, ClientID: s.ClientID, Subject: s.Subject}
	}
	return id
}

// view returns what this handler makes of a session.
func (p *people) view(s *session.Session) (*view, error) {
	kept, _ := s.Value(p.key).(*view)
	if kept != nil {
		if c := p.consumerOf(kept.named); kept.consumer == c && p.headers.IsCurrent(kept.headers, c) {
			return kept, nil
		}
	}
	made, err := p.newView(s)
	if err == nil {
		s.SetValue(p.key, made)
	}
	return made, err
}

func (p *people) newView(s *session.Session) (*view, error) {
	made := &view{token: p.tokenOf(s)}
	claims, err := made.token.Claims()
	if err != nil {
		return nil, err
	}
	if len(s.Userinfo) > 0 {
		if made.userinfo, err = (&token.Token{ClaimsJSON: string(s.Userinfo)}).Claims(); err != nil {
			return nil, err
		}
	}
	if p.claim != "" {
		made.named, _ = identity.Claim(claims, p.claim).(string)
	}
	made.consumer = p.consumerOf(made.named)
	made.headers, err = p.headers.Render(p.provider, made.token, made.consumer, variables(claims, made.userinfo, s))
	return made, err
}

// tokenOf is the session in the form of a verified token: what rules and headers
// work with.
func (p *people) tokenOf(s *session.Session) *token.Token {
	newest := s.Newest()
	t := &token.Token{
		Provider: p.provider, Issuer: s.Issuer, Subject: s.Subject, ClientID: s.ClientID, Scopes: s.Access.Scopes,
		ExpiresAt: s.Access.ExpiresAt, JWT: true, ClaimsJSON: string(newest.Claims),
	}
	if t.ExpiresAt.IsZero() {
		t.ExpiresAt = newest.ExpiresAt
	}
	t.Compact()
	return t
}

// consumerOf finds the consumer that a person is, nil if none.
func (p *people) consumerOf(name string) *consumer.Consumer {
	if name == "" {
		return nil
	}
	if c := p.consumers.ByClient(p.provider, name); c != nil {
		return c
	}
	if c := p.consumers.Find(name); c != nil && c.Username == name {
		return c
	}
	return nil
}

// variables are what the expressions of custom headers see.
func variables(claims, userinfo map[string]any, s *session.Session) map[string]any {
	vars := map[string]any{"id_token": nil, "userinfo": nil, "access_token": nil}
	if claims != nil {
		vars["id_token"] = claims
	}
	if userinfo != nil {
		vars["userinfo"] = userinfo
	}
	if s != nil {
		vars["access_token"] = s.Access.Token
	}
	return vars
}

// details are the placeholders that only a session has.
type details struct {
	session *session.Session
	view    *view
}

func (d details) value(name string) (any, bool) {
	newest := d.session.Newest()
	switch name {
	case "acr":
		return newest.ACR, true
	case "auth_time":
		return strconv.FormatInt(authenticatedAt(newest).Unix(), 10), true
	case "session":
		return d.session.Tag(), true
	}
	if claim, ok := strings.CutPrefix(name, "userinfo."); ok {
		return identity.Claim(d.view.userinfo, claim), true
	}
	return nil, false
}

// unrendered refuses a request whose upstream cannot be told who is calling.
func unrendered(err error) identity.Refusal {
	if errors.Is(err, headers.ErrNotReady) {
		return identity.NotReady(err)
	}
	return identity.Internal(err)
}

// notAConsumer refuses a person whom consumer_mapping knows nothing of.
func notAConsumer() identity.Refusal {
	return identity.Refusal{
		Status: http.StatusForbidden, Error: "access_denied", Reason: identity.ReasonUnknownConsumer,
		Description: "You are logged in, but not known here.",
	}
}
