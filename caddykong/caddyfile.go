// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	directive.RegisterHandler("gluu_upstream_path", parseUpstreamPath)
}

func parseUpstreamPath(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	u := new(UpstreamPath)
	return u, u.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_upstream_path [<matcher>] {
//		strip_path true|false
//		base <path>
//		path_handling v0|v1
//		id <name>
//	}
func (u *UpstreamPath) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'base %s' into the block")
	if err != nil {
		return err
	}
	err = directive.EachOption(d, func(d *caddyfile.Dispenser) error {
		if err := u.unmarshalOption(d); err != nil {
			return err
		}
		return directive.Located(d, u.check())
	})
	if err != nil {
		return err
	}
	if !u.StripPath && u.Base == "" {
		return start.Err("gluu_upstream_path changes nothing: write 'strip_path true' or 'base <path>' into the block")
	}
	return nil
}

func (u *UpstreamPath) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "strip_path":
		u.StripPath, err = directive.Bool(d)
	case "base":
		err = directive.SetString(d, &u.Base)
	case "id":
		err = directive.SetID(d, &u.ID)
	case "path_handling":
		err = directive.SetString(d, &u.PathHandling)
	default:
		err = directive.Unknown(d, "gluu_upstream_path", "strip_path", "base", "path_handling", "id")
	}
	return err
}

// UnmarshalCaddyfile sets up the matcher. Syntax:
//
//	gluu_route {
//		name <name>
//		hosts <host>...
//		paths <prefix|~regexp>...
//		methods <method>...
//		headers <name> <value|~*regexp>...
//		snis <name>...
//		protocols http|https|grpc|grpcs...
//	}
func (m *MatchRoute) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'paths %s' into the block")
	if err != nil {
		return err
	}
	err = directive.EachOption(d, func(d *caddyfile.Dispenser) error {
		if err := m.unmarshalOption(d); err != nil {
			return err
		}
		return directive.Located(d, m.check())
	}, "hosts", "paths", "methods", "headers", "snis", "protocols")
	if err != nil {
		return err
	}
	if len(m.Hosts)+len(m.Paths)+len(m.Methods)+len(m.Headers)+len(m.SNIs)+len(m.Protocols) == 0 {
		return start.Err("gluu_route has no condition: write for example 'paths /todos' into the block")
	}
	return nil
}

func (m *MatchRoute) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "id":
		return directive.SetString(d, &m.ID)
	case "name":
		return directive.SetString(d, &m.Name)
	case "hosts":
		return directive.AddStrings(d, &m.Hosts)
	case "paths":
		return directive.AddStrings(d, &m.Paths)
	case "methods":
		return directive.AddStrings(d, &m.Methods)
	case "headers":
		return m.unmarshalHeader(d)
	case "snis":
		return directive.AddStrings(d, &m.SNIs)
	case "protocols":
		return directive.AddStrings(d, &m.Protocols)
	}
	return directive.Unknown(d, "gluu_route", "id", "name", "hosts", "paths", "methods", "headers", "snis", "protocols")
}

func (m *MatchRoute) unmarshalHeader(d *caddyfile.Dispenser) error {
	line, err := directive.Strings(d)
	if err != nil {
		return err
	}
	if len(line) < 2 {
		return d.Errf("headers takes a name and values, got %q: write for example 'headers X-Version v1 v2'", line)
	}
	if m.Headers == nil {
		m.Headers = make(map[string][]string)
	}
	m.Headers[line[0]] = append(m.Headers[line[0]], line[1:]...)
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*UpstreamPath)(nil)
	_ caddyfile.Unmarshaler = (*MatchRoute)(nil)
)
