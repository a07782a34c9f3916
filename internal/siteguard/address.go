// SPDX-License-Identifier: Apache-2.0

package siteguard

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Address returns where the site of the handler that is being provisioned is
// reached: the hosts that it names, in which a leading `*.` stands for one
// label, and whether its server speaks TLS. There are no hosts if the site is
// for all, or unknown.
func Address(ctx caddy.Context) (hosts []string, secure bool) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil, false
	}
	// Automatic HTTPS has made its policies by now: Caddy does that before it
	// provisions handlers.
	secure = len(server.TLSConnPolicies) > 0
	if current := slices.IndexFunc(server.Routes, isUnderWay); current >= 0 {
		hosts = hostsOf(server.Routes[current])
	}
	return hosts, secure
}
