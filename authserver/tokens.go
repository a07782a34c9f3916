// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

const (
	// tokenBytes is the randomness of an opaque token: guessing one is as
	// hard as guessing a key (RFC 6819 section 5.1.4.2.2 asks for 16).
	tokenBytes = 32
	jtiBytes   = 16

	// maxToken is the longest token that is looked at.
	maxToken = 16 << 10

	// accessTokenType is the typ of a JWT access token (RFC 9068 section 2.1).
	accessTokenType = "at+jwt"
)

// newToken begins a token of a client. The client is the subject of its own
// token (RFC 9068 section 2.2).
func (p *protocol) newToken(c *client, scopes []string) *Token {
	now := p.now().Truncate(time.Second)
	return &Token{
		Issuer:   p.issuer.name,
		ClientID: c.id, Subject: c.id,
		Scopes:    scopes,
		IssuedAt:  now,
		ExpiresAt: now.Add(p.ttl),
	}
}

// mintOpaque returns a random text and records the token that it is.
func (p *protocol) mintOpaque(ctx context.Context, token *Token) (string, error) {
	text := randomText(tokenBytes)
	token.ID = opaqueTokenID(p.issuer.name, text)
	return text, p.storage.PutToken(ctx, token)
}

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
}

// mintJWT returns the token as a signed JWT. Its audience is the issuer: the
// default resource of RFC 9068 section 3, since the APIs are those behind the
// gateway.
func (p *protocol) mintJWT(token *Token) (string, error) {
	payload, err := json.Marshal(claims{
		Issuer: token.Issuer, Subject: token.Subject, Audience: []string{token.Issuer}, ClientID: token.ClientID,
		Scope:    strings.Join(token.Scopes, " "),
		IssuedAt: token.IssuedAt.Unix(), ExpiresAt: token.ExpiresAt.Unix(),
		ID: randomText(jtiBytes),
	})
	if err != nil {
		return "", err
	}
	return jose.Sign(payload, p.key, signingAlgorithm, p.key.ID(), accessTokenType)
}

// isJWT tells the two formats apart: no opaque token has a dot.
func isJWT(text string) bool { return strings.Contains(text, ".") }

// findToken returns the token of this server that the text is, and nil if it
// is none or was revoked. The error says that it could not be found out.
func (p *protocol) findToken(ctx context.Context, text string) (*Token, error) {
	if len(text) > maxToken {
		return nil, nil
	}
	if isJWT(text) {
		token := p.parseJWT(text)
		if token == nil {
			return nil, nil
		}
		record, err := p.storage.Token(ctx, token.ID)
		switch {
		case errors.Is(err, ErrNoToken):
			return token, nil
		case err != nil:
			return nil, err
		case record.Revoked:
			return nil, nil
		}
		return token, nil
	}
	token, err := p.storage.Token(ctx, opaqueTokenID(p.issuer.name, text))
	if errors.Is(err, ErrNoToken) {
		return nil, nil
	}
	return token, err
}

// parseJWT returns what a JWT of this server says, and nil if it is none.
func (p *protocol) parseJWT(text string) *Token {
	signed, err := jose.Parse(text, maxToken)
	if err != nil || signed.Header.Type != accessTokenType || signed.Verify(p.public, signingAlgorithm) != nil {
		return nil
	}
	var c claims
	if json.Unmarshal(signed.Payload, &c) != nil || c.Issuer != p.issuer.name || c.ID == "" {
		return nil
	}
	token := &Token{
		ID: jwtTokenID(c.Issuer, c.ID), Issuer: c.Issuer, ClientID: c.ClientID, Subject: c.Subject,
		IssuedAt: time.Unix(c.IssuedAt, 0), ExpiresAt: time.Unix(c.ExpiresAt, 0),
	}
	if c.Scope != "" {
		token.Scopes = strings.Split(c.Scope, " ")
	}
	return token
}

// activeToken returns the token that the text is, and nil if it must not be
// used: unknown, revoked, expired, or of a client that the configuration no
// longer has. Scopes that the client has lost since are removed from its
// tokens.
func (p *protocol) activeToken(ctx context.Context, text string) (*Token, error) {
	token, err := p.findToken(ctx, text)
	if err != nil || token == nil || !p.now().Before(token.ExpiresAt) {
		return nil, err
	}
	client, known := p.clients[token.ClientID]
	if !known || len(client.grants) == 0 {
		return nil, nil
	}
	token.Scopes = slices.DeleteFunc(token.Scopes, func(scope string) bool { return !slices.Contains(client.scopes, scope) })
	return token, nil
}

// revoke records that a token is inactive from now on.
func (p *protocol) revoke(ctx context.Context, token *Token, jwt bool) error {
	defer changed(tokenThing(token.ID)) // also after an error: it may have been recorded
	if !jwt {
		return p.storage.DeleteToken(ctx, token.ID)
	}
	if !p.now().Before(token.ExpiresAt) {
		return nil
	}
	token.Revoked = true
	return p.storage.PutToken(ctx, token)
}

// randomText is n random bytes in base64url.
func randomText(n int) string {
	b := make([]byte, n)
	// crypto/rand.Read never fails (Go 1.24).
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
