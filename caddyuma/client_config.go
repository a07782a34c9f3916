// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// ClientConfig makes the handler an UMA client for people in a browser.
type ClientConfig struct {
	// Whether the gateway obtains the requesting party token of a person who is
	// logged in with `gluu_openid_connect`. It keeps the token in the session.
	// Default: false, the answer is a permission ticket.
	ObtainRPT bool `json:"obtain_rpt,omitempty"`

	// Whether a request to a protected path without a session starts a login,
	// where `gluu_openid_connect` would let it pass (`unauthenticated pass`,
	// `no_auth`). Default: false, the answer is a permission ticket.
	RequireIDToken bool `json:"require_id_token,omitempty"`

	// What the authorization server is told about the person (`claim_token`):
	// `id_token`, the ID token as the OpenID Provider issued it, or a CEL
	// expression over `id_token`, `userinfo` and `request` (`method`, `path`,
	// `headers`) that yields an object. Default: nothing.
	PushedClaims string `json:"pushed_claims,omitempty"`

	// How the object of an expression is signed: `ES256`, `RS256`, `EdDSA` with the
	// signing key of the app, or `none`. Default: `ES256`, or what the signing key
	// is for.
	PushedClaimsAlg string `json:"pushed_claims_alg,omitempty"`

	// What the authorization server takes the claim token for. Default:
	// `http://openid.net/specs/openid-connect-core-1_0.html#IDToken`.
	ClaimTokenFormat string `json:"claim_token_format,omitempty"`

	// Who asks for the token: `client`, the gateway with its client
	// authentication, or `access_token`, the person with the access token of their
	// session, as Keycloak wants it. Default: `client`.
	RequestingParty string `json:"requesting_party,omitempty"`

	// Whether a person who opens a page is sent to the authorization server if that
	// wants to know more about them (`need_info`). Default: false, the answer is 403.
	RedirectClaimGatheringURL bool `json:"redirect_claim_gathering_url,omitempty"`

	// The path of this site that the authorization server sends people back to.
	// Register it there, behind the origin, as a claims redirect URI. Required with
	// `redirect_claim_gathering_url`.
	ClaimsRedirectPath string `json:"claims_redirect_path,omitempty"`
}

// Who asks for a requesting party token.
const (
	partyClient      = "client"
	partyAccessToken = "access_token"
)

// wholeIDToken is the value of pushed_claims for the OpenID Provider's own.
const wholeIDToken = "id_token"

// idTokenFormat is the claim token format of an ID token (UMA 2.0 Grant,
// section 3.3.1).
const idTokenFormat = "http://openid.net/specs/openid-connect-core-1_0.html#IDToken"

// claimVars are the variables of pushed_claims.
var claimVars = []string{"id_token", "userinfo", "request"}

// pushesExpression reports whether the claims are the value of an expression.
func (c *ClientConfig) pushesExpression() bool {
	return c.PushedClaims != "" && c.PushedClaims != wholeIDToken
}

// checkClient refuses options that are wrong, or have no effect.
func (c *ClientConfig) checkClient() error {
	for _, option := range []struct {
		name    string
		written bool
	}{
		{"pushed_claims", c.PushedClaims != ""}, {"pushed_claims_alg", c.PushedClaimsAlg != ""},
		{"claim_token_format", c.ClaimTokenFormat != ""}, {"requesting_party", c.RequestingParty != ""},
		{"redirect_claim_gathering_url", c.RedirectClaimGatheringURL},
	} {
		if option.written && !c.ObtainRPT {
			return fmt.Errorf("%s has no effect without 'obtain_rpt': add that, or remove this", option.name)
		}
	}
	switch c.RequestingParty {
	case "", partyClient, partyAccessToken:
	default:
		return fmt.Errorf("requesting_party is client or access_token, not %q", c.RequestingParty)
	}
	if err := c.checkRedirect(); err != nil {
		return err
	}
	if c.pushesExpression() {
		if _, err := headers.CompileObject(c.PushedClaims, claimVars...); err != nil {
			return fmt.Errorf("pushed_claims: %w", err)
		}
	}
	switch c.PushedClaimsAlg {
	case "", headers.AlgorithmES256, headers.AlgorithmRS256, headers.AlgorithmEdDSA, headers.AlgorithmNone:
	default:
		return fmt.Errorf("pushed_claims_alg is ES256, RS256, EdDSA or none, not %q", c.PushedClaimsAlg)
	}
	if c.PushedClaimsAlg != "" && !c.pushesExpression() {
		return errors.New("pushed_claims_alg has no effect: only the value of an expression is signed, and pushed_claims is none")
	}
	if c.ClaimTokenFormat == "" {
		return nil
	}
	if c.PushedClaims == "" {
		return errors.New("claim_token_format has no effect without 'pushed_claims': add that, or remove this")
	}
	if u, err := url.Parse(c.ClaimTokenFormat); err != nil || !u.IsAbs() {
		return fmt.Errorf("claim_token_format %q is not an absolute URI, such as %s", c.ClaimTokenFormat, idTokenFormat)
	}
	return nil
}

// checkRedirect refuses a way back that no request can come by in exactly this
// spelling.
func (c *ClientConfig) checkRedirect() error {
	path := c.ClaimsRedirectPath
	switch {
	case path == "" && c.RedirectClaimGatheringURL:
		return errors.New("redirect_claim_gathering_url needs 'claims_redirect_path <path>': people come back there")
	case path == "":
		return nil
	case !c.RedirectClaimGatheringURL:
		return errors.New("claims_redirect_path has no effect without 'redirect_claim_gathering_url': add that, or remove this")
	case path == "/":
		return errors.New(`claims_redirect_path "/" is the front page, which no one could open any more; choose a path of its own, as in /claims`)
	}
	if err := pathmatch.CheckFixed(path); err != nil {
		return fmt.Errorf("claims_redirect_path %q %w", path, err)
	}
	return nil
}
