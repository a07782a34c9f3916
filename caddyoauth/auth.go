// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/identity"
)

func init() {
	caddy.RegisterModule(new(OAuthAuth))
}

// OAuthAuth is a middleware that authenticates the caller of an API by an
// OAuth 2.0 access token: `Authorization: Bearer <token>` (RFC 6750), or
// `DPoP` with a proof (RFC 9449).
//
// The token is verified by a provider of the app `gluu`: locally if it is a
// JWT of that server, else by introspection, and remembered. Its client is
// looked up among the consumers. The handlers that follow find the result in
// placeholders (`{gluu.client_id}`, `{gluu.subject}`, `{gluu.scope}`,
// `{gluu.consumer.id}`, `{gluu.consumer.username}`,
// `{gluu.consumer.custom_id}`, `{gluu.anonymous}`, `{gluu.token.<claim>}` and
// `{http.auth.user.id}`), the upstream in headers. What a client sends under
// the names of these headers never gets through.
//
// A request without a valid token is answered 401, one with a malformed
// Authorization header 400. While the authorization server cannot be asked
// about a token that is not remembered, the answer is 503.
//
// This handler does not look at what a token may do: that is for
// `gluu_oauth_pep`.
type OAuthAuth struct {
	identity.Authenticator
}

// CaddyModule returns the Caddy module information.
func (*OAuthAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_oauth_auth",
		New: func() caddy.Module { return new(OAuthAuth) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (a *OAuthAuth) UnmarshalJSON(text []byte) error {
	type plain OAuthAuth
	return directive.UnmarshalJSON("gluu_oauth_auth", text, (*plain)(a))
}

// Provision sets up the handler.
func (a *OAuthAuth) Provision(ctx caddy.Context) error {
	return a.Authenticator.Provision(ctx, identity.OAuth)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*OAuthAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*OAuthAuth)(nil)
)
