// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// relyingParty is the gateway as a client of one OpenID Provider: its requests
// to the endpoints, and what their answers have to look like.
type relyingParty struct {
	op           openIDProvider
	verifier     *idTokenVerifier
	scopes       []string
	resources    []string
	params       []param // fixed parameters of the authorization request
	pushed       pushedAuthorization
	acrEssential bool
	now          func() time.Time
}

// openIDProvider is what the relying party needs of a provider of the app.
type openIDProvider interface {
	Name() string
	Issuer() string
	ClientID() string

	// Endpoint returns the address of an endpoint by its name in the metadata,
	// and an error as long as the metadata is unavailable.
	Endpoint(name string) (string, error)

	// Metadata reports whether the metadata has a boolean member that is true.
	Metadata(flag string) bool

	// Call sends a request under the endpoint's circuit breaker. The error means
	// that the provider is unavailable.
	Call(ctx context.Context, endpoint string, req *http.Request) (body []byte, status int, err error)

	// AuthenticateClient adds the client authentication to a request and the
	// form that will be its body.
	AuthenticateClient(req *http.Request, form url.Values) error
}

type param struct{ name, value string }

type pushedAuthorization string

const (
	pushedAuto pushedAuthorization = "auto" // where the metadata requires it
	pushedOn   pushedAuthorization = "on"
	pushedOff  pushedAuthorization = "off"
)

var (
	// errUnavailable says that the OpenID Provider did not answer: 503.
	errUnavailable = errors.New("the OpenID Provider is unavailable")

	// errProtocol says that the OpenID Provider answered something that breaks
	// the rules, or refused what should be right: 502.
	errProtocol = errors.New("the OpenID Provider's answer cannot be used")

	// errUnusable says, beside errProtocol, that an answer decides nothing: it is not
	// of the protocol (a page of a proxy, for example), or it is about the gateway's
	// own credentials.
	errUnusable = errors.New("the answer says nothing about the grant")

	// errOtherSubject says that userinfo is about another person, or names none.
	errOtherSubject = errors.New("sub is not that of the ID token")

	// errInvalidGrant says that a code or refresh token is not good, or no longer.
	errInvalidGrant = errors.New("invalid_grant")
)

// tokenAnswer is a successful answer of the token endpoint.
type tokenAnswer struct {
	access  session.AccessToken
	idToken string
	refresh string
	scoped  bool // the answer said which scopes were granted
}

// exchange redeems an authorization code (RFC 6749, section 4.1.3).
func (rp *relyingParty) exchange(ctx context.Context, code, redirectURI, verifier string) (*tokenAnswer, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	}
	return rp.token(ctx, form)
}

// refresh uses a refresh token (RFC 6749, section 6).
func (rp *relyingParty) refresh(ctx context.Context, refreshToken string) (*tokenAnswer, error) {
	return rp.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}})
}

func (rp *relyingParty) token(ctx context.Context, form url.Values) (*tokenAnswer, error) {
	if len(rp.resources) > 0 {
		form["resource"] = rp.resources // RFC 8707, section 2.2
	}
	body, status, err := rp.post(ctx, "token_endpoint", form)
	if err != nil {
		return nil, err
	}
	answer, err := jose.ParseObject(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: token endpoint, status %d: %w", errProtocol, errUnusable, status, err)
	}
	if status != http.StatusOK {
		code, _ := answer.Text("error")
		switch code {
		case errInvalidGrant.Error():
			return nil, errInvalidGrant
		case "", "invalid_client", "server_error", "temporarily_unavailable":
			return nil, fmt.Errorf("%w: %w: token endpoint, status %d, error %.100q", errProtocol, errUnusable, status, code)
		}
		return nil, fmt.Errorf("%w: token endpoint, status %d, error %.100q", errProtocol, status, code)
	}
	parsed, err := rp.parseToken(answer)
	if err != nil {
		return nil, fmt.Errorf("%w: token endpoint: %w", errProtocol, err)
	}
	return parsed, nil
}

// parseToken reads the answer of RFC 6749, section 5.1. expires_in is
// recommended there, not required.
func (rp *relyingParty) parseToken(answer jose.Object) (*tokenAnswer, error) {
	var parsed tokenAnswer
	tokenType, err := answer.Text("token_type")
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(tokenType, "Bearer") {
		return nil, fmt.Errorf("token_type is %.40q, not Bearer", tokenType)
	}
	if parsed.access.Token, err = answer.Text("access_token"); err != nil {
		return nil, err
	}
	if parsed.access.Token == "" {
		return nil, errors.New("access_token is missing")
	}
	if parsed.access.ExpiresAt, err = rp.expiry(answer); err != nil {
		return nil, err
	}
	if parsed.idToken, err = answer.Text("id_token"); err != nil {
		return nil, err
	}
	if parsed.refresh, err = answer.Text("refresh_token"); err != nil {
		return nil, err
	}
	scope, err := answer.Text("scope")
	if err != nil {
		return nil, err
	}
	// An answer without scope has granted what was asked for.
	parsed.access.Scopes, parsed.scoped = rp.scopes, scope != ""
	if parsed.scoped {
		parsed.access.Scopes = strings.Fields(scope)
	}
	return &parsed, nil
}

