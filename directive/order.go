// SPDX-License-Identifier: Apache-2.0

package directive

import "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

// order is the order of the gateway's directives. Among Caddy's own they run
// after rewrite, uri and the prefix stripping of handle_path, because decisions
// are about what the upstream receives, and before every handler that answers.
// Authentication runs before the enforcement that relies on it, and CORS before
// both, because a preflight carries no credentials. What makes the path for the
// upstream comes last: before it, the path is the one that was decided on.
var order = []string{
	"gluu_cors",
	"gluu_oauth_server",
	"gluu_resource_metadata",
	"gluu_jwks",
	"gluu_openid_connect",
	"gluu_oauth_auth",
	"gluu_uma_auth",
	"gluu_oauth_pep",
	"gluu_uma_pep",
	"gluu_opa_pep",
	"gluu_acl",
	"gluu_rate_limit",
	"gluu_ui",
	"gluu_upstream_path",
}

// init registers the whole order in one place. Caddy inserts each directive
// relative to one of its own, so the order among ours is the order of the calls.
// Spread over packages, the calls would follow the import graph.
func init() {
	for _, name := range order {
		httpcaddyfile.RegisterDirectiveOrder(name, httpcaddyfile.Before, "forward_auth")
	}
}
