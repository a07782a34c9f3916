// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
)

// errUserChanged says that the OpenID Provider renewed the session for another
// person.
var errUserChanged = errors.New("the OpenID Provider renewed the session for another person")

// renew renews the session if it is time to, and reports whether the request
// has been answered with that.
func (v *visit) renew() (answered bool, err error) {
	now := v.now()
	if !v.session.Succeeded.IsZero() {
		return false, nil // a former id, good for seconds, as it is
	}
	due := v.lifetimes.renewalOf(v.session, v.refresh, now)
	switch {
	case !due.due:
		return false, v.refreshUserinfo()
	case due.byToken:
		return v.renewByToken(due.since)
	case v.needs.noAuth:
		return false, nil
	}
	return v.renewByBrowser(due.since)
}

// renewByToken uses the refresh token, while the request waits: so it works for
// any method and loses no body.
func (v *visit) renewByToken(since time.Time) (answered bool, err error) {
	former := v.session
	s, err := v.sessions.Exclusive(v.r.Context(), former, "renew", func(ctx context.Context, current *session.Session) (*session.Session, error) {
		if due := v.lifetimes.renewalOf(current, true, v.now()); !due.due || !due.byToken {
			return current, nil // another request, or another gateway, was first
		}
		return v.refreshed(ctx, current)
	})
	switch {
	case err == nil:
		v.session = s
		return false, nil
	case errors.Is(err, session.ErrNone):
		v.session = nil
		return false, nil
	case errors.Is(err, errInvalidGrant):
		v.metrics.refresh("refused")
		v.session = nil
		v.end(former, "refused")
		return false, nil
	case errors.Is(err, errUserChanged), errors.Is(err, errProtocol) && !errors.Is(err, errUnusable):
		// What was said about the person cannot be trusted any more.
		v.metrics.refresh("failed")
		v.logger.Warn("a session ends because its renewal failed", zap.String("session", former.Tag()), zap.Error(err))
		v.session = nil
		v.end(former, "refused")
		return false, nil
	}
	v.metrics.refresh("unavailable")
	return v.late(since, err)
}

// late lets a session live on while it cannot be renewed, for a while.
func (v *visit) late(since time.Time, cause error) (answered bool, err error) {
	if v.now().Sub(since) < overdue {
		v.logger.Warn("a session could not be renewed; it goes on for now", zap.String("session", v.session.Tag()), zap.Error(cause))
		return false, nil
	}
	return true, v.answerer.refuse(v.w, v.r, v.session, identity.Unavailable(time.Second, cause))
}

