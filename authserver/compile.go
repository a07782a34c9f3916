// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
	"github.com/caddy-gluu/gateway/internal/events"
)

// compile makes the server of the configuration, but for what only its start provides.
func (s *Server) compile(ctx caddy.Context) (compiled *rfc.Server, err error) {
	compiled = &rfc.Server{
		Issuer: s.issuer, Service: s.Service, OwnService: s.Profile != nil, Resources: s.Resources, JWT: s.TokenFormat == jwtFormat,
		TokenTTL: time.Duration(s.TokenTTL).Truncate(time.Second), UserTokenTTL: time.Duration(s.UserTokenTTL).Truncate(time.Second), CodeTTL: time.Duration(s.CodeTTL),
		Refresh: s.RefreshToken.compile(), PKCE: s.PKCE != pkcePublic, PushedRequired: s.PushedAuthorization == pushedRequired, Legacy: s.legacy(),
		Logger: s.logger, Now: time.Now, Auth: new(clientauth.Authenticator), MaxTokens: defaultMaxTokens,
	}
	for _, scope := range s.Scopes {
		compiled.Scopes = append(compiled.Scopes, rfc.Scope{Name: scope, Text: s.ScopeTexts[scope]})
	}
	if compiled.Login, err = s.Login.compile(); err != nil {
		return nil, err
	}
	if compiled.Consent, err = s.ConsentPage.compile(); err != nil {
		return nil, err
	}
	if compiled.Registration, err = s.Registration.compile(s); err != nil {
		return nil, err
	}
	if compiled.Limits, err = s.Limit.compile(); err != nil {
		return nil, err
	}
	if len(s.ClientMetadataDocuments) > 0 {
		compiled.Documents = &rfc.Documents{Hosts: s.ClientMetadataDocuments, Scopes: s.Scopes, HTTP: rfc.NewDocumentClient(), Now: time.Now}
	}
	if err := s.addClients(ctx, compiled); err != nil {
		return nil, err
	}
	if compiled.Metrics, err = rfc.NewMetrics(ctx.GetMetricsRegistry()); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	if compiled.HasConsumer, err = s.consumers(ctx); err != nil {
		return nil, err
	}
	compiled.Events, err = events.NewEmitter(ctx)
	return compiled, err
}

// consumers returns whether a consumer of the gateway exists. Without the app `gluu` there
// are none, and a client that names one is a mistake.
func (s *Server) consumers(ctx caddy.Context) (func(string) bool, error) {
	app, err := ctx.AppIfConfigured("gluu")
	if errors.Is(err, caddy.ErrNotConfigured) {
		for _, id := range slices.Sorted(maps.Keys(s.Clients)) {
			if c := s.Clients[id]; c != nil && c.Consumer != "" {
				return nil, fmt.Errorf("client %q: there is no consumer %q, as the app gluu is not configured", id, c.Consumer)
			}
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	owner, ok := app.(interface{ Directory() *consumer.Directory })
	if !ok {
		return nil, fmt.Errorf("the app gluu is a %T, which has no consumers", app)
	}
	return func(name string) bool { return owner.Directory().Find(name) != nil }, nil
}

// decoys are the secrets of the clients, in the order of their ids.
func decoys(clients map[string]*authcore.Client) ([]*clientauth.Secret, error) {
	var all []*clientauth.Secret
	for _, id := range slices.Sorted(maps.Keys(clients)) {
		for _, secret := range clients[id].Secrets {
			hash, err := clientauth.Parse(secret.Hash)
			if err != nil {
				return nil, err
			}
			all = append(all, hash)
		}
	}
	return all, nil
}

// warn says what weakens the server.
func (s *Server) warn() {
	for _, name := range s.Legacy {
		s.logger.Warn("legacy "+name+" weakens this authorization server: remove it as soon as no client needs it", zap.String("issuer", s.issuer.Name))
	}
	if s.Registration != nil && s.Registration.Open {
		s.logger.Info("anyone can register a client at this authorization server; people are asked for each of them", zap.String("issuer", s.issuer.Name))
	}
}
