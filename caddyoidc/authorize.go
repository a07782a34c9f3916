// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/jose"
)

// ask is one authorization request: what is asked of the person.
type ask struct {
	attempt     *session.Attempt
	redirectURI string
	maxAge      int64  // max_age in seconds, 0: not sent
	prompt      string // "none", "login" or ""
	idTokenHint string
	loginHint   string
}

// ownParams are the parameters that the gateway sets itself. A configuration
// that set one of them would undo a check.
var ownParams = map[string]bool{
	"response_type": true, "response_mode": true, "client_id": true, "redirect_uri": true, "scope": true, "state": true,
	"nonce": true, "code_challenge": true, "code_challenge_method": true, "acr_values": true, "claims": true,
	"max_age": true, "prompt": true, "id_token_hint": true, "login_hint": true, "resource": true, "request": true, "request_uri": true,
}

// authorizationURL returns where the browser is sent. Where it is required, or
// wanted, the parameters are pushed to the provider first (RFC 9126).
func (rp *relyingParty) authorizationURL(ctx context.Context, a ask) (string, error) {
	endpoint, err := rp.op.Endpoint("authorization_endpoint")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnavailable, err)
	}
	clientID := rp.op.ClientID()
	if clientID == "" {
		return "", fmt.Errorf("%w: the gateway is not registered there yet", errUnavailable)
	}
	query, err := rp.authorizationParams(a, clientID)
	if err != nil {
		return "", err
	}
	if rp.pushed == pushedOn || rp.pushed == pushedAuto && rp.op.Metadata("require_pushed_authorization_requests") {
		requestURI, err := rp.push(ctx, query)
		if err != nil {
			return "", err
		}
		query = url.Values{"client_id": {clientID}, "request_uri": {requestURI}}
	}
	return withQuery(endpoint, query), nil
}

// withQuery adds parameters to an address that may have some (RFC 6749, 3.1).
func withQuery(address string, query url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + query.Encode()
}

func (rp *relyingParty) authorizationParams(a ask, clientID string) (url.Values, error) {
	query := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {a.redirectURI},
		"scope": {strings.Join(rp.scopes, " ")}, "state": {a.attempt.State()}, "nonce": {a.attempt.Nonce()},
		"code_challenge": {a.attempt.Challenge()}, "code_challenge_method": {"S256"},
	}
	for _, p := range rp.params {
		query.Add(p.name, p.value)
	}
	if len(rp.resources) > 0 {
		query["resource"] = rp.resources
	}
	if acrs := a.attempt.ACRs; len(acrs) > 0 {
		query.Set("acr_values", strings.Join(acrs, " "))
		if rp.acrEssential {
			claims, err := essentialACR(acrs)
			if err != nil {
				return nil, err
			}
			query.Set("claims", claims)
		}
	}
	if a.maxAge > 0 {
		query.Set("max_age", strconv.FormatInt(a.maxAge, 10))
	}
	for name, value := range map[string]string{"prompt": a.prompt, "id_token_hint": a.idTokenHint, "login_hint": a.loginHint} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query, nil
}

// essentialACR asks for one of the contexts as an essential claim (OpenID
// Connect Core, section 5.5.1.1): a provider that cannot do it must say so,
// which acr_values alone does not oblige it to.
func essentialACR(acrs []string) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"id_token": map[string]any{"acr": map[string]any{"essential": true, "values": acrs}},
	})
	return string(claims), err
}

// push hands the parameters to the provider (RFC 9126, section 2).
func (rp *relyingParty) push(ctx context.Context, query url.Values) (string, error) {
	body, status, err := rp.post(ctx, "pushed_authorization_request_endpoint", query)
	if err != nil {
		return "", err
	}
	answer, err := jose.ParseObject(body)
	if err != nil || status != http.StatusCreated && status != http.StatusOK {
		return "", fmt.Errorf("%w: pushed authorization request endpoint, status %d", errProtocol, status)
	}
	requestURI, err := answer.Text("request_uri")
	if err != nil || requestURI == "" {
		return "", fmt.Errorf("%w: pushed authorization request endpoint: request_uri is missing", errProtocol)
	}
	return requestURI, nil
}

func setBody(req *http.Request, body string) {
	req.Body = io.NopCloser(strings.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	req.ContentLength = int64(len(body))
}
