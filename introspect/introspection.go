// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// Introspection (RFC 7662): the authorization server is asked about a token.
// Its answer either says what the token is, or that it is none; everything
// else is no answer.

const signedResponse = "application/token-introspection+jwt"

// introspect asks the server about a token.
func (v *verifier) introspect(ctx context.Context, sent *presented) (*Token, error) {
	s := v.server
	req, err := v.introspectionRequest(sent.raw)
	if err != nil {
		return nil, err
	}
	begun := s.Now()
	var claims jose.Object
	a, err := s.Do(ctx, "introspection_endpoint", req, func(a *provider.Answer) error {
		if a.MediaType == signedResponse && a.Status == http.StatusOK || refusesToken(a) {
			return nil
		}
		if v.mustBeSigned() && a.Status == http.StatusOK {
			return errors.New("the answer is not signed, but introspection_signed demands it")
		}
		var err error
		claims, err = parseIntrospection(a)
		if a.Status == http.StatusUnauthorized {
			s.CredentialsRejected()
		}
		return provider.BlameRequest(a, err)
	})
	var body []byte
	switch {
	case err != nil:
	case a.Status != http.StatusOK:
		v.metrics.introspected(outcomeInactive, s.Now().Sub(begun))
		return nil, refuse(TokenInvalid, "the authorization server does not answer about tokens of this kind")
	case a.MediaType == signedResponse:
		claims, body, err = v.openSigned(ctx, a)
	default:
		body = a.Body
	}
	if err != nil {
		v.metrics.introspected(outcomeError, s.Now().Sub(begun))
		return nil, err
	}
	token, err := v.validateResponse(claims, body)
	if err == nil {
		token.JWT = sent.isJWT()
	}
	v.metrics.introspected(outcomeOf(err), s.Now().Sub(begun))
	return token, err
}

func (v *verifier) introspectionRequest(raw string) (*http.Request, error) {
	s := v.server
	address, err := s.Endpoint("introspection_endpoint")
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {raw}}
	req, err := http.NewRequest(http.MethodPost, address, nil)
	if err != nil {
		return nil, unavailable(defaultRetryAfter, "introspection request: %w", err)
	}
	if err := s.Authenticate(req, form); err != nil {
		return nil, err
	}
	provider.SetForm(req, form)
	req.Header.Set("Accept", v.introspectionTypes())
	return req, nil
}

// introspectionTypes is what the gateway accepts for an answer.
func (v *verifier) introspectionTypes() string {
	s := v.server
	switch {
	case v.mustBeSigned():
		return signedResponse
	case s.Config().IntrospectionSigned == nil && s.OffersSignedIntrospection():
		return signedResponse + ", application/json;q=0.5"
	}
	return "application/json"
}

func (v *verifier) mustBeSigned() bool {
	signed := v.server.Config().IntrospectionSigned
	return signed != nil && *signed
}

// parseIntrospection wants 200 and a JSON object in which `active` is true or
// false. A server that says anything else, "true" in quotes included, is not
// understood.
func parseIntrospection(a *provider.Answer) (jose.Object, error) {
	if err := provider.AcceptJSON(a); err != nil {
		return jose.Object{}, err
	}
	claims, err := jose.ParseObject(a.Body)
	if err != nil {
		return jose.Object{}, err
	}
	_, err = isActive(claims)
	return claims, err
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

// openSigned returns the claims of a signed response (RFC 9701). That it
// cannot be verified says nothing about the token.
func (v *verifier) openSigned(ctx context.Context, a *provider.Answer) (claims jose.Object, body []byte, err error) {
	s := v.server
	keys, err := s.KeySet()
	if err != nil {
		return jose.Object{}, nil, err
	}
	responses := jwtVerifier{
		issuer:     s.Config().Issuer,
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
	if err != nil {
		return jose.Object{}, nil, s.Unusable("introspection_endpoint", err)
	}
	return claims, body, nil
}

// validateResponse makes a token of the answer. Where the server says that it is
// active, nothing else in the answer may contradict that: not every server checks
// everything, and a clock may be wrong.
func (v *verifier) validateResponse(claims jose.Object, body []byte) (*Token, error) {
	s := v.server
	if active, err := isActive(claims); err != nil || !active {
		return nil, refuse(TokenInactive, "the authorization server does not know it, or not any more")
	}
	t, err := token.FromClaims(claims, s.Mapping())
	if err != nil {
		return nil, s.Unusable("introspection_endpoint", err)
	}
	now := s.Now()
	if t.Expired(now) {
		return nil, expired(t, now)
	}
	for _, check := range []func() error{
		func() error { return jwtcheck.NotBefore(claims, now) },
		func() error { return checkIssuer(claims, s.Config().Issuer) },
		func() error { return jwtcheck.Audience(claims, s.Config().Audience) },
		func() error { return checkIntrospectedKind(claims) },
	} {
		if err := check(); err != nil {
			return nil, refuse(TokenInvalid, "%w", err)
		}
	}
	t.Issuer = s.Config().Issuer
	t.ClaimsJSON = string(body)
	return t, nil
}

// checkIssuer compares `iss` where the answer has one.
func checkIssuer(claims jose.Object, issuer string) error {
	value, ok := claims.Get("iss")
	if !ok || value.IsNull() {
		return nil
	}
	got, err := value.Text()
	if err != nil {
		return fmt.Errorf("iss: %w", err)
	}
	return jwtcheck.SameIssuer(got, issuer)
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
			return fmt.Errorf("%s says that it is no access token", name)
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
