// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

const (
	jtiBytes = 16

	// accessTokenType is the typ of a JWT access token (RFC 9068 section 2.1).
	accessTokenType = "at+jwt"
)

// claims are those of a JWT access token (RFC 9068 section 2.2).
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope,omitempty"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`

	// Grant and Service are for this server: with the grant the token ends.
	Grant   string `json:"grant,omitempty"`
	Service string `json:"service,omitempty"`
}

// sign returns a token as a signed JWT. Without resources its audience is the issuer: the
// default resource of RFC 9068 section 3, since the APIs are those behind the
// gateway.
func (s *Server) sign(token *authcore.AccessToken) (string, error) {
	jti := authcore.RandomText(jtiBytes)
	token.ID = authcore.JWTTokenID(token.Issuer, jti)
	payload, err := merge(claims{
		Issuer: token.Issuer, Subject: token.Subject, Audience: token.Audience(), ClientID: token.ClientID,
		Scope:    strings.Join(token.Scopes, " "),
		IssuedAt: token.IssuedAt.Unix(), ExpiresAt: token.ExpiresAt.Unix(),
		ID: jti, Grant: token.GrantID, Service: token.Service,
	}, token.Claims)
	if err != nil {
		return "", err
	}
	return jose.Sign(payload, s.Key, SigningAlgorithm, s.Key.ID(), accessTokenType)
}

// merge writes an object with further members, none of which replaces one of the object.
func merge(object any, further map[string]json.RawMessage) ([]byte, error) {
	text, err := json.Marshal(object)
	if err != nil || len(further) == 0 {
		return text, err
	}
	members := make(map[string]json.RawMessage)
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	for name, value := range further {
		if _, taken := members[name]; !taken {
			members[name] = value
		}
	}
	return json.Marshal(members)
}

// isJWT tells the two formats apart: no opaque token of this server has two dots. One that was
// imported may.
func isJWT(text string) bool { return strings.Count(text, ".") == 2 }

// FindToken returns the token of this server that a text is, and authcore.ErrNotFound if it
// is none, or was revoked, or has expired, or must not be used any longer because its
// client or its grant is gone. Scopes that the client has lost since are removed from it.
func (s *Server) FindToken(ctx context.Context, text string) (*authcore.AccessToken, error) {
	return s.FindTokenWith(ctx, text, func(string, string) {})
}

// FindTokenWith is FindToken, and says of what kind and which records the answer depends on,
// each before it is read, in addition to the token's own.
func (s *Server) FindTokenWith(ctx context.Context, text string, depends func(kind, id string)) (*authcore.AccessToken, error) {
	token, err := s.issuedToken(ctx, text, depends)
	if err != nil {
		return nil, err
	}
	if token.IsExpired(s.Now()) || !authcore.IsGoodAt(token.Service, s.Service, s.OwnService) {
		return nil, authcore.ErrNotFound
	}
	depends(authcore.ClientChanged, token.ClientID)
	client, err := s.FindClient(ctx, token.ClientID)
	if err != nil {
		return nil, err
	}
	if len(client.Grants) == 0 {
		return nil, authcore.ErrNotFound
	}
	token.Consumer = client.Consumer
	token.Scopes = within(token.Scopes, s.scopesOf(client))
	return token, nil
}

// KeyOf returns the key of the record that revokes a token.
func (s *Server) KeyOf(text string) string {
	id := authcore.OpaqueTokenID(s.Issuer.Name, text)
	if isJWT(text) {
		if token := s.parseJWT(text); token != nil {
			id = token.ID
		}
	}
	return string(id[:])
}

// issuedToken returns the token that a text is, expired or not.
func (s *Server) issuedToken(ctx context.Context, text string, depends func(kind, id string)) (*authcore.AccessToken, error) {
	if len(text) > authcore.MaxToken {
		return nil, authcore.ErrNotFound
	}
	if isJWT(text) {
		if token := s.parseJWT(text); token != nil {
			depends(authcore.GrantChanged, token.GrantID)
			return token, s.Store.CheckJWT(ctx, token)
		}
	}
	return s.Store.FindToken(ctx, s.Issuer.Name, text, depends)
}

// parseJWT returns what a JWT of this server says, and nil if it is none.
func (s *Server) parseJWT(text string) *authcore.AccessToken {
	signed, err := jose.Parse(text, authcore.MaxToken)
	if err != nil || signed.Header.Type != accessTokenType || signed.Verify(s.public, SigningAlgorithm) != nil {
		return nil
	}
	var c claims
	if json.Unmarshal(signed.Payload, &c) != nil || c.Issuer != s.Issuer.Name || c.ID == "" {
		return nil
	}
	token := &authcore.AccessToken{
		ID: authcore.JWTTokenID(c.Issuer, c.ID), Issuer: c.Issuer, Service: c.Service, ClientID: c.ClientID, Subject: c.Subject,
		GrantID: c.Grant, IssuedAt: time.Unix(c.IssuedAt, 0), ExpiresAt: time.Unix(c.ExpiresAt, 0), JWT: true,
	}
	if len(c.Audience) != 1 || c.Audience[0] != c.Issuer {
		token.Resources = c.Audience
	}
	if c.Scope != "" {
		token.Scopes = strings.Split(c.Scope, " ")
	}
	return token
}
