// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/jose"
)

// protocol is the server as the op package sees it: op routes a request to
// one of these methods, its parameters decoded, and writes what is returned.
// What this server does not offer (its metadata names all that it does) is left
// to op, which refuses it.
type protocol struct {
	op.UnimplementedServer

	issuer   issuer
	scopes   []string
	ttl      time.Duration
	clients  map[string]*client
	decoys   []*secretHash // the secrets of all clients, in the order of their ids
	verifier *secretVerifier
	storage  Storage
	key      jose.PrivateKey
	metrics  *metrics
	events   *events.Emitter
	now      func() time.Time

	public   jose.Key
	keySet   json.RawMessage
	metadata json.RawMessage
}

// complete computes what follows from the fields above and never changes.
func (p *protocol) complete() (err error) {
	ids := make([]string, 0, len(p.clients))
	for id := range p.clients {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		p.decoys = append(p.decoys, p.clients[id].secret)
	}
	if p.public, err = p.key.Public().WithAlgorithm(signingAlgorithm); err != nil {
		return err
	}
	if p.keySet, err = jose.PublicKeySet(p.public); err != nil {
		return err
	}
	p.metadata, err = json.Marshal(describe(p.issuer, p.scopes))
	return err
}

// handler returns the routes of op that lead here. CORS is left to gluu_cors.
func (p *protocol) handler() http.Handler {
	return op.RegisterServer(p, op.Endpoints{
		Token:         op.NewEndpoint(string(tokenEndpoint)),
		Introspection: op.NewEndpoint(string(introspectEndpoint)),
		Revocation:    op.NewEndpoint(string(revokeEndpoint)),
		JwksURI:       op.NewEndpoint(string(jwksEndpoint)),
	}, op.WithServerCORSOptions(nil), op.WithFallbackLogger(silent))
}

// VerifyClient authenticates the client of a token or revocation request.
func (p *protocol) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	call := callOf(ctx)
	if err := p.authenticate(ctx, call); err != nil {
		return nil, err
	}
	if call.endpoint == tokenEndpoint && !op.ValidateGrantType(call.client, oidc.GrantType(r.Form.Get("grant_type"))) {
		return nil, call.refuse(reasonGrantNotAllowed, http.StatusBadRequest,
			oidc.ErrUnauthorizedClient().WithDescription("this client does not have this grant"))
	}
	return call.client, nil
}

// authenticate sets call.client, or says why not. A client that does not exist
// is refused in the same words, and after the same time, as one with a wrong
// secret: what is checked in its place is the secret of some client of this
// server, always the same one for the same name.
func (p *protocol) authenticate(ctx context.Context, call *call) error {
	reason := reasonUnknownClient
	for _, sent := range call.credentials {
		client, known := p.clients[sent.id]
		if known {
			reason = reasonWrongSecret
		}
		if len(sent.secret) > maxSecretLength {
			continue
		}
		var right bool
		var err error
		switch {
		case known:
			right, err = p.verifier.verify(ctx, call.asker(ctx, sent.id), client.secret, sent.secret)
		case len(p.decoys) > 0:
			err = p.verifier.pretend(ctx, call.asker(ctx, ""), p.decoys[p.verifier.choose(sent.id, len(p.decoys))], sent.secret)
		}
		if errors.Is(err, context.Canceled) {
			return call.refuse(reasonGone, statusGone, oidc.ErrInvalidRequest())
		}
		if err != nil {
			return call.unavailable(reasonBusy, err)
		}
		if right {
			call.client = client
			return nil
		}
	}
	return call.refuse(reason, http.StatusUnauthorized, oidc.ErrInvalidClient().WithDescription("client authentication failed"))
}

// Keys serves the public half of the signing key.
func (p *protocol) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(p.keySet), nil
}

// Discovery serves the metadata of the server.
func (p *protocol) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(p.metadata), nil
}

// metadataDocument is the metadata of this server. It has the response types
// also when there are none: RFC 8414 section 2 requires the member.
type metadataDocument struct {
	oidc.DiscoveryConfiguration
	ResponseTypesSupported []string `json:"response_types_supported"`
}

// describe writes down what the server does, and only that.
func describe(i issuer, scopes []string) metadataDocument {
	methods := []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	return metadataDocument{
		DiscoveryConfiguration: oidc.DiscoveryConfiguration{
			Issuer:                i.name,
			TokenEndpoint:         i.url(tokenEndpoint),
			IntrospectionEndpoint: i.url(introspectEndpoint),
			RevocationEndpoint:    i.url(revokeEndpoint),
			JwksURI:               i.url(jwksEndpoint),
			ScopesSupported:       scopes,
			GrantTypesSupported:   served,

			TokenEndpointAuthMethodsSupported:         methods,
			IntrospectionEndpointAuthMethodsSupported: methods,
			RevocationEndpointAuthMethodsSupported:    methods,
		},
		ResponseTypesSupported: []string{},
	}
}

// Interface guard
var _ op.Server = (*protocol)(nil)