// refreshed is the session with what the token endpoint gives for its refresh
// token. Everything is checked as at the login.
func (v *visit) refreshed(ctx context.Context, current *session.Session) (*session.Session, error) {
	answer, err := v.rp.refresh(ctx, current.Refresh)
	if errors.Is(err, errInvalidGrant) {
		// Another gateway may have used it a moment before its lock ran out.
		if newer, readErr := v.sessions.Reload(ctx, current); readErr == nil && newer.Refresh != current.Refresh {
			return newer, nil
		}
	}
	if err != nil {
		return nil, err
	}
	var token *idToken
	if answer.idToken != "" {
		token, err = v.rp.verifier.verify(ctx, answer.idToken, expectation{accessToken: answer.access.Token})
		if err != nil {
			return nil, asLoginError("refreshed ID token", err)
		}
		if !current.IsOf(token.issuer, token.subject) {
			return nil, errUserChanged
		}
	}
	userinfo, err := v.userinfoOf(ctx, answer.access.Token, current)
	if err != nil && !errors.Is(err, errUnavailable) && !errors.Is(err, errUnusable) {
		return nil, err
	}
	now := v.now()
	s, err := v.sessions.Update(ctx, current, v.lifetimes.expires, func(s *session.Session) error {
		s.Access, s.RenewedAt, s.Seen = answer.access, now, now
		if !answer.scoped {
			s.Access.Scopes = current.Access.Scopes
		}
		if answer.refresh != "" {
			s.Refresh = answer.refresh
		}
		if token != nil {
			s.IDToken = token.raw
			s.Authenticated(renewedAuthentication(token, current))
		}
		if userinfo != nil {
			s.Userinfo, s.UserinfoAt = userinfo, now
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	v.metrics.refresh("completed")
	return s, nil
}

// renewedAuthentication is what a refreshed ID token says. One without acr or
// auth_time says nothing new about how the person authenticated.
func renewedAuthentication(token *idToken, current *session.Session) session.Authentication {
	a, before := token.Authentication, current.Newest()
	if a.ACR == "" {
		a.ACR, a.AMR = before.ACR, before.AMR
	}
	if a.AuthTime.IsZero() {
		a.AuthTime = authenticatedAt(before)
	}
	return a
}

// userinfoOf asks about the person again. The error is errUnavailable or
// errUnusable if the former answer has to do.
func (v *visit) userinfoOf(ctx context.Context, accessToken string, s *session.Session) ([]byte, error) {
	if !v.askUserinfo || v.lifetimes.userinfo > 0 && v.now().Sub(s.UserinfoAt) < v.lifetimes.userinfo {
		return nil, nil
	}
	return v.rp.userinfo(ctx, accessToken, s.Subject)
}

// refreshUserinfo asks the userinfo endpoint again if it has an interval of its
// own. If it does not answer, no request is refused for that; if it answers about
// another person, the session ends.
func (v *visit) refreshUserinfo() error {
	if v.lifetimes.userinfo == 0 || !v.askUserinfo || v.now().Sub(v.session.UserinfoAt) < v.lifetimes.userinfo {
		return nil
	}
	s, err := v.sessions.Exclusive(v.r.Context(), v.session, "userinfo", func(ctx context.Context, current *session.Session) (*session.Session, error) {
		userinfo, err := v.userinfoOf(ctx, current.Access.Token, current)
		if err != nil || userinfo == nil {
			return current, err
		}
		now := v.now()
		return v.sessions.Update(ctx, current, v.lifetimes.expires, func(s *session.Session) error {
			s.Userinfo, s.UserinfoAt = userinfo, now
			return nil
		})
	})
	if errors.Is(err, errOtherSubject) {
		// The access token is another person's (OpenID Connect Core, section 5.3.2).
		v.logger.Warn("a session ends because userinfo is about another person", zap.String("session", v.session.Tag()), zap.Error(err))
		former := v.session
		v.session = nil
		v.end(former, "refused")
		return nil
	}
	if err != nil {
		v.logger.Warn("userinfo could not be fetched again", zap.String("session", v.session.Tag()), zap.Error(err))
		return nil
	}
	v.session = s
	return nil
}

// renewByBrowser renews a session that has no refresh token: the browser goes
// to the OpenID Provider and back without the person noticing. Only a page can
// do that; everything else gets a challenge.
func (v *visit) renewByBrowser(since time.Time) (answered bool, err error) {
	origin, err := v.site.origin(v.r)
	if err != nil {
		return true, v.answerer.refuse(v.w, v.r, v.session, unknownHost(err))
	}
	attempt := &session.Attempt{ReturnTo: returnTo(originalURL(v.r)), ACRs: v.needs.acrs, MaxAge: v.needs.maxAge, Session: v.session.Tag()}
	refusal := identity.LoginRequired()
	refusal.Cause = fmt.Errorf("the session was due for renewal %s ago", v.now().Sub(since).Round(time.Second))
	switch v.mode.dispose(v.r, origin, v.restore != nil) {
	case redirect, loseBody:
		return true, v.start(attempt, origin, "none")
	case keepBody:
		post, err := v.restore.keep(v.r)
		if err != nil {
			return true, v.answerer.refuse(v.w, v.r, v.session, unkept(err))
		}
		attempt.Post = post
		return true, v.start(attempt, origin, "none")
	}
	return true, v.answerer.refuse(v.w, v.r, v.session, refusal)
}
