// SPDX-License-Identifier: Apache-2.0

package caddyconsumer

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	directive.RegisterHandler("gluu_acl", parseACL)
}

func parseACL(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	a := new(ACL)
	return a, a.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_acl [<matcher>] {
//		allow <group>...
//		deny <group>...
//		hide_groups_header [true|false]
//		dry_run [true|false]
//		id <name>
//	}
//
// One of allow and deny is required, and they exclude each other.
func (a *ACL) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'allow %s' into the block")
	if err != nil {
		return err
	}
	if err := directive.EachOption(d, a.unmarshalOption, "allow", "deny"); err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return start.WrapErr(err)
	}
	return nil
}

func (a *ACL) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "allow":
		err = directive.AddStrings(d, &a.Allow)
	case "deny":
		err = directive.AddStrings(d, &a.Deny)
	case "hide_groups_header":
		a.HideGroupsHeader, err = directive.Flag(d)
	case "dry_run":
		a.DryRun, err = directive.Flag(d)
	case "id":
		err = directive.SetID(d, &a.ID)
	default:
		err = directive.Unknown(d, "gluu_acl", "allow", "deny", "hide_groups_header", "dry_run", "id")
	}
	if err != nil {
		return err
	}
	return directive.Located(d, a.checkValues())
}

// Interface guard
var _ caddyfile.Unmarshaler = (*ACL)(nil)
