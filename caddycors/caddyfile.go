// SPDX-License-Identifier: Apache-2.0

package caddycors

import (
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	directive.RegisterHandler("gluu_cors", parseCORS)
}

func parseCORS(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	c := new(CORS)
	return c, c.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_cors [<matcher>] {
//		origins <origin>...
//		methods <method>...
//		headers <header>...
//		exposed_headers <header>...
//		credentials true|false
//		credentials_for_all true|false
//		max_age <seconds>|<duration>
//		preflight_continue true|false
//		private_network true|false
//	}
func (c *CORS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'origins %s' into the block")
	if err != nil {
		return err
	}
	if err := directive.EachOption(d, c.unmarshalOption, "origins", "methods", "headers", "exposed_headers"); err != nil {
		return err
	}
	if _, err := c.check(); err != nil {
		return start.WrapErr(err)
	}
	return nil
}

func (c *CORS) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "id":
		err = directive.SetID(d, &c.ID)
	case "origins":
		if err = directive.AddStrings(d, &c.Origins); err == nil {
			if _, err = parseOrigins(c.Origins); err != nil {
				err = d.WrapErr(err) // on its own line
			}
		}
	case "methods":
		err = directive.AddStrings(d, &c.Methods)
	case "headers":
		err = directive.AddStrings(d, &c.Headers)
	case "exposed_headers":
		err = directive.AddStrings(d, &c.ExposedHeaders)
	case "credentials":
		c.Credentials, err = directive.Bool(d)
	case "credentials_for_all":
		c.CredentialsForAll, err = directive.Bool(d)
	case "max_age":
		c.MaxAge, err = maxAge(d)
	case "preflight_continue":
		c.PreflightContinue, err = directive.Bool(d)
	case "private_network":
		c.PrivateNetwork, err = directive.Bool(d)
	default:
		err = directive.Unknown(d, "gluu_cors", "origins", "methods", "headers", "exposed_headers", "credentials", "credentials_for_all", "max_age", "preflight_continue", "private_network", "id")
	}
	if err != nil {
		return err
	}
	if err := c.checkValues(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// maxAge reads seconds, as in Kong, or a duration.
func maxAge(d *caddyfile.Dispenser) (*int, error) {
	value, err := directive.String(d)
	if err != nil {
		return nil, err
	}
	if seconds, err := strconv.Atoi(value); err == nil {
		return &seconds, nil
	}
	duration, err := caddy.ParseDuration(value)
	switch {
	case err != nil:
		return nil, d.Errf("max_age is a number of seconds, or a duration such as 1h, not %q", value)
	case duration < 0:
		return nil, d.Errf("max_age cannot be negative, got %s", duration)
	case duration%time.Second != 0:
		return nil, d.Errf("max_age is a number of whole seconds, such as 300, 300s or 5m, not %q", value)
	}
	seconds := int(duration / time.Second)
	return &seconds, nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*CORS)(nil)
