// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// openIDScope asks for an ID token (OpenID Connect Core section 3.1.2.1).
const openIDScope = "openid"

// idTokenTTL is how long an ID token is good: for the client to read it.
const idTokenTTL = 10 * 60

// idToken tells a client who has logged in (OpenID Connect Core section 2).
type idToken struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ExpiresAt int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
	AuthTime  int64  `json:"auth_time,omitempty"`
	Nonce     string `json:"nonce,omitempty"`
	ACR       string `json:"acr,omitempty"`
	TokenHash string `json:"at_hash"`
	SessionID string `json:"sid,omitempty"`
}

func (s *Server) idToken(client *authcore.Client, tokens *authcore.Tokens, nonce string) (string, error) {
	g, now := tokens.Grant, s.Now().Unix()
	sum := sha256.Sum256([]byte(tokens.AccessText))
	id := idToken{
		Issuer: s.Issuer.Name, Subject: g.Subject, Audience: g.ClientID, ExpiresAt: now + idTokenTTL, IssuedAt: now,
		Nonce: nonce, ACR: g.ACR, SessionID: g.SessionID,
		TokenHash: base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2]),
	}
	if !g.AuthTime.IsZero() {
		id.AuthTime = g.AuthTime.Unix()
	}
	payload, err := merge(id, g.Claims)
	if err != nil {
		return "", err
	}
	if client.IDTokenAlg == IDTokenAlgorithm {
		return jose.Sign(payload, s.IDKey, IDTokenAlgorithm, s.IDKey.ID(), "JWT")
	}
	return jose.Sign(payload, s.Key, SigningAlgorithm, s.Key.ID(), "JWT")
}

// Reasons of the userinfo endpoint.
const (
	reasonNoToken      = "no_token"
	reasonTokenInvalid = "token_inactive"
	reasonNoOpenID     = "scope_missing"
)

// sentToken is the access token of a request: in the header, or in the form of a POST (RFC 6750
// section 2).
func (c *call) sentToken() (string, error) {
	headers := c.r.Header["Authorization"]
	scheme, text, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		text = ""
	}
	twice := len(headers) > 1
	if kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type")); c.r.Method == http.MethodPost && kind == formType {
		body, err := c.readBody(formType, maxBody)
		if err != nil {
			return "", c.challenged(err)
		}
		form, err := parseForm(string(body))
		if err != nil {
			return "", c.challenged(err)
		}
		twice = twice || text != "" && form.Has("access_token")
		text = cmp.Or(text, form.Get("access_token"))
	}
	switch {
	case twice:
		return "", c.challenged(malformed("there is more than one access token"))
	case text == "":
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="`+c.Issuer.Name+`"`)
		return "", refuse(http.StatusUnauthorized, "unauthorized", reasonNoToken, "an access token is needed")
	}
	return text, nil
}

// challenged adds the challenge of RFC 6750 to a malformed request.
func (c *call) challenged(err error) error {
	c.w.Header().Set("WWW-Authenticate", `Bearer realm="`+c.Issuer.Name+`", error="invalid_request"`)
	return err
}

// userinfo tells a client that has an access token with the scope openid about the person
// (OpenID Connect Core section 5.3).
func (c *call) userinfo() error {
	text, err := c.sentToken()
	if err != nil {
		return err
	}
	token, err := c.FindToken(c.r.Context(), text)
	if isUnknown(err) || err == nil && token.Grant == nil {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="`+c.Issuer.Name+`", error="invalid_token"`)
		return refuse(http.StatusUnauthorized, "invalid_token", reasonTokenInvalid, "the access token is not active, or not that of a person")
	}
	if err != nil {
		return err
	}
	c.clientID = token.ClientID
	if !slices.Contains(token.Scopes, openIDScope) {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="`+c.Issuer.Name+`", error="insufficient_scope", scope="openid"`)
		return refuse(http.StatusForbidden, "insufficient_scope", reasonNoOpenID, "the scope openid is needed")
	}
	answer, err := merge(map[string]string{"sub": token.Subject}, token.Grant.Claims)
	if err != nil {
		return unavailable(reasonInternal, err)
	}
	c.raw(http.StatusOK, answer)
	return nil
}
