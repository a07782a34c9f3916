// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// A person on an errand says more about themselves at an UMA authorization server
// (UMA 2.0 Grant, section 3.3.2), and comes back with a ticket (section 3.3.3). Like
// a login, the errand travels in a sealed cookie of the browser, under its state. It
// belongs to one session and one permission of it.

// send sends the person away.
func (v *visit) send(errand *identity.Errand) error {
	origin, err := v.site.origin(v.r)
	if err != nil {
		return v.answerer.refuse(v.w, v.r, v.session, unknownHost(err))
	}
	a := session.NewAttempt(session.Attempt{
		Handler: v.errands(errand.ReturnPath) + errand.Permission, ReturnTo: returnTo(originalURL(v.r)), Session: v.session.Tag(), Started: v.now(),
	})
	if err := v.jar.setAttempt(v.w, v.sent(), v.sealer, a); err != nil {
		return v.answerer.refuse(v.w, v.r, v.session, identity.Internal(err))
	}
	siteguard.NoStore(v.w)
	h := v.w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", errand.Address(origin+escaped(errand.ReturnPath), a.State()))
	v.w.WriteHeader(http.StatusFound)
	return nil
}

// errands is what the handler of an attempt begins with if it is an errand with
// this return path. The key of the permission follows.
func (v *visitor) errands(path string) string { return v.id + " errand " + path + " " }

// returnParams are the protocol parameters of the way back. Each may be there once.
var returnParams = []string{"ticket", "state"}

// comeBackFromErrand is where another server sends people back to.
func (v *visitor) comeBackFromErrand(w http.ResponseWriter, r *http.Request) error {
	siteguard.NoStore(w)
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return v.answerer.refuse(w, r, nil, methodNotAllowed())
	}
	if isPrefetch(r.Header) {
		return v.answerer.refuse(w, r, nil, identity.LoginRequired())
	}
	query, err := url.ParseQuery(originalURL(r).RawQuery)
	if err == nil {
		err = once(query, returnParams)
	}
	if err != nil {
		return v.answerer.refuse(w, r, nil, identity.Malformed(err))
	}
	visit := &visit{visitor: v, w: w, r: r, needs: anyLogin}
	if err := visit.find(valuesOf(r.Header, v.jar.names.session, maxCandidates)); err != nil {
		return v.answerer.refuse(w, r, nil, identity.SessionUnavailable(err))
	}
	if visit.session == nil && v.jar.sameSite == http.SameSiteStrictMode && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		// The browser kept the cookie back on a way that is cross-site; from a page of
		// this site it sends it.
		return writePage(w, http.StatusOK, page{
			Title: "You are back", Text: []string{"The page that you asked for is being opened."},
			Link: returnTo(originalURL(r)), LinkText: "Go on", Continue: true,
		})
	}
	return visit.endErrand(query.Get("ticket"), query.Get("state"))
}

// endErrand keeps the ticket in the session, for the permission that the person was
// sent away for, and goes back to the page that needs it.
func (v *visit) endErrand(ticket, state string) error {
	attempt, key, err := v.errandOf(state)
	if err != nil {
		landing := v.paths.landing
		if attempt != nil {
			landing = attempt.ReturnTo
		}
		return v.answerer.refuse(v.w, v.r, v.session, errandUnknown(err, landing))
	}
	origin, err := v.site.origin(v.r)
	if err != nil {
		return v.answerer.refuse(v.w, v.r, v.session, unknownHost(err))
	}
	v.jar.endAttempt(v.w, state)
	if ticket == "" || len(ticket) > maxReturnedTicket {
		return v.answerer.refuse(v.w, v.r, v.session, identity.Malformed(errors.New("the parameter ticket is missing, or too long")))
	}
	first, err := v.sessions.Once(v.r.Context(), "errand", v.now().Add(session.AttemptAge), state)
	if err == nil && !first {
		return v.answerer.refuse(v.w, v.r, v.session, errandUnknown(errors.New("the state was used before"), attempt.ReturnTo))
	}
	if err == nil {
		_, err = v.sessions.Update(v.r.Context(), v.session, v.lifetimes.expires, func(s *session.Session) error {
			kept, now := s.Permissions[key], v.now()
			kept.CameBack(ticket, now)
			s.SetPermission(key, kept, now)
			return nil
		})
	}
	if err != nil && !errors.Is(err, session.ErrNone) { // a session that has ended starts with a login
		return v.answerer.refuse(v.w, v.r, v.session, sessionUnavailable(err))
	}
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	v.w.Header().Set("Location", address(origin, attempt.ReturnTo))
	v.w.WriteHeader(http.StatusFound)
	return nil
}

// maxReturnedTicket is the longest ticket that is kept.
const maxReturnedTicket = 8 << 10

// errandOf returns the errand that a state belongs to, and the key of its
// permission. It comes with an error if it is that of another session.
func (v *visit) errandOf(state string) (attempt *session.Attempt, key string, err error) {
	if attempt, err = v.jar.attempt(v.r.Header, v.sealer, state, v.now()); err != nil {
		return nil, "", err
	}
	key, ok := strings.CutPrefix(attempt.Handler, v.errands(originalURL(v.r).Path))
	if !ok || key == "" {
		return nil, "", session.ErrAttempt
	}
	if v.session == nil || attempt.Session != v.session.Tag() {
		return attempt, "", errors.New("the session is another one, or has ended")
	}
	return attempt, key, nil
}
