// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// tokenAnswer is a successful answer of the token endpoint (RFC 6749 section 5.1). It says
// always for how long and for what the token is good.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token,omitempty"`
}

// token is the token endpoint.
func (c *call) token() error {
	form, err := c.readForm()
	if err != nil {
		return err
	}
	grant := form.Get("grant_type")
	if err := c.checkGrant(grant); err != nil { // before a secret is checked
		return err
	}
	client, err := c.authenticate(form)
	if err != nil {
		return err
	}
	answer, err := c.exchange(grant, client, form)
	if err != nil {
		return err
	}
	c.countIssued(grant, client)
	c.json(http.StatusOK, answer)
	return nil
}

// exchange gives an authenticated client what it asks for. A code or refresh token that was
// used before is noticed even if the request is refused for another reason.
func (c *call) exchange(grant string, client *authcore.Client, form url.Values) (*tokenAnswer, error) {
	var refused error
	if client.HasGrant(grant) {
		c.touch(c.r.Context(), client)
	} else {
		refused = refuse(http.StatusBadRequest, authcore.UnauthorizedClient, reasonGrantNotAllowed, "this client does not have this grant")
	}
	switch {
	case grant == authcore.GrantAuthorizationCode:
		return c.redeem(client, form, refused)
	case grant == authcore.GrantRefreshToken:
		return c.refresh(client, form, refused)
	case refused != nil:
		return nil, refused
	}
	return c.clientCredentials(client, form)
}

// checkGrant refuses grants that no client can have. There is one list for the server, one
// for the client, and no other place where a grant is decided about.
func (c *call) checkGrant(grant string) error {
	if grant == "" {
		return malformed("the parameter grant_type is missing")
	}
	served := slices.DeleteFunc(c.grants(), func(g string) bool { return g == authcore.GrantImplicit })
	if !slices.Contains(served, grant) {
		return refuse(http.StatusBadRequest, authcore.UnsupportedGrantType, reasonGrant, "this server serves "+strings.Join(served, ", "))
	}
	return nil
}

func (c *call) countIssued(grant string, client *authcore.Client) {
	format := "opaque"
	if c.isJWT(client) {
		format = "jwt"
	}
	c.Metrics.issued.WithLabelValues(grant, format).Inc()
}

// clientCredentials issues a token to the client itself (RFC 6749 section 4.4). There is no
// refresh token with it (section 4.4.3).
func (c *call) clientCredentials(client *authcore.Client, form url.Values) (*tokenAnswer, error) {
	if client.Public {
		return nil, refuse(http.StatusBadRequest, authcore.UnauthorizedClient, reasonGrantNotAllowed, "a public client cannot authenticate, so it has no tokens of its own")
	}
	scopes, resources, err := c.asked(client, form)
	if err != nil {
		return nil, err
	}
	terms := authcore.Terms{AccessTTL: c.TokenTTL}
	if c.isJWT(client) {
		terms.Sign = c.sign
	}
	token := &authcore.AccessToken{
		Issuer: c.Issuer.Name, Service: c.Service, ClientID: client.ClientID, Subject: client.ClientID, // RFC 9068 section 2.2
		Scopes: scopes, Resources: resources,
	}
	text, err := c.Store.IssueToken(c.r.Context(), token, terms, c.MaxTokens)
	if err != nil {
		return nil, err
	}
	return c.answer(&authcore.Tokens{Access: token, AccessText: text}), nil
}

// asked are the scopes and resources that a client asks for, or those that it gets if it
// asks for none.
func (c *call) asked(client *authcore.Client, form url.Values) (scopes, resources []string, err error) {
	asked, err := authcore.ParseScopes(form.Get("scope"))
	if err != nil {
		return nil, nil, err
	}
	if scopes, err = authcore.AllowedScopes(asked, c.scopesOf(client)); err != nil {
		return nil, nil, err
	}
	resources, err = authcore.AllowedResources(form["resource"], c.resourcesOf(client))
	if len(c.Resources) == 0 {
		resources = nil // the issuer, see AccessToken.Audience
	}
	return scopes, resources, err
}

func (c *call) answer(tokens *authcore.Tokens) *tokenAnswer {
	since := tokens.Access.IssuedAt
	if tokens.Repeated {
		since = c.Now()
	}
	return &tokenAnswer{
		AccessToken: tokens.AccessText, TokenType: "Bearer", ExpiresIn: tokens.Access.ExpiresIn(since),
		RefreshToken: tokens.RefreshText, Scope: strings.Join(tokens.Access.Scopes, " "),
	}
}

// redeem exchanges an authorization code (RFC 6749 section 4.1.3).
func (c *call) redeem(client *authcore.Client, form url.Values, refused error) (*tokenAnswer, error) {
	if !form.Has("code") {
		return nil, malformed("the parameter code is missing")
	}
	resources, err := c.grantedResources(client, form)
	tokens, err := c.Store.RedeemCode(c.r.Context(), form.Get("code"), authcore.Redemption{
		Issuer: c.Issuer.Name, Service: c.Service, ClientID: client.ClientID,
		RedirectURI: form.Get("redirect_uri"), Verifier: form.Get("code_verifier"), Resources: resources,
		Refuse: cmp.Or(refused, err),
		Accept: func(g *authcore.Grant) (authcore.Terms, error) {
			g.Scopes = within(g.Scopes, c.scopesOf(client))
			return c.terms(client), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return c.userAnswer(client, tokens, tokens.Grant.Nonce)
}

// refresh exchanges a refresh token (RFC 6749 section 6).
func (c *call) refresh(client *authcore.Client, form url.Values, refused error) (*tokenAnswer, error) {
	if !form.Has("refresh_token") {
		return nil, malformed("the parameter refresh_token is missing")
	}
	resources, wrongResource := c.grantedResources(client, form)
	scopes, wrongScope := authcore.ParseScopes(form.Get("scope"))
	tokens, err := c.Store.RotateRefresh(c.r.Context(), form.Get("refresh_token"), authcore.Rotation{
		Issuer: c.Issuer.Name, Service: c.Service, ClientID: client.ClientID, Scopes: scopes, Resources: resources,
		Grace: c.Refresh.Grace, Refuse: cmp.Or(refused, wrongResource, wrongScope),
		Accept: func(g *authcore.Grant) (authcore.Terms, error) {
			g.Scopes = within(g.Scopes, c.scopesOf(client))
			return c.terms(client), nil
		},
	})
	if err != nil {
		return nil, err
	}
	return c.userAnswer(client, tokens, "") // no nonce: OpenID Connect Core section 12.2
}

// grantedResources are the resources that narrow a token, as the server spells them; nil
// without any.
func (c *call) grantedResources(client *authcore.Client, form url.Values) ([]string, error) {
	if len(form["resource"]) == 0 {
		return nil, nil
	}
	resources, err := authcore.AllowedResources(form["resource"], c.resourcesOf(client))
	if len(c.Resources) == 0 {
		return nil, err
	}
	return resources, err
}

// userAnswer is the answer with tokens that a person has granted.
func (c *call) userAnswer(client *authcore.Client, tokens *authcore.Tokens, nonce string) (*tokenAnswer, error) {
	answer := c.answer(tokens)
	if !c.isOpenID() || !slices.Contains(tokens.Access.Scopes, openIDScope) {
		return answer, nil
	}
	id, err := c.idToken(client, tokens, nonce)
	if err != nil {
		return nil, unavailable(reasonInternal, err)
	}
	answer.IDToken = id
	return answer, nil
}

// within are those of some scopes that are allowed.
func within(scopes, allowed []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return !slices.Contains(allowed, scope) })
}
