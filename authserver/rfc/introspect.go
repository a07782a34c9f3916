// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/streams"
	tokens "github.com/caddy-gluu/gateway/internal/token"
)

// introspection is what an authenticated client learns about a token (RFC 7662 section
// 2.2, RFC 9470 section 6.2).
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	ExpiresAt int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
}

// introspect tells an authenticated client about a token. Of one that is not active it
// tells nothing else, whatever the cause (RFC 7662 section 2.2).
func (c *call) introspect() error {
	client, form, err := c.tokenRequest()
	if err != nil {
		return err
	}
	if client.Public {
		return unauthenticated("a public client cannot introspect tokens")
	}
	token, err := c.FindToken(c.r.Context(), form.Get("token"))
	if isUnknown(err) {
		c.json(http.StatusOK, introspection{})
		return nil
	}
	if err != nil {
		return err
	}
	text, err := c.Introspection(token)
	if err != nil {
		return unavailable(reasonInternal, err)
	}
	c.raw(http.StatusOK, text)
	return nil
}

// Introspection is what the introspection endpoint answers about an active token.
func (s *Server) Introspection(token *authcore.AccessToken) ([]byte, error) {
	return merge(introspectionOf(token), token.Claims)
}

func introspectionOf(token *authcore.AccessToken) introspection {
	answer := introspection{
		Active: true, Scope: strings.Join(token.Scopes, " "), ClientID: token.ClientID, TokenType: "Bearer",
		IssuedAt: token.IssuedAt.Unix(), Subject: token.Subject, Audience: token.Audience(), Issuer: token.Issuer,
	}
	if !token.ExpiresAt.IsZero() {
		answer.ExpiresAt = token.ExpiresAt.Unix()
	}
	if g := token.Grant; g != nil {
		answer.ACR = g.ACR
		if !g.AuthTime.IsZero() {
			answer.AuthTime = g.AuthTime.Unix()
		}
	}
	return answer
}

// tokenRequest reads a request about a token.
func (c *call) tokenRequest() (*authcore.Client, url.Values, error) {
	form, err := c.readForm()
	if err != nil {
		return nil, nil, err
	}
	if form.Get("token") == "" {
		return nil, nil, malformed("the parameter token is missing")
	}
	client, err := c.authenticate(form)
	return client, form, err
}

// revoke takes a token back (RFC 7009). A token that is not valid any
// longer, or never was, is revoked already; one of another client is none of
// this client's business; and when the revocation could not be recorded the
// client is told that, or it would believe that the token is dead. With a refresh token
// ends all that was granted with it.
func (c *call) revoke() error {
	client, form, err := c.tokenRequest()
	if err != nil {
		return err
	}
	if err := c.revokeToken(client, form.Get("token")); err != nil && !isUnknown(err) {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) revokeToken(client *authcore.Client, text string) error {
	ctx := c.r.Context()
	token, err := c.issuedToken(ctx, text, func(string, string) {})
	if err == nil {
		if token.ClientID != client.ClientID {
			return foreignToken()
		}
		if err := c.Store.RevokeToken(ctx, token); err != nil {
			return err
		}
		// A gateway in this process that asks by HTTP would find out late.
		streams.Open.EndTokens(func(_ *tokens.Token, raw string) bool { return raw == text })
		c.emitRevoked(token.ClientID, token.Subject, token.ExpiresAt.Unix())
		return nil
	}
	if !isUnknown(err) {
		return err
	}
	_, grant, err := c.Store.FindAnyRefresh(ctx, c.Issuer.Name, text)
	if err != nil {
		return err
	}
	if grant.ClientID != client.ClientID {
		return foreignToken()
	}
	if err := c.Store.EndGrant(ctx, grant.ID); err != nil {
		return err
	}
	c.emitRevoked(grant.ClientID, grant.Subject, grant.Expires.Unix())
	return nil
}

func foreignToken() *refusal {
	return refuse(http.StatusBadRequest, authcore.InvalidGrant, reasonForeignToken, "the token was issued to another client")
}

func (c *call) emitRevoked(clientID, subject string, expires int64) {
	c.Metrics.revoked.Inc()
	if !c.Events.Enabled(events.TokenRevoked) {
		return
	}
	c.Events.Emit(events.TokenRevoked, map[string]any{
		"issuer": c.Issuer.Name, "client_id": clientID, "subject": subject, "expires_at": expires,
	})
}
