// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-gluu/gateway/introspect"
)

// CheckReferences refuses a provider or consumer that the Caddyfile does not
// define.
func (c *Config) CheckReferences(h httpcaddyfile.Helper) error {
	return introspect.References{
		Providers:   append([]string{c.Provider}, c.Providers...),
		UsesDefault: !c.hasOwnProvider() && c.Provider == "" && len(c.Providers) == 0,
		Consumer:    c.Anonymous,
	}.Check(h)
}
