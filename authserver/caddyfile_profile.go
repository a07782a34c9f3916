// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/authserver/kong"
	"github.com/caddy-gluu/gateway/directive"
)

// unmarshalProfile reads `profile kong { ... }`. What depends on the other options is checked
// when all are read.
func (s *Server) unmarshalProfile(d *caddyfile.Dispenser) error {
	p := &kong.Profile{}
	if !d.NextArg() {
		return d.Err("profile needs a name: write 'profile kong'")
	}
	if p.Name = d.Val(); p.Name != kong.Name {
		return d.Errf("there is no profile %q: the only one is %s", p.Name, kong.Name)
	}
	if d.NextArg() {
		return d.Errf("profile takes one name, got %q as well: remove it", d.Val())
	}
	s.Profile = p
	return block(d, "profile "+kong.Name, map[string]func() error{
		"provision_key": func() error {
			first, second, err := secretsOf(d)
			if p.ProvisionKey = []string{first}; second != "" {
				p.ProvisionKey = append(p.ProvisionKey, second)
			}
			return err
		},
		"mandatory_scope":                   func() error { return setFlag(d, &p.MandatoryScope) },
		"grants":                            func() error { return directive.AddStrings(d, &p.Grants) },
		"pkce":                              func() error { return oneOf(d, &p.PKCE, "none", "lax", "strict") },
		"auth_header":                       func() error { return directive.SetString(d, &p.AuthHeader) },
		"realm":                             func() error { return directive.SetString(d, &p.Realm) },
		"token_expiration":                  func() error { return setDuration(d, &p.TokenExpiration) },
		"refresh_token_ttl":                 func() error { return setDuration(d, &p.RefreshTokenTTL) },
		"reuse_refresh_token":               func() error { return setFlag(d, &p.ReuseRefreshToken) },
		"accept_http_if_already_terminated": func() error { return setFlag(d, &p.AcceptHTTP) },
		"responses":                         func() error { return oneOf(d, &p.Responses, "kong", "rfc") },
		"anonymous":                         func() error { return elsewhere(d, "anonymous <consumer>") },
		"hide_credentials":                  func() error { return elsewhere(d, "pass_credentials hide") },
	})
}

// elsewhere refuses an option of Kong's plugin that the handler in front of the API has.
func elsewhere(d *caddyfile.Dispenser, option string) error {
	return d.Errf("%s is about requests to the API: write '%s' into gluu_oauth_auth", d.Val(), option)
}

// setFlag reads an option that stands for true without a value.
func setFlag(d *caddyfile.Dispenser, field *bool) (err error) {
	*field = true
	if d.CountRemainingArgs() > 0 {
		*field, err = directive.Bool(d)
	}
	return err
}

// setDuration reads a duration, of which 0 is one.
func setDuration(d *caddyfile.Dispenser, field **caddy.Duration) error {
	value, err := directive.Duration(d)
	*field = &value
	return err
}
