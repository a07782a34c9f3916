// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// visitor is the run-time half of the handler: one site's people, their
// sessions, and the OpenID Provider that they log in at.
type visitor struct {
	rp           *relyingParty
	sessions     *session.Manager
	sealer       *seal.Sealer // of login attempts
	jar          *cookieJar
	site         *site
	lifetimes    *lifetimes
	rules        *rules
	mode         unauthenticated
	refresh      bool
	askUserinfo  bool
	restore      *restorer // nil if forms are not submitted again
	keepFragment bool
	authTime     bool // the OpenID Provider must say when the person authenticated
	id           string
	endpoints    map[string]endpoint // by path
	paths        paths
	isReturnPath func(path string) bool // people come back there from an errand; nil: nowhere
	metrics      *metrics
	events       *events.Emitter
	answerer     *answerer
	logger       *zap.Logger
	now          func() time.Time

	// admitted attaches the identity and calls the next handler.
	admitted func(*visit) error

	// background runs what no request waits for.
	background func(func())
}

// paths are the addresses on this site that the handler makes others come to.
type paths struct {
	callback   string
	logout     string
	postLogout string // path or URL
	landing    string // escaped

	// withoutLogin is the page that people come to when they have logged out,
	// "" if it is an ordinary one.
	withoutLogin string
}

// endpoint answers a request to one of the handler's own paths.
type endpoint func(http.ResponseWriter, *http.Request) error

// visit is one request.
type visit struct {
	*visitor
	w       http.ResponseWriter
	r       *http.Request
	next    caddyhttp.Handler
	session *session.Session // nil if there is none
	needs   *requirement
	cookies []string // as they came, once they have been removed from r
}

// serve handles a request from which forged headers have been removed.
//
//	endpoint     the handler's own paths, whatever the rules say
//	  callback, logout, ...
//	find         the session of the cookie, if it is alive
//	bringBack    the form that was kept before the login
//	findNeeds    what the path and the method ask for
//	admit        is the session good for it?
//	  renew      with the refresh token, or by sending the browser around
//	  stepUp     otherwise
//	pass         identity, headers, next handler
func (v *visitor) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if answer := v.endpointOf(r); answer != nil {
		return answer(w, r)
	}
	w.Header().Add("Vary", "Cookie")
	visit := &visit{visitor: v, w: w, r: r, next: next}
	unavailable := visit.find(valuesOf(r.Header, v.jar.names.session, maxCandidates))
	if unavailable == nil {
		unavailable = visit.bringBack() // before any rule, so that rules judge what it is
	}
	if refusal := visit.findNeeds(); refusal != nil {
		return v.answerer.refuse(w, r, visit.session, *refusal)
	}
	if unavailable != nil && !visit.needs.noAuth {
		return v.answerer.refuse(w, r, nil, sessionUnavailable(unavailable))
	}
	return visit.admit()
}

// findNeeds finds what the path, as the upstream receives it, and the method
// ask for.
func (v *visit) findNeeds() *identity.Refusal {
	if v.paths.withoutLogin != "" && originalURL(v.r).Path == v.paths.withoutLogin {
		v.needs = noLogin
		return nil
	}
	if v.rules == nil {
		// Nothing is decided by path here: what can be read in two ways is for a
		// handler that does.
		v.needs = anyLogin
		return nil
	}
	path, err := pathmatch.Canonicalize(v.r.URL, pathmatch.Options{})
	if err != nil {
		refusal := unreadable(err)
		return &refusal
	}
	if v.needs, err = v.rules.find(v.r.Method, path.Decoded); err != nil {
		refusal := identity.NoRule()
		refusal.Cause = err
		return &refusal
	}
	return nil
}

// maxCandidates is how many session cookies of a request are tried.
const maxCandidates = 8

// endpointOf returns what answers a request to one of the handler's own paths.
// They are compared as a whole with what the client sent: neither a rewrite nor
// another spelling leads there, or away (CVE-2026-9800).
func (v *visitor) endpointOf(r *http.Request) endpoint {
	sent := originalURL(r)
	if sent.RawPath != "" {
		return nil
	}
	if answer := v.endpoints[sent.Path]; answer != nil {
		return answer
	}
	if v.isReturnPath != nil && v.isReturnPath(sent.Path) {
		return v.comeBackFromErrand
	}
	return nil
}

// find looks for the session of the request. The error says that the store is
// unavailable.
func (v *visit) find(candidates []string) error {
	for _, cookie := range candidates {
		s, err := v.sessions.Open(v.r.Context(), cookie)
		switch {
		case errors.Is(err, session.ErrNone):
			v.metrics.lookup("miss")
		case err != nil:
			v.metrics.lookup("away")
			return err
		case v.rp.verifier.issuers.Spoke(s.Issuer) && s.ClientID == v.rp.op.ClientID():
			v.metrics.lookup("hit")
			v.session = s
			return v.keepAlive()
		}
		// A session of another handler is left alone.
	}
	return nil
}

// keepAlive ends a session whose time is over, and marks others as seen.
func (v *visit) keepAlive() error {
	now := v.now()
	if why := v.lifetimes.ended(v.session, now); why != notEnded {
		s := v.session
		v.session = nil
		if s.Succeeded.IsZero() {
			v.end(s, string(why))
		}
		return nil
	}
	if now.Sub(v.session.Seen) < v.lifetimes.touch() {
		return nil
	}
	s, err := v.sessions.Update(v.r.Context(), v.session, v.lifetimes.expires, func(s *session.Session) error {
		s.Seen = now
		return nil
	})
	switch {
	case errors.Is(err, session.ErrNone):
		v.session = nil
	case err == nil:
		v.session = s
	}
	// Where it could not be written, the session lives on: the next request
	// tries again.
	return nil
}

// end ends a session here and everywhere.
func (v *visit) end(s *session.Session, kind string) {
	if err := v.sessions.End(v.r.Context(), s); err != nil {
		v.logger.Error("a session could not be ended", zap.String("session", s.Tag()), zap.Error(err))
		return
	}
	v.noteLogout(ofOne(s, kind))
}

// admit lets the request pass if the session is good for it.
func (v *visit) admit() error {
	if v.session != nil {
		if answered, err := v.renew(); answered {
			return err
		}
	}
	now := v.now()
	switch {
	case v.needs.noAuth:
		return v.pass()
	case v.session == nil:
		return v.withoutSession()
	case v.lifetimes.satisfies(v.session, v.needs.acrs, v.needs.maxAge, now):
		return v.pass()
	}
	return v.stepUp(v.needs.acrs, v.needs.maxAge)
}

// pass lets the request go on, with the identity of the session if there is
// one. The gateway's cookies stay here.
func (v *visit) pass() error {
	v.cookies = v.r.Header["Cookie"] // what follows makes new ones
	removeCookies(v.r.Header, v.jar.names.owns)
	return v.admitted(v)
}

// bringBack makes the request the one that was kept before the login, if it is
// that one's turn. The error says that the store is unavailable.
func (v *visit) bringBack() error {
	if v.session == nil || v.restore == nil {
		return nil
	}
	tickets := valuesOf(v.r.Header, v.jar.names.restore, 2)
	if len(tickets) == 0 {
		return nil
	}
	if len(tickets) > 1 {
		v.jar.clear(v.w, v.jar.names.restore)
		return nil // someone else set one of them
	}
	taken, err := v.restore.bring(v.r, tickets[0], v.session)
	if taken {
		v.jar.clear(v.w, v.jar.names.restore)
	}
	return err
}
