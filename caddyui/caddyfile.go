// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	directive.RegisterHandler("gluu_ui", parseUI)
}

func parseUI(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	u := new(UI)
	err := u.UnmarshalCaddyfile(h.Dispenser)
	// The address is known here, and nowhere once the configuration runs.
	if endpoint, ok := h.Option("admin").(*caddy.AdminConfig); ok && u.AdminEndpoint == "" {
		u.AdminEndpoint = endpoint.Listen
	}
	return u, err
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_ui [<matcher>] {
//		roles {
//			admin|operator|viewer <expression>
//		}
//		local [true|false]
//		edit consumers|policies|config...|none
//		config_file <file>
//		test_files <pattern>...
//		admin_endpoint <address>
//		path_prefix <path>
//		id <name>
//	}
func (u *UI) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'path_prefix %s' into the block")
	if err != nil {
		return err
	}
	if err := directive.EachOption(d, u.unmarshalOption); err != nil {
		return err
	}
	return directive.Located(start, u.check())
}

func (u *UI) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "roles":
		err = u.unmarshalRoles(d)
	case "local":
		u.Local = true
		if d.CountRemainingArgs() > 0 {
			u.Local, err = directive.Bool(d)
		}
	case "edit":
		err = directive.AddStrings(d, &u.Edit)
	case "config_file":
		err = directive.SetString(d, &u.ConfigFile)
	case "test_files":
		err = directive.AddStrings(d, &u.TestFiles)
	case "admin_endpoint":
		err = directive.SetString(d, &u.AdminEndpoint)
	case "path_prefix":
		err = directive.SetString(d, &u.PathPrefix)
	case "id":
		err = directive.SetID(d, &u.ID)
	default:
		err = directive.Unknown(d, "gluu_ui", "roles", "local", "edit", "config_file", "test_files", "admin_endpoint", "path_prefix", "id")
	}
	return err
}

func (u *UI) unmarshalRoles(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("roles takes a block and no value, got %q: write 'admin <expression>' into the block", d.Val())
	}
	u.Roles = map[string]string{}
	return directive.EachOption(d, func(d *caddyfile.Dispenser) error {
		name := d.Val()
		expression, err := directive.String(d)
		if err != nil {
			return err
		}
		u.Roles[name] = expression
		_, err = compileRole(name, expression)
		return directive.Located(d, err)
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*UI)(nil)
