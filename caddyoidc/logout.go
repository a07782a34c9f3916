// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// maxHintedURL is how long an address with an id_token_hint may be. Servers and
// browsers cut longer ones off.
const maxHintedURL = 8000

// logout logs a person out: here first, then at the OpenID Provider
// (OpenID Connect RP-Initiated Logout 1.0).
func (v *visitor) logout(w http.ResponseWriter, r *http.Request) error {
	siteguard.NoStore(w)
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return v.answerer.refuse(w, r, nil, methodNotAllowed())
	}
	origin, err := v.site.origin(r)
	if err != nil {
		return v.answerer.refuse(w, r, nil, unknownHost(err))
	}
	if isCrossSite(r.Header, origin) || isPrefetch(r.Header) {
		// An image or a link of another site must not log anyone out. The
		// person can.
		return writePage(w, http.StatusOK, page{
			Title: "Log out?", Text: []string{"Another site asks to log you out here."}, Link: escaped(v.paths.logout), LinkText: "Log out", Button: true,
		})
	}
	visit := &visit{visitor: v, w: w, r: r, needs: anyLogin}
	if err := visit.find(valuesOf(r.Header, v.jar.names.session, maxCandidates)); err != nil {
		return v.answerer.refuse(w, r, nil, sessionUnavailable(err))
	}
	return visit.logOut(origin)
}

func (v *visit) logOut(origin string) error {
	s := v.session
	if s != nil {
		if err := v.sessions.End(v.r.Context(), s); err != nil && !errors.Is(err, session.ErrNone) {
			return v.answerer.refuse(v.w, v.r, s, sessionUnavailable(err))
		}
		v.noteLogout(ofOne(s, "rp"))
		v.revokeLater(s)
	}
	v.jar.clearSession(v.w)
	status := http.StatusFound
	if v.r.Method == http.MethodPost {
		status = http.StatusSeeOther // a GET, whatever the method was
	}
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	v.w.Header().Set("Location", v.endSessionURL(s, origin))
	v.w.WriteHeader(status)
	return nil
}

// endSessionURL is where a logout goes on: the end_session_endpoint with a hint
// at whose session it is about, or straight to the end where there is none.
func (v *visit) endSessionURL(s *session.Session, origin string) string {
	after := v.paths.postLogout
	if strings.HasPrefix(after, "/") {
		after = origin + escaped(after)
	}
	endpoint, err := v.rp.op.Endpoint("end_session_endpoint")
	if err != nil || endpoint == "" {
		return after
	}
	query := url.Values{
		"client_id": {v.rp.op.ClientID()}, "post_logout_redirect_uri": {after},
		"state": {session.NewAttempt(session.Attempt{}).State()},
	}
	plain := withQuery(endpoint, query)
	if s == nil || s.IDToken == "" {
		return plain
	}
	query.Set("id_token_hint", s.IDToken)
	if hinted := withQuery(endpoint, query); len(hinted) <= maxHintedURL {
		return hinted
	}
	return plain
}

// revokeLater revokes the refresh token without letting the person wait.
func (v *visit) revokeLater(s *session.Session) {
	if s.Refresh == "" {
		return
	}
	ctx := context.WithoutCancel(v.r.Context())
	v.background(func() {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if err := v.rp.revoke(ctx, s.Refresh); err != nil {
			v.logger.Debug("a refresh token could not be revoked; it goes on until its end", zap.String("session", s.Tag()), zap.Error(err))
		}
	})
}

// maxLogoutForm bounds the form of a back-channel logout.
const maxLogoutForm = 16 << 10

// backchannelLogout ends sessions because the OpenID Provider says so (OpenID
// Connect Back-Channel Logout 1.0, section 2.5 to 2.8).
func (v *visitor) backchannelLogout(w http.ResponseWriter, r *http.Request) error {
	siteguard.NoStore(w)
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return v.answerer.refuseJSON(w, r, methodNotAllowed())
	}
	raw, err := logoutTokenOf(w, r)
	if err != nil {
		return v.answerer.refuseJSON(w, r, logoutTokenInvalid(err))
	}
	ctx := r.Context()
	token, err := v.rp.verifier.verifyLogout(ctx, raw)
	switch {
	case errors.Is(err, errUnavailable):
		return v.answerer.refuseJSON(w, r, identity.Unavailable(time.Second, err))
	case err != nil:
		return v.answerer.refuseJSON(w, r, logoutTokenInvalid(err))
	}
	first, err := v.sessions.Once(ctx, "logout token", token.expires, token.issuer, token.id)
	switch {
	case err != nil:
		return v.answerer.refuseJSON(w, r, sessionUnavailable(err))
	case !first:
		return v.answerer.refuseJSON(w, r, logoutTokenInvalid(errors.New("the token was used before")))
	}
	ended, err := v.sessions.EndBy(ctx, token.issuer, token.sid, token.subject)
	if err != nil {
		return v.answerer.refuseJSON(w, r, sessionUnavailable(err))
	}
	v.noteLogout(loggedOut{kind: "backchannel", issuer: token.issuer, subject: token.subject, sid: token.sid, sessions: ended})
	w.WriteHeader(http.StatusOK)
	return nil
}

func logoutTokenOf(w http.ResponseWriter, r *http.Request) (string, error) {
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(contentType), "application/x-www-form-urlencoded") {
		return "", errors.New("the body is not a form")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLogoutForm))
	if err != nil {
		return "", err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", err
	}
	if err := once(form, []string{"logout_token"}); err != nil {
		return "", err
	}
	if form.Get("logout_token") == "" {
		return "", errors.New("logout_token is missing")
	}
	return form.Get("logout_token"), nil
}

// frontchannelLogout ends the session of this browser, from a frame of the
// OpenID Provider (OpenID Connect Front-Channel Logout 1.0). Anyone can make a
// browser come here, so it takes the sid, which only the two of
// them know, and revokes nothing elsewhere.
func (v *visitor) frontchannelLogout(w http.ResponseWriter, r *http.Request) error {
	siteguard.NoStore(w)
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors "+v.opOrigin())
	if r.Method != http.MethodGet {
		h.Set("Allow", http.MethodGet)
		return v.answerer.refuse(w, r, nil, methodNotAllowed())
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = once(query, []string{"iss", "sid"})
	}
	if err == nil && (!v.rp.verifier.issuers.Spoke(query.Get("iss")) || query.Get("sid") == "") {
		err = errors.New("iss and sid do not name a session of the OpenID Provider")
	}
	if err != nil {
		return v.answerer.refuse(w, r, nil, identity.Malformed(err))
	}
	// Browsers send no cookies into the frame of another site, so the session is
	// found by its sid.
	ended, err := v.sessions.EndBy(r.Context(), query.Get("iss"), query.Get("sid"), "")
	if err != nil {
		return v.answerer.refuse(w, r, nil, sessionUnavailable(err))
	}
	v.noteLogout(loggedOut{kind: "frontchannel", issuer: query.Get("iss"), sid: query.Get("sid"), sessions: ended})
	v.jar.clearSession(w)
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	return nil
}

// opOrigin is the origin of the OpenID Provider's pages.
func (v *visitor) opOrigin() string {
	u, err := url.Parse(v.rp.op.Issuer())
	if err != nil || u.Host == "" {
		return "'none'"
	}
	return u.Scheme + "://" + u.Host
}
