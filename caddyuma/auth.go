// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/identity"
)

func init() {
	caddy.RegisterModule(new(UMAAuth))
	directive.RegisterHandler("gluu_uma_auth", parseAuth)
}

// UMAAuth is a middleware that authenticates the caller of an API by a
// requesting party token (RPT): an OAuth 2.0 access token with permissions,
// presented as `Authorization: Bearer <token>`. It has all options of
// `gluu_oauth_auth` and verifies tokens in the same way; the header with the
// end of the token is `X-RPT-Expiration`.
//
// Without a token and without `anonymous` the answer is 401. With it the
// request goes on, and `gluu_uma_pep` answers it with a permission ticket.
type UMAAuth struct {
	identity.Authenticator
}

// CaddyModule returns the Caddy module information.
func (*UMAAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_uma_auth",
		New: func() caddy.Module { return new(UMAAuth) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (a *UMAAuth) UnmarshalJSON(text []byte) error {
	type plain UMAAuth
	return directive.UnmarshalJSON("gluu_uma_auth", text, (*plain)(a))
}

// Provision sets up the handler.
func (a *UMAAuth) Provision(ctx caddy.Context) error {
	return a.Authenticator.Provision(ctx, identity.UMA)
}

// parseAuth sets up gluu_uma_auth, whose syntax is that of gluu_oauth_auth.
func parseAuth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	a := new(UMAAuth)
	if err := a.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return a, a.CheckReferences(h)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*UMAAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*UMAAuth)(nil)
	_ caddyfile.Unmarshaler       = (*UMAAuth)(nil)
)
