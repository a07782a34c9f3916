// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-gluu/gateway/introspect"
)

// CheckReferences refuses a provider or consumer that the Caddyfile does not
// define.
func (c *Config) CheckReferences(h httpcaddyfile.Helper) error {
	providers := append([]string{c.Provider}, c.Providers...)
	if !c.hasOwnProvider() && c.Provider == "" && len(c.Providers) == 0 {
		providers = []string{introspect.DefaultProvider}
	}
	return introspect.References{Providers: providers, Consumer: c.Anonymous}.Check(h)
}
