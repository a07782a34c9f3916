// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("gluu_oauth_server", parseCaddyfile)
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Server)
	return s, s.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads
//
//	gluu_oauth_server [<matcher>] {
//		issuer       <url>
//		scopes       <scope>...
//		token_ttl    <duration>
//		token_format opaque|jwt
//		client <client_id> {
//			secret       <hash>
//			grants       client_credentials
//			scopes       <scope>...
//			token_format opaque|jwt
//		}
//		store embedded|postgres|redis ...
//	}
func (s *Server) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if _, err := directive.BeginBlock(d, "write 'issuer %s' into the block"); err != nil {
		return err
	}
	var once directive.Once
	var later []func() error
	for d.NextBlock(0) {
		name := d.Val()
		if name == "client" {
			check, err := s.unmarshalClient(d)
			if err != nil {
				return err
			}
			later = append(later, check)
			continue
		}
		if err := once.Check(d); err != nil {
			return err
		}
		var err error
		switch name {
		case "issuer":
			s.Issuer, err = issuerURL(d)
		case "scopes":
			s.Scopes, err = checked(d, checkScope)
		case "token_ttl":
			s.TokenTTL, err = directive.Duration(d)
			if err == nil && s.TokenTTL == 0 {
				err = d.Err("token_ttl is 0; a token has to last at least 1s")
			}
		case "token_format":
			s.TokenFormat, err = format(d)
		case "store", "storage":
			err = s.unmarshalStorage(d)
		default:
			err = directive.Unknown(d, "gluu_oauth_server", "issuer", "scopes", "token_ttl", "token_format", "client", "store")
		}
		if err != nil {
			return err
		}
	}
	if s.Issuer == "" {
		_, err := parseIssuer("")
		return d.WrapErr(err)
	}
	// The scopes of the server may stand below the clients.
	for _, check := range later {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// unmarshalClient reads one client, and returns what can be checked only when
// the whole server is read.
func (s *Server) unmarshalClient(d *caddyfile.Dispenser) (check func() error, err error) {
	id, err := directive.String(d)
	if err != nil {
		return nil, d.Err("client takes exactly one client_id: write 'client <client_id> { secret <hash> ... }'")
	}
	if err := checkClientID(id); err != nil {
		return nil, d.WrapErr(err)
	}
	if s.Clients[id] != nil {
		return nil, d.Errf("client %q is given twice: keep one of them", id)
	}
	c := new(Client)
	scopesAt := d.Token()
	var once directive.Once
	for d.NextBlock(1) {
		name := d.Val()
		if err := once.Check(d); err != nil {
			return nil, err
		}
		switch name {
		case "secret":
			c.Secret, err = secret(d)
		case "grants":
			c.Grants, err = checked(d, checkGrant)
		case "scopes":
			scopesAt = d.Token()
			c.Scopes, err = checked(d, checkScope)
		case "token_format":
			c.TokenFormat, err = format(d)
		case "redirect_uris":
			err = d.WrapErr(errRedirectURIs)
		default:
			err = directive.Unknown(d, "client", "secret", "grants", "scopes", "token_format")
		}
		if err != nil {
			return nil, err
		}
	}
	if c.Secret == "" {
		return nil, d.WrapErr(errNoSecret)
	}
	if s.Clients == nil {
		s.Clients = make(map[string]*Client)
	}
	s.Clients[id] = c
	return func() error {
		if err := c.checkScopes(s.Scopes); err != nil {
			return fmt.Errorf("client %q: %w, at %s:%d", id, err, scopesAt.File, scopesAt.Line)
		}
		return nil
	}, nil
}

// isStore reports whether a name is that of a store that gateways share.
func isStore(name string) bool {
	_, err := caddy.GetModule("gluu.store." + name)
	return err == nil
}

// unmarshalStorage reads where tokens are: a file or what else this server alone
// uses, or a store.
func (s *Server) unmarshalStorage(d *caddyfile.Dispenser) error {
	option := d.Val()
	if s.StorageRaw != nil || s.StoreRaw != nil {
		return d.Errf("%s repeats 'store' or 'storage', which are two names of one option: keep one of them", option)
	}
	if !d.NextArg() {
		return d.Errf("%s names a module: write '%s embedded { path <file> }'", option, option)
	}
	name := d.Val()
	// `embedded` is this server's own file, whatever else is called so.
	if _, err := caddy.GetModule("gluu.oauth_server.storage." + name); err != nil && isStore(name) {
		module, err := caddyfile.UnmarshalModule(d, "gluu.store."+name)
		if err != nil {
			return err
		}
		s.StoreRaw = caddyconfig.JSONModuleObject(module, "engine", name, nil)
		return nil
	}
	module, err := caddyfile.UnmarshalModule(d, "gluu.oauth_server.storage."+name)
	if err != nil {
		return err
	}
	s.StorageRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}

func issuerURL(d *caddyfile.Dispenser) (string, error) {
	value, err := directive.String(d)
	if err != nil || directive.HasPlaceholder(value) {
		return value, err
	}
	if _, err := parseIssuer(value); err != nil {
		return "", d.WrapErr(err)
	}
	return value, nil
}

// secret reads a hash. No error shows what was written, which may be the
// secret itself.
func secret(d *caddyfile.Dispenser) (string, error) {
	value, err := directive.String(d)
	if err != nil {
		return "", d.Err("secret takes exactly one value, the hash that caddy gluu hash-secret prints")
	}
	if directive.HasPlaceholder(value) {
		return value, nil
	}
	if _, err := parseSecretHash(value); err != nil {
		return "", d.WrapErr(err)
	}
	return value, nil
}

func format(d *caddyfile.Dispenser) (string, error) {
	value, err := directive.String(d)
	if err != nil {
		return "", err
	}
	if err := checkFormat(value); err != nil {
		return "", d.WrapErr(err)
	}
	return value, nil
}

// checked reads one or more values, each of which has to pass.
func checked(d *caddyfile.Dispenser, check func(string) error) ([]string, error) {
	values, err := directive.Strings(d)
	if err != nil {
		return nil, err
	}
	for _, value := range values {
		if err := check(value); err != nil {
			return nil, d.WrapErr(err)
		}
	}
	return values, nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Server)(nil)
