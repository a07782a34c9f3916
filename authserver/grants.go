// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/caddy-gluu/gateway/internal/events"
)

// ClientCredentialsExchange issues a token to the client itself (RFC 6749
// section 4.4). There is no refresh token with it (section 4.4.3).
func (p *protocol) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	call := callOf(ctx)
	scopes, err := grantedScopes(call, r.Data.Scope)
	if err != nil {
		return nil, err
	}
	return p.issue(ctx, call, scopes)
}

// grantedScopes are the scopes that were asked for, or all of the client's if
// none were. One that the client cannot have refuses the whole request: the
// client would take a token without it for what it asked for.
func grantedScopes(call *call, asked []string) ([]string, error) {
	var granted []string
	for _, scope := range asked {
		if scope == "" || slices.Contains(granted, scope) {
			continue
		}
		if checkScope(scope) != nil {
			return nil, call.refuse(reasonScope, http.StatusBadRequest,
				oidc.ErrInvalidScope().WithDescription("the parameter scope is not a list of scopes with spaces in between"))
		}
		if !slices.Contains(call.client.scopes, scope) {
			return nil, call.refuse(reasonScope, http.StatusBadRequest,
				oidc.ErrInvalidScope().WithDescription("this client cannot have all of the scopes it asks for"))
		}
		granted = append(granted, scope)
	}
	if len(granted) == 0 {
		granted = call.client.scopes
	}
	return granted, nil
}

// issue makes an access token in the client's format and answers with it.
func (p *protocol) issue(ctx context.Context, call *call, scopes []string) (*op.Response, error) {
	token := p.newToken(call.client, scopes)
	var text, format string
	var err error
	if call.client.jwt {
		format = jwtFormat
		text, err = p.mintJWT(token)
	} else {
		format = opaqueFormat
		text, err = p.mintOpaque(ctx, token)
	}
	switch {
	case errors.Is(err, ErrTooManyTokens):
		call.err = err
		return nil, call.refuse(reasonTooManyTokens, http.StatusTooManyRequests, &oidc.Error{
			ErrorType:   "temporarily_unavailable",
			Description: "this client holds too many tokens: use each one until it expires, or revoke it",
		})
	case err != nil && call.client.jwt:
		return nil, call.unavailable(reasonInternal, err)
	case err != nil:
		return nil, call.unavailable(reasonStorage, err)
	}
	p.metrics.issued.WithLabelValues(string(oidc.GrantTypeClientCredentials), format).Inc()
	return op.NewResponse(&oidc.AccessTokenResponse{
		AccessToken: text,
		TokenType:   oidc.BearerToken,
		ExpiresIn:   uint64(token.ExpiresAt.Sub(token.IssuedAt).Seconds()),
		Scope:       scopes,
	}), nil
}

// Introspect tells an authenticated client about a token (RFC 7662). Of one
// that is not active it tells nothing else, whatever the cause (section 2.2).
func (p *protocol) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	call := callOf(ctx)
	if err := p.authenticate(ctx, call); err != nil {
		return nil, err
	}
	token, err := p.activeToken(ctx, r.Data.Token)
	if err != nil {
		return nil, call.unavailable(reasonStorage, err)
	}
	if token == nil {
		return op.NewResponse(&oidc.IntrospectionResponse{Active: false}), nil
	}
	return op.NewResponse(&oidc.IntrospectionResponse{
		Active:     true,
		Scope:      token.Scopes,
		ClientID:   token.ClientID,
		TokenType:  oidc.BearerToken,
		Expiration: oidc.FromTime(token.ExpiresAt),
		IssuedAt:   oidc.FromTime(token.IssuedAt),
		Subject:    token.Subject,
		Audience:   oidc.Audience{token.Issuer},
		Issuer:     token.Issuer,
	}), nil
}

// Revocation takes a token back (RFC 7009). A token that is not valid any
// longer, or never was, is revoked already; one of another client is none of
// this client's business; and when the revocation could not be recorded the
// client is told that, or it would believe that the token is dead.
func (p *protocol) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	call := callOf(ctx)
	token, err := p.findToken(ctx, r.Data.Token)
	if err != nil {
		return nil, call.unavailable(reasonStorage, err)
	}
	if token == nil {
		return op.NewResponse(nil), nil
	}
	if token.ClientID != call.client.id {
		return nil, call.refuse(reasonForeignToken, http.StatusBadRequest,
			oidc.ErrInvalidGrant().WithDescription("the token was issued to another client"))
	}
	if err := p.revoke(ctx, token, isJWT(r.Data.Token)); err != nil {
		return nil, call.unavailable(reasonStorage, err)
	}
	p.metrics.revoked.Inc()
	p.emitRevoked(token)
	return op.NewResponse(nil), nil
}

func (p *protocol) emitRevoked(token *Token) {
	if !p.events.Enabled(events.TokenRevoked) {
		return
	}
	p.events.Emit(events.TokenRevoked, map[string]any{
		"issuer":     token.Issuer,
		"client_id":  token.ClientID,
		"subject":    token.Subject,
		"expires_at": token.ExpiresAt.Unix(),
	})
}
