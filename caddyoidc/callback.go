// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// callbackParams are the protocol parameters of the way back. Each may be there
// once.
var callbackParams = []string{"state", "code", "iss", "error", "error_description", "error_uri", "session_state"}

// errACR says that a login is right but for its strength.
var errACR = errors.New("the authentication context is not one that was asked for")

// callback is where the OpenID Provider sends the browser back to. Everything
// is checked before a session exists: a login that fails at any step leaves
// nothing behind.
func (v *visitor) callback(w http.ResponseWriter, r *http.Request) error {
	siteguard.NoStore(w)
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return v.answerer.refuse(w, r, nil, methodNotAllowed())
	}
	visit := &visit{visitor: v, w: w, r: r, needs: anyLogin}
	if isPrefetch(r.Header) {
		// The code would be used up for a page that is not shown.
		return v.answerer.refuse(w, r, nil, identity.LoginRequired())
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = once(query, callbackParams)
	}
	if err != nil {
		return v.answerer.refuse(w, r, nil, identity.Malformed(err))
	}
	origin, err := v.site.origin(r)
	if err != nil {
		return v.answerer.refuse(w, r, nil, unknownHost(err))
	}
	return visit.comeBack(query, origin)
}

// once refuses parameters that are there several times: two readers could see
// two different ones.
func once(query url.Values, names []string) error {
	for _, name := range names {
		if len(query[name]) > 1 {
			return fmt.Errorf("the parameter %s is there %d times", name, len(query[name]))
		}
	}
	return nil
}

// comeBack goes on with the login that the state belongs to.
func (v *visit) comeBack(query url.Values, origin string) error {
	state := query.Get("state")
	attempt, err := v.jar.attempt(v.r.Header, v.sealer, state, v.now())
	if err == nil && attempt.Handler != v.id {
		err = session.ErrAttempt
	}
	if findErr := v.find(valuesOf(v.r.Header, v.jar.names.session, maxCandidates)); findErr != nil {
		return v.answerer.refuse(v.w, v.r, nil, sessionUnavailable(findErr))
	}
	if err != nil {
		return v.stateUnknown(err, origin)
	}
	if err := v.rp.checkIssuer(query); err != nil {
		v.jar.endAttempt(v.w, state)
		v.metrics.login("failed")
		return v.answerer.refuse(v.w, v.r, v.session, loginMixedUp(err))
	}
	if code := query.Get("error"); code != "" {
		v.jar.endAttempt(v.w, state)
		return v.refusedByOP(code, query.Get("error_description"), attempt, origin)
	}
	if query.Get("code") == "" {
		v.jar.endAttempt(v.w, state)
		return v.answerer.refuse(v.w, v.r, v.session, identity.Malformed(errors.New("the parameter code is missing")))
	}
	return v.complete(query.Get("code"), attempt, origin)
}

// checkIssuer compares iss (RFC 9207): an answer that comes from another
// provider, or one that lacks what its provider promises, is a mix-up.
func (rp *relyingParty) checkIssuer(query url.Values) error {
	switch iss, there := query["iss"]; {
	case there && !rp.verifier.issuers.Spoke(iss[0]):
		return fmt.Errorf("iss is %.100q, not the OpenID Provider of this login", iss[0])
	case !there && rp.op.Metadata("authorization_response_iss_parameter_supported"):
		return errors.New("iss is missing, although the OpenID Provider promises it")
	}
	return nil
}

// stateUnknown answers a callback that no login of this browser belongs to: a
// bookmark, the back button, a login that took too long, or another person's
// code (login CSRF). Never with another login, which would loop.
func (v *visit) stateUnknown(cause error, origin string) error {
	v.metrics.login("state_unknown")
	if v.session != nil && !errors.Is(cause, errTwoAttempts) {
		v.w.Header().Set("Location", address(origin, v.paths.landing))
		v.w.WriteHeader(http.StatusFound)
		return nil
	}
	return v.answerer.refuse(v.w, v.r, v.session, loginStateUnknown(cause, v.paths.landing))
}

// refusedByOP answers what the OpenID Provider did not do (RFC 6749, section
// 4.1.2.1; OpenID Connect Core, section 3.1.2.6).
func (v *visit) refusedByOP(code, description string, attempt *session.Attempt, origin string) error {
	v.logger.Info("the OpenID Provider refused a login",
		zap.String("error", shortened(code)), zap.String("error_description", shortened(description)))
	switch {
	case attempt.Silent && slices.Contains([]string{"login_required", "interaction_required", "consent_required", "account_selection_required"}, code):
		// Once more, and this time the person may be asked something.
		return v.start(&session.Attempt{
			ReturnTo: attempt.ReturnTo, ACRs: attempt.ACRs, MaxAge: attempt.MaxAge, Session: attempt.Session, Post: attempt.Post,
		}, origin, "")
	case code == "access_denied":
		v.metrics.login("refused")
		return v.answerer.refuse(v.w, v.r, v.session, loginRefused(attempt.ReturnTo))
	}
	v.metrics.login("failed")
	return v.answerer.refuse(v.w, v.r, v.session, loginFailed(fmt.Errorf("error %.100q", code)))
}

