// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/localserver"
	"github.com/caddy-gluu/gateway/internal/token"
)

// LocalServer implements [localserver.Host].
func (a *App) LocalServer(issuer string) (localserver.Server, error) {
	var issuers []string
	var found []*Server
	for _, s := range a.servers {
		issuers = append(issuers, s.issuer.name)
		if issuer == "" || s.issuer.name == issuer {
			found = append(found, s)
		}
	}
	switch {
	case len(a.servers) == 0:
		return nil, errors.New("provider embedded needs a gluu_oauth_server in this configuration: add one, or name the issuer of another server")
	case len(found) == 0:
		return nil, fmt.Errorf("no gluu_oauth_server of this configuration has the issuer %q: write 'provider embedded %s'", issuer, strings.Join(issuers, "', or 'provider embedded "))
	case len(found) > 1 && issuer == "":
		return nil, fmt.Errorf("there are several gluu_oauth_server: say which one, 'provider embedded %s'", strings.Join(issuers, "', or 'provider embedded "))
	}
	return localServer{found[0]}, nil
}

// localServer is a server as the gateway in the same process asks it.
type localServer struct{ server *Server }

// Issuer implements [localserver.Server].
func (l localServer) Issuer() string { return l.server.issuer.name }

// lease is what a token remembers of where it comes from ([token.Token.Origin]).
type lease struct {
	server *Server
	seen   snapshot
}

// Verify implements [localserver.Server].
func (l localServer) Verify(ctx context.Context, raw string, audiences []string) (*token.Token, error) {
	s := l.server
	if err := s.awaitReady(ctx); err != nil {
		return nil, token.Unavailable(time.Second, "the embedded authorization server: %w", err)
	}
	seen := takeSnapshot(s.protocol.thingOf(raw))
	t, err := s.protocol.activeToken(ctx, raw)
	switch {
	case err != nil:
		return nil, token.Unavailable(time.Second, "the embedded authorization server: %w", err)
	case t == nil:
		return nil, token.Refuse(token.Inactive, "the embedded authorization server does not know it, or not any more")
	case len(audiences) > 0 && !slices.Contains(audiences, t.Issuer):
		return nil, token.Refuse(token.Invalid, "aud is %q, none of the configured audiences %q", t.Issuer, audiences)
	}
	claims, err := claimsOf(t)
	if err != nil {
		return nil, token.Unavailable(time.Second, "the embedded authorization server: %w", err)
	}
	return &token.Token{
		Issuer: t.Issuer, Subject: t.Subject, ClientID: t.ClientID, Scopes: t.Scopes, ExpiresAt: t.ExpiresAt,
		JWT:        isJWT(raw),
		ClaimsJSON: claims,
		Origin:     &lease{s, seen},
	}, nil
}

// Holds implements [localserver.Server].
func (l localServer) Holds(t *token.Token) bool {
	from, ok := t.Origin.(*lease)
	return ok && from.server == l.server && from.seen.isCurrent()
}

// thingOf returns what revokes a token: the record under which it is kept.
func (p *protocol) thingOf(raw string) thing {
	if isJWT(raw) {
		if t := p.parseJWT(raw); t != nil {
			return tokenThing(t.ID)
		}
	}
	return tokenThing(opaqueTokenID(p.issuer.name, raw))
}

func tokenThing(id TokenID) thing { return thing{tokenKind, string(id[:])} }

// introspected is what the introspection endpoint answers about an active token
// (RFC 7662 section 2.2).
type introspected struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id"`
	TokenType string   `json:"token_type"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud"`
	Issuer    string   `json:"iss"`
}

// claimsOf writes what the introspection endpoint answers about a token: custom
// headers and placeholders read it.
func claimsOf(t *Token) (string, error) {
	claims, err := json.Marshal(introspected{
		Active: true, Scope: strings.Join(t.Scopes, " "), ClientID: t.ClientID, TokenType: "Bearer",
		ExpiresAt: t.ExpiresAt.Unix(), IssuedAt: t.IssuedAt.Unix(),
		Subject: t.Subject, Audience: []string{t.Issuer}, Issuer: t.Issuer,
	})
	return string(claims), err
}

// Interface guards
var (
	_ localserver.Host   = (*App)(nil)
	_ localserver.Server = localServer{}
)
