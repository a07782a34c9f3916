// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/localserver"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// An embedded provider is the authorization server of this process. What it says
// about a token is cached like the answer of any other, so that what handlers make
// of a token is made once. But it is asked at each request whether that still
// holds, so a revocation takes effect at once. Refusals are not cached, and nothing
// is shared through Redis: asking costs less.

// embedded is the link of a provider to the server of its configuration.
type embedded struct {
	// server is resolved late: its handler may be provisioned after this one.
	server func() (localserver.Server, error)
}

// findHost prepares an embedded provider. The server need not be known yet.
func (p *Provider) findHost(ctx caddy.Context) error {
	if !p.Embedded {
		return nil
	}
	module, err := ctx.App(localserver.AppName)
	if err != nil {
		return fmt.Errorf("this Caddy has no gluu_oauth_server: %w", err)
	}
	host, ok := module.(localserver.Host)
	if !ok {
		return fmt.Errorf("the app %s is a %T, which has no authorization servers", localserver.AppName, module)
	}
	issuer, service := p.Config.Issuer, p.Config.Service
	p.embedded = &embedded{sync.OnceValues(func() (localserver.Server, error) { return host.LocalServer(issuer, service) })}
	return nil
}

// checkEmbedded refuses a configuration in which an embedded provider has no
// server.
func (p *Provider) checkEmbedded() error {
	if p.embedded == nil {
		return nil
	}
	if _, err := p.embedded.server(); err != nil {
		return fmt.Errorf("provider %s: %w", p.name, err)
	}
	return nil
}

// PublicIssuer returns the issuer if clients can find the server by it, "" if it is
// only a name.
func (p *Provider) PublicIssuer() string {
	if p.embedded == nil {
		return p.Config.PublicIssuer()
	}
	server, err := p.embedded.server()
	if err != nil {
		return ""
	}
	return server.Issuer()
}

// stillHolds reports whether a token from the cache may be used. For the token of
// another server than this process's, the cache decides that.
func (p *Provider) stillHolds(t *token.Token) bool {
	if p.embedded == nil {
		return true
	}
	server, err := p.embedded.server()
	return err == nil && server.Holds(t)
}

// askEmbedded asks the server of this process about a token.
func (p *Provider) askEmbedded(ctx context.Context, key tokencache.Key, epoch uint64, raw string) (verified *token.Token, err error) {
	server, err := p.embedded.server()
	if err != nil {
		return nil, token.Unavailable(token.DefaultRetryAfter, "%w", err)
	}
	v := p.verifier
	timeout := time.Duration(v.server.Config().Timeout)
	leave, err := v.clients.enter(ctx, timeout)
	if err != nil {
		return nil, err
	}
	defer func() { leave(err) }()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begun := v.server.Now()
	verified, err = server.Verify(ctx, raw, v.server.Config().Audience)
	now := v.server.Now()
	v.metrics.introspected(outcomeOf(err), now.Sub(begun))
	if err != nil {
		return nil, token.AsError(err)
	}
	p.prepare(verified, raw)
	p.cache.Keep(key, epoch, verified, now, now, 0)
	return verified, nil
}