// complete redeems the code and makes the session.
func (v *visit) complete(code string, attempt *session.Attempt, origin string) error {
	ctx, state := v.r.Context(), attempt.State()
	answer, err := v.rp.exchange(ctx, code, origin+escaped(v.paths.callback), attempt.Verifier())
	if err != nil {
		if !errors.Is(err, errUnavailable) {
			v.jar.endAttempt(v.w, state)
			err = fmt.Errorf("%w: %w", errProtocol, err)
		}
		return v.answerer.refuse(v.w, v.r, v.session, v.failed(err))
	}
	v.jar.endAttempt(v.w, state)
	login, err := v.check(ctx, answer, attempt)
	switch {
	case errors.Is(err, errACR):
		return v.tooWeak(attempt, origin, login)
	case err != nil:
		return v.answerer.refuse(v.w, v.r, v.session, v.failed(err))
	}
	if err := v.establish(login, attempt); err != nil {
		return v.answerer.refuse(v.w, v.r, v.session, sessionUnavailable(err))
	}
	return v.goBack(attempt, origin)
}

// check verifies what the token endpoint answered, and returns the session that
// it is worth. With errACR everything is right but the authentication context.
func (v *visit) check(ctx context.Context, answer *tokenAnswer, attempt *session.Attempt) (*session.Session, error) {
	if answer.idToken == "" {
		return nil, fmt.Errorf("%w: the token endpoint sent no ID token", errProtocol)
	}
	token, err := v.rp.verifier.verify(ctx, answer.idToken, expectation{
		nonce: attempt.Nonce(), accessToken: answer.access.Token, authTime: v.authTime,
		authAge: time.Duration(v.maxAge(attempt)) * time.Second,
	})
	if err != nil {
		return nil, asLoginError("ID token", err)
	}
	now := v.now()
	s := &session.Session{
		Issuer: token.issuer, ClientID: v.rp.op.ClientID(), Subject: token.subject, SID: token.sid, Created: now, Seen: now,
		Authentications: []session.Authentication{token.Authentication}, IDToken: token.raw,
		Access: answer.access, Refresh: answer.refresh,
	}
	if v.askUserinfo {
		if s.Userinfo, err = v.rp.userinfo(ctx, answer.access.Token, token.subject); err != nil {
			return nil, err
		}
		s.UserinfoAt = now
	}
	if len(attempt.ACRs) > 0 && !slices.Contains(attempt.ACRs, token.ACR) {
		return s, errACR
	}
	return s, nil
}

// asLoginError tells an unavailable key set from a token that is wrong.
func asLoginError(what string, err error) error {
	if errors.Is(err, errUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", errProtocol, what, err)
}

// tooWeak answers a login whose authentication context is not one that was
// asked for. Some providers take acr_values for a wish and look at the session
// that they have: one more attempt makes them ask the person again.
func (v *visit) tooWeak(attempt *session.Attempt, origin string, login *session.Session) error {
	if attempt.Round == 0 && login.Subject != "" {
		return v.start(&session.Attempt{
			ReturnTo: attempt.ReturnTo, ACRs: attempt.ACRs, MaxAge: attempt.MaxAge, Session: attempt.Session, Post: attempt.Post, Round: 1,
		}, origin, "login")
	}
	v.metrics.login("refused")
	return v.answerer.refuse(v.w, v.r, v.session, acrInsufficient(attempt.ACRs, attempt.ReturnTo))
}

// establish stores the session under a new id and gives it to the browser.
// What the same person had before goes into it; what another person had ends.
func (v *visit) establish(s *session.Session, attempt *session.Attempt) error {
	ctx, former := v.r.Context(), v.session
	if former != nil && former.IsOf(s.Issuer, s.Subject) && former.Succeeded.IsZero() {
		s.Inherit(former)
		if attempt.Session != "" {
			// A renewal or step-up is the same session; session_max_age goes on
			// counting.
			s.Created = former.Created
		}
	}
	created, cookie, err := v.sessions.Create(ctx, *s, v.lifetimes.expires)
	if err != nil {
		return err
	}
	v.jar.setSession(v.w, cookie)
	if former != nil {
		v.retire(former, former.IsOf(s.Issuer, s.Subject))
	}
	v.session = created
	v.noteLogin(v.r, created, former != nil)
	return nil
}

// succession is how long the former id of a session is good after a login, for
// requests that were under way.
const succession = 30 * time.Second

// retire lets a former session of the same person run out, and ends that of
// another one.
func (v *visit) retire(former *session.Session, samePerson bool) {
	if !samePerson {
		v.metrics.login("user_changed")
		v.end(former, "user_changed")
		return
	}
	until := v.now().Add(succession)
	_, err := v.sessions.Update(v.r.Context(), former, v.lifetimes.expires, func(s *session.Session) error {
		if s.Succeeded.IsZero() {
			s.Succeeded = until
		}
		s.Refresh = "" // the new one has it
		return nil
	})
	if err != nil && !errors.Is(err, session.ErrNone) {
		v.logger.Warn("a former session could not be retired; it ends by itself", zap.String("session", former.Tag()), zap.Error(err))
	}
}

// goBack sends the browser to the page that the person wanted.
func (v *visit) goBack(attempt *session.Attempt, origin string) error {
	target := address(origin, attempt.ReturnTo)
	h := v.w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	if attempt.Post != "" {
		v.jar.set(v.w, v.jar.names.restore, v.restore.ticket(attempt, v.session), restoreSeconds, http.SameSiteLaxMode)
	}
	if v.keepFragment || v.jar.sameSite == http.SameSiteStrictMode {
		// A browser does not send a strict cookie along the way back, which is
		// cross-site; from a page of this site it does.
		p := page{Title: "You are logged in", Text: []string{"The page that you asked for is being opened."}, Link: attempt.ReturnTo, LinkText: "Go on", Continue: !v.keepFragment}
		if v.keepFragment {
			p.Fragment = fragmentRestore
		}
		return writePage(v.w, http.StatusOK, p)
	}
	h.Set("Location", target)
	v.w.WriteHeader(http.StatusFound)
	return nil
}
