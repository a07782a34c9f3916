// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/localserver"
	"github.com/caddy-gluu/gateway/internal/token"
)

// LocalServer implements [localserver.Host].
func (a *App) LocalServer(issuer, service string) (localserver.Server, error) {
	if len(a.servers) == 0 {
		return nil, errors.New("provider embedded needs a gluu_oauth_server in this configuration: add one, or name the issuer of another server")
	}
	var found []*Server
	for _, s := range a.servers {
		if (issuer == "" || s.issuer.Name == issuer) && (service == "" || s.Service == service) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no gluu_oauth_server of this configuration has the issuer %q and the service %q: write %s", issuer, service, a.choices())
	}
	for _, s := range found[1:] {
		if s.issuer.Name != found[0].issuer.Name || s.Service != found[0].Service {
			return nil, fmt.Errorf("there are several gluu_oauth_server: say which one, %s", a.choices())
		}
	}
	return localServer{found[0]}, nil
}

// choices are the servers of the configuration, as a provider names them.
func (a *App) choices() string {
	var names []string
	for _, s := range a.servers {
		if name := strings.TrimSpace(s.issuer.Name + " " + s.Service); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return "'provider embedded " + strings.Join(names, "', or 'provider embedded ") + "'"
}

// localServer is a server as the gateway in the same process asks it.
type localServer struct{ server *Server }

// Issuer implements [localserver.Server].
func (l localServer) Issuer() string { return l.server.issuer.Name }

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
	seen := takeSnapshot(thing{authcore.TokenChanged, s.rfc.KeyOf(raw)})
	t, err := s.rfc.FindTokenWith(ctx, raw, func(kind, id string) { seen.add(thing{kind, id}) })
	switch {
	case errors.Is(err, authcore.ErrNotFound):
		return nil, token.Refuse(token.Inactive, "the embedded authorization server does not know it, or not any more")
	case err != nil:
		return nil, token.Unavailable(time.Second, "the embedded authorization server: %w", err)
	}
	audience := t.Audience()
	if len(audiences) > 0 && !slices.ContainsFunc(audience, func(one string) bool { return slices.Contains(audiences, one) }) {
		return nil, token.Refuse(token.Invalid, "aud is %q, none of the configured audiences %q", audience, audiences)
	}
	claims, err := s.rfc.Introspection(t)
	if err != nil {
		return nil, token.Unavailable(time.Second, "the embedded authorization server: %w", err)
	}
	credential := ""
	if s.kong != nil {
		credential = t.ClientID // Kong's upstreams know the client by X-Credential-Identifier
	}
	return &token.Token{
		Credential: credential,
		Issuer:     t.Issuer, Subject: t.Subject, ClientID: t.ClientID, Scopes: t.Scopes, ExpiresAt: t.ExpiresAt,
		JWT: t.JWT, Consumer: t.Consumer,
		ClaimsJSON: string(claims),
		Origin:     &lease{s, seen},
	}, nil
}

// AnswersAtOnce implements [localserver.Server]. Where clients have documents, the token of
// one may have to wait until its document is fetched again.
func (l localServer) AnswersAtOnce() bool {
	select {
	case <-l.server.ready:
		return l.server.rfc.Documents == nil && l.server.rfc.Store.ReadsAtOnce()
	default:
		return false
	}
}

// Holds implements [localserver.Server].
func (l localServer) Holds(t *token.Token) bool {
	from, ok := t.Origin.(*lease)
	return ok && from.server == l.server && from.seen.isCurrent()
}

// Interface guards
var (
	_ localserver.Host   = (*App)(nil)
	_ localserver.Server = localServer{}
)
