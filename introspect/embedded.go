// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/localserver"
)

// findHost prepares an embedded provider, which is the authorization server of this
// process. The server need not be known yet: its handler may be provisioned after
// this one.
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
	p.embedded = sync.OnceValues(func() (localserver.Server, error) { return host.LocalServer(issuer, service) })
	return nil
}

// checkEmbedded refuses a configuration in which an embedded provider has no
// server.
func (p *Provider) checkEmbedded() error {
	if p.embedded == nil {
		return nil
	}
	if _, err := p.embedded(); err != nil {
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
	server, err := p.embedded()
	if err != nil {
		return ""
	}
	return server.Issuer()
}
