// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// withoutSession answers a request from someone who is not logged in.
func (v *visit) withoutSession() error {
	if v.mode == unauthenticatedPass {
		return v.pass()
	}
	return v.logIn(&session.Attempt{MaxAge: v.needs.maxAge, ACRs: v.needs.acrs}, identity.LoginRequired())
}

// stepUp asks for a stronger or more recent authentication than the session
// has: a redirect for a person who opens a page, a challenge for all else.
func (v *visit) stepUp(acrs []string, maxAge int64) error {
	if len(acrs) == 0 && maxAge == 0 {
		// The last authentication is too long ago for any page.
		maxAge = int64(v.lifetimes.auth / time.Second)
	}
	return v.logIn(&session.Attempt{ACRs: acrs, MaxAge: maxAge, Session: v.session.Tag()}, identity.StepUp(acrs, maxAge))
}

// logIn sends the browser to the OpenID Provider if the request is a person's
// and answers with the refusal otherwise.
func (v *visit) logIn(attempt *session.Attempt, refusal identity.Refusal) error {
	origin, err := v.site.origin(v.r)
	if err != nil {
		return v.answerer.refuse(v.w, v.r, v.session, unknownHost(err))
	}
	attempt.ReturnTo = returnTo(originalURL(v.r))
	switch v.mode.dispose(v.r, origin, v.restore != nil) {
	case redirect:
		return v.start(attempt, origin, "")
	case loseBody:
		v.logger.Info("post_lost: the body of a request is lost, because there was no session; restore_original_auth_params keeps it",
			zap.String("method", v.r.Method), zap.String("path", v.r.URL.Path))
		return v.start(attempt, origin, "")
	case keepBody:
		post, err := v.restore.keep(v.r)
		if err != nil {
			return v.answerer.refuse(v.w, v.r, v.session, unkept(err))
		}
		attempt.Post = post
		return v.start(attempt, origin, "")
	}
	return v.answerer.refuse(v.w, v.r, v.session, refusal)
}

// start begins a login and redirects the browser to the OpenID Provider. From
// here on everything is in the browser's cookie; the server keeps nothing.
func (v *visit) start(attempt *session.Attempt, origin, prompt string) error {
	attempt.Handler, attempt.Started = v.id, v.now()
	attempt.Silent = prompt == "none"
	a := session.NewAttempt(*attempt)
	request := ask{attempt: a, redirectURI: origin + escaped(v.paths.callback), maxAge: v.maxAge(a), prompt: prompt}
	if v.session != nil {
		request.idTokenHint = v.session.IDToken
	}
	return v.redirectTo(request)
}

// redirectTo sends the browser to the OpenID Provider with an authorization
// request.
func (v *visit) redirectTo(request ask) error {
	target, err := v.rp.authorizationURL(v.r.Context(), request)
	if err != nil {
		return v.answerer.refuse(v.w, v.r, v.session, v.failed(err))
	}
	if err := v.jar.setAttempt(v.w, v.sent(), v.sealer, request.attempt); err != nil {
		return v.answerer.refuse(v.w, v.r, v.session, identity.Internal(err))
	}
	v.metrics.login("started")
	siteguard.NoStore(v.w)
	h := v.w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	if v.keepFragment && request.prompt != "none" {
		return writePage(v.w, http.StatusOK, page{
			Title: "Logging in", Text: []string{"You are being sent to the login page."},
			Link: target, LinkText: "Go on", Fragment: fragmentSave,
		})
	}
	h.Set("Location", target)
	v.w.WriteHeader(http.StatusFound)
	return nil
}

// sent are the cookies of the request as they came.
func (v *visit) sent() http.Header {
	if v.cookies != nil {
		return http.Header{"Cookie": v.cookies}
	}
	return v.r.Header
}

// maxAge is the age to ask for: the smaller one of what the path and what the
// configuration wants.
func (v *visit) maxAge(a *session.Attempt) int64 {
	seconds := int64(v.lifetimes.auth / time.Second)
	if a.MaxAge > 0 && a.MaxAge < seconds {
		return a.MaxAge
	}
	return seconds
}

// failed is the refusal for what went wrong with the OpenID Provider.
func (v *visitor) failed(err error) identity.Refusal {
	if errors.Is(err, errUnavailable) {
		return identity.Unavailable(time.Second, err)
	}
	v.metrics.login("failed")
	return loginFailed(err)
}