// maxLifetime bounds expires_in, so that no arithmetic overflows.
const maxLifetime = 10 * 365 * 24 * 3600

func (rp *relyingParty) expiry(answer jose.Object) (time.Time, error) {
	value, ok := answer.Get("expires_in")
	if !ok || value.IsNull() {
		return time.Time{}, nil
	}
	// A number in quotes is wrong, and common enough to be read.
	seconds, err := strconv.ParseFloat(strings.Trim(value.JSON(), `"`), 64)
	if err != nil || !(seconds > 0) {
		return time.Time{}, fmt.Errorf("expires_in is %.40s, not a number of seconds", value.JSON())
	}
	return rp.now().Add(time.Duration(min(seconds, maxLifetime)) * time.Second), nil
}

// userinfo fetches what the provider says about the person (OpenID Connect
// Core, section 5.3). The subject must be that of the ID token: an access token
// of another person was substituted otherwise (section 5.3.2). A provider without
// the endpoint says nothing: nil.
func (rp *relyingParty) userinfo(ctx context.Context, accessToken, subject string) ([]byte, error) {
	endpoint, err := rp.op.Endpoint("userinfo_endpoint")
	if errors.Is(err, errNoEndpoint) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	req.Header.Set("Accept", "application/json, application/jwt")
	body, status, err := rp.op.Call(ctx, "userinfo_endpoint", req)
	if err != nil {
		return nil, unanswered("userinfo endpoint", err)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%w: userinfo endpoint, status %d", errProtocol, status)
	}
	claims, text, err := rp.parseUserinfo(ctx, body)
	if err == nil {
		var sub string
		if sub, err = claims.Text("sub"); err == nil && (sub == "" || sub != subject) {
			err = errOtherSubject
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: userinfo endpoint: %w", errProtocol, err)
	}
	return text, nil
}

// parseUserinfo reads a JSON object, or a JWT with the same claims (Core,
// section 5.3.2). Which of the two it is, the first byte tells.
func (rp *relyingParty) parseUserinfo(ctx context.Context, body []byte) (jose.Object, []byte, error) {
	if trimmed := strings.TrimSpace(string(body)); trimmed != "" && trimmed[0] != '{' {
		jwt, err := jwtcheck.Parse(trimmed, rp.verifier.maxLength)
		if err != nil {
			return jose.Object{}, nil, fmt.Errorf("%w: %w", errUnusable, err)
		}
		claims, err := rp.verifier.verifyJWT(ctx, jwt, []string{"", "jwt"})
		if err != nil {
			return jose.Object{}, nil, err
		}
		if err := rp.verifier.checkAudience(claims); err != nil {
			return jose.Object{}, nil, err
		}
		return claims, jwt.Payload, nil
	}
	claims, err := jose.ParseObject(body)
	if err != nil {
		err = fmt.Errorf("%w: %w", errUnusable, err)
	}
	return claims, body, err
}

// revoke tells the provider that a refresh token is not needed any more
// (RFC 7009). What comes of it is only logged by the caller.
func (rp *relyingParty) revoke(ctx context.Context, refreshToken string) error {
	_, status, err := rp.post(ctx, "revocation_endpoint", url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%w: revocation endpoint, status %d", errProtocol, status)
	}
	return err
}

// post sends a form with the client's authentication to an endpoint.
func (rp *relyingParty) post(ctx context.Context, name string, form url.Values) (body []byte, status int, err error) {
	endpoint, err := rp.op.Endpoint(name)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errProtocol, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if err := rp.op.AuthenticateClient(req, form); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	setBody(req, form.Encode())
	if body, status, err = rp.op.Call(ctx, name, req); err != nil {
		return nil, 0, unanswered(name, err)
	}
	return body, status, nil
}

// unanswered tells no answer from one that cannot be read, because it is too large
// for example: asking again would not help there.
func unanswered(endpoint string, err error) error {
	if e, ok := errors.AsType[*token.Error](err); ok && e.Reason == token.Unreadable {
		return fmt.Errorf("%w: %w: %s: %w", errProtocol, errUnusable, endpoint, err)
	}
	return fmt.Errorf("%w: %w", errUnavailable, err)
}
