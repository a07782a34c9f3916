// SPDX-License-Identifier: Apache-2.0

// Package gateway puts OAuth 2.0, UMA 2.0 and OpenID Connect enforcement in
// front of an API as a set of Caddy modules. It has no code of its own: it
// imports every module, and is what xcaddy builds.
package gateway

import (
	_ "github.com/caddy-gluu/gateway/authserver"
	_ "github.com/caddy-gluu/gateway/caddyadmin"
	_ "github.com/caddy-gluu/gateway/caddyconsumer"
	_ "github.com/caddy-gluu/gateway/caddycors"
	_ "github.com/caddy-gluu/gateway/caddykong"
	_ "github.com/caddy-gluu/gateway/caddyoauth"
	_ "github.com/caddy-gluu/gateway/caddyoidc"
	_ "github.com/caddy-gluu/gateway/caddyopa"
	_ "github.com/caddy-gluu/gateway/caddyratelimit"
	_ "github.com/caddy-gluu/gateway/caddystore"
	_ "github.com/caddy-gluu/gateway/caddyui"
	_ "github.com/caddy-gluu/gateway/caddyuma"
	_ "github.com/caddy-gluu/gateway/cli"
	_ "github.com/caddy-gluu/gateway/directive"
	_ "github.com/caddy-gluu/gateway/kongconfig"
)
