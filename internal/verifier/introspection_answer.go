// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// What an answer of the introspection endpoint means:
//
//	200 with JSON that can be read      a verdict on the token
//	200 with JSON that cannot           nothing certain: 503 for this token alone
//	4xx                                 a verdict on the token, from a server that has
//	                                    accepted the gateway's credentials before
//	4xx with invalid_client             about the gateway itself
//	429, 5xx, redirects, pages, none    about the server
//
// Clients choose the tokens and what they contain. So only the last two
// lines count towards the circuit breaker.

const signedResponse = "application/token-introspection+jwt"

// acceptAnswer tells the answers that are verdicts. The claims are those of an
// unsigned one.
func (v *Verifier) acceptAnswer(a *provider.Answer, proof provider.Proof) (jose.Object, error) {
	switch {
	case a.Status == http.StatusOK && a.MediaType == signedResponse, refusesToken(a):
		return jose.Object{}, nil
	case a.Status == http.StatusOK:
		return v.readUnsigned(a)
	case provider.RefusesCredentials(a):
		v.server.CredentialsRejected()
		return jose.Object{}, fmt.Errorf("the authorization server refuses this gateway's own client_id or secret (%d)", a.Status)
	case !provider.IsAboutRequest(a):
		return jose.Object{}, &provider.StatusError{Status: a.Status}
	case v.server.HasAccepted(proof):
		return jose.Object{}, nil
	}
	// Nothing shows yet that the server would answer about any token: the endpoint
	// or the credentials may be wrong.
	if a.Status == http.StatusUnauthorized {
		v.server.CredentialsRejected()
	}
	return jose.Object{}, provider.BlameRequest(a, fmt.Errorf("%w: the authorization server refuses the token, or this gateway's own client_id or secret; it has not accepted those before", &provider.StatusError{Status: a.Status}))
}

// readUnsigned wants JSON and an object in which `active` is true or false. A
// server that says anything else, "true" in quotes included, is not understood.
func (v *Verifier) readUnsigned(a *provider.Answer) (jose.Object, error) {
	if err := provider.AcceptJSON(a); err != nil {
		return jose.Object{}, err
	}
	if v.mustBeSigned() {
		return jose.Object{}, &provider.UnreadableError{Err: errors.New("it is not signed, but introspection_signed demands it")}
	}
	claims, err := jose.ParseObject(a.Body)
	if err == nil {
		_, err = isActive(claims)
	}
	if err != nil {
		return jose.Object{}, &provider.UnreadableError{Err: err}
	}
	return claims, nil
}

func isActive(claims jose.Object) (bool, error) {
	active, _ := claims.Get("active")
	switch active.JSON() {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("active is neither true nor false")
}

// openSigned returns the claims of a signed response (RFC 9701). That it cannot be
// verified says nothing about the token; and if that is for want of the server's
// keys, nothing about the answer either.
func (v *Verifier) openSigned(ctx context.Context, a *provider.Answer) (claims jose.Object, body []byte, err error) {
	s := v.server
	keys, err := s.AwaitKeySet(ctx)
	if err != nil {
		return jose.Object{}, nil, err
	}
	responses := jwtVerifier{
		issuers:    s.Issuers(),
		algorithms: s.Config().Algorithms,
		audience:   []string{s.ClientID()},
		keys:       keys,
		now:        s.Now,
	}
	body, err = responses.verifyResponse(ctx, a.Body)
	if err == nil {
		claims, err = jose.ParseObject(body)
	}
	if err == nil {
		_, err = isActive(claims)
	}
	switch {
	case err == nil:
		return claims, body, nil
	case errors.As(err, new(*token.Error)): // no key
		return jose.Object{}, nil, s.Unusable(introspectionEndpoint, err)
	}
	return jose.Object{}, nil, s.Unreadable(introspectionEndpoint, err)
}

// validateResponse makes a token of the answer. Where the server says that it is
// active, nothing else in the answer may contradict that: not every server checks
// everything, and a clock may be wrong.
func (v *Verifier) validateResponse(claims jose.Object, body []byte) (*token.Token, error) {
	s := v.server
	if active, err := isActive(claims); err != nil || !active {
		return nil, token.Refuse(token.Inactive, "the authorization server does not know it, or it is no longer active")
	}
	t, err := token.FromClaims(claims, s.Mapping())
	if err != nil {
		return nil, s.Unreadable(introspectionEndpoint, err)
	}
	now := s.Now()
	if t.Expired(now) {
		return nil, expired(t, now)
	}
	if err := jwtcheck.NotBefore(claims, now); err != nil {
		if notYet, ok := errors.AsType[*jwtcheck.NotYetError](err); ok {
			return nil, refuseUntil(notYet)
		}
		return nil, s.Unreadable(introspectionEndpoint, err)
	}
	if err := checkAnsweredTypes(claims, s.Config().Audience); err != nil {
		return nil, s.Unreadable(introspectionEndpoint, err)
	}
	for _, check := range []func() error{
		func() error { return jwtcheck.Audience(claims, s.Config().Audience) },
		func() error { return checkIntrospectedKind(claims) },
	} {
		if err := check(); err != nil {
			return nil, token.Refuse(token.Invalid, "%w", err)
		}
	}
	if t.Issuer, err = answeredIssuer(claims, s); err != nil {
		return nil, token.Refuse(token.Invalid, "%w", err)
	}
	t.ClaimsJSON = string(body)
	return t, nil
}

// checkAnsweredTypes refuses an issuer or audience that cannot be compared, since it is
// not text: the answer says nothing about the token.
func checkAnsweredTypes(claims jose.Object, audience []string) error {
	if _, err := claims.Text("iss"); err != nil || len(audience) == 0 {
		return err
	}
	_, err := jwtcheck.AudienceOf(claims)
	return err
}

// refuseUntil refuses a token that is not valid yet.
func refuseUntil(notYet *jwtcheck.NotYetError) *token.Error {
	e := token.Refuse(token.Invalid, "%w", notYet)
	e.Until = notYet.Until
	return e
}

// answeredIssuer returns the issuer of the token: `iss` where the answer has one,
// else the server itself. Where the issuer depends on a tenant, an answer that does
// not name it says too little.
func answeredIssuer(claims jose.Object, s *provider.Server) (string, error) {
	issuers := s.Issuers()
	if value, ok := claims.Get("iss"); !issuers.HasTenants() && (!ok || value.IsNull()) {
		return s.Config().Issuer, nil
	}
	return issuers.Check(claims)
}

// checkIntrospectedKind refuses what is active but no access token: a server
// may be willing to introspect refresh tokens and ID tokens too, and says so
// in one of several ways.
func checkIntrospectedKind(claims jose.Object) error {
	for name, isAccess := range kindMembers {
		value, ok := claims.Get(name)
		if !ok || value.IsNull() {
			continue
		}
		kind, err := value.Text()
		if err != nil || !isAccess(strings.ToLower(kind)) {
			return fmt.Errorf("%s says that it is not an access token", name)
		}
	}
	return nil
}

// kindMembers are the members that tell kinds apart, and how: Keycloak has
// `typ`, Ory Hydra `token_use`, others `token_type` (RFC 7662, section 2.2),
// which usually is the scheme that the token is used with.
var kindMembers = map[string]func(kind string) bool{
	"typ":        func(kind string) bool { return !slices.Contains([]string{"id", "refresh", "offline", "logout"}, kind) },
	"token_use":  func(kind string) bool { return kind == "access" || kind == "access_token" },
	"token_type": func(kind string) bool { return kind != "refresh_token" && kind != "id_token" },
}
