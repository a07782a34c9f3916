// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// opServer is a provider of the app as the relying party uses it.
type opServer struct {
	*provider.Server
	until time.Time // when the first attempt to read the metadata is not waited for any more
}

// errNoEndpoint says that the OpenID Provider has no such endpoint.
var errNoEndpoint = errors.New("the OpenID Provider has no such endpoint")

// firstLook is how long after a start a login waits for the metadata.
const firstLook = 5 * time.Second

func newOPServer(server *provider.Server) *opServer {
	return &opServer{server, time.Now().Add(firstLook)}
}

func (s *opServer) Issuer() string { return s.Config().Issuer }

func (s *opServer) Metadata(flag string) bool { return s.Promises(flag) }

// Endpoint returns the address of an endpoint. A login that comes right after
// the start waits for the metadata, which is under way.
func (s *opServer) Endpoint(name string) (string, error) {
	address, err := s.Server.Endpoint(name)
	if err == nil {
		return address, nil
	}
	if isMissing(err) {
		return "", fmt.Errorf("%w: %w", errNoEndpoint, err)
	}
	ctx, cancel := context.WithDeadline(context.Background(), s.until)
	defer cancel()
	if ctx.Err() == nil {
		s.AwaitMetadata(ctx)
		if address, err = s.Server.Endpoint(name); err != nil && isMissing(err) {
			err = fmt.Errorf("%w: %w", errNoEndpoint, err)
		}
	}
	return address, err
}

func isMissing(err error) bool {
	_, missing := errors.AsType[*provider.NoEndpointError](err)
	return missing
}

func (s *opServer) AuthenticateClient(req *http.Request, form url.Values) error {
	return s.Authenticate(req, form)
}

// opKeys are the keys of a provider. Where they are may be learned later.
type opKeys struct{ server *provider.Server }

// Key implements jwtcheck.KeySet. The error wraps errUnavailable if the keys
// are.
func (k opKeys) Key(ctx context.Context, name jose.KeyName, alg string) (jose.Key, error) {
	set, err := k.server.KeySet()
	if err != nil {
		return jose.Key{}, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	key, err := set.Key(ctx, name, alg)
	if refusal, ok := errors.AsType[*token.Error](err); ok && refusal.Reason == token.ProviderUnavailable {
		return key, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return key, err
}

// Interface guards
var (
	_ openIDProvider  = (*opServer)(nil)
	_ jwtcheck.KeySet = opKeys{}
)
