// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
)

// options are the subdirectives of `streams`.
var options = []string{"end_with_token", "grace", "max_age", "recheck", "jitter", "close_code", "sse_event"}

// UnmarshalCaddyfile sets up when streams end. Syntax:
//
//	streams {
//		end_with_token on|off
//		grace <duration>
//		max_age <duration>
//		recheck <duration>
//		jitter <duration>
//		close_code 3000|1008
//		sse_event <name>
//	}
func (c *Config) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start := directive.At(d.Token())
	if d.CountRemainingArgs() > 0 {
		return d.ArgErr()
	}
	isEmpty := true
	err := directive.EachOption(d, func(d *caddyfile.Dispenser) error {
		isEmpty = false
		if err := c.unmarshalOption(d); err != nil {
			return err
		}
		return directive.Located(d, c.checkValues())
	})
	if err != nil {
		return err
	}
	if isEmpty {
		return start.Err("streams has no options: write a block with end_with_token, grace, max_age, recheck, jitter, close_code or sse_event, or leave it out")
	}
	if err := c.Check(); err != nil {
		return start.WrapErr(err)
	}
	return nil
}

func (c *Config) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "end_with_token":
		var isOn bool
		isOn, err = directive.Bool(d)
		c.EndWithToken = &isOn
	case "grace":
		c.Grace, err = directive.Duration(d)
	case "max_age":
		c.MaxAge, err = positive(d)
	case "recheck":
		c.Recheck, err = positive(d)
	case "jitter":
		var jitter caddy.Duration
		jitter, err = directive.Duration(d)
		c.Jitter = &jitter
	case "close_code":
		var code string
		if code, err = directive.String(d); err == nil {
			if c.CloseCode, err = strconv.Atoi(code); err != nil || c.CloseCode == 0 {
				return d.Errf("close_code is 3000 or 1008, not %q", code)
			}
		}
	case "sse_event":
		err = directive.SetString(d, &c.SSEEvent)
	default:
		return directive.Unknown(d, "streams", options...)
	}
	return err
}

// positive reads a duration that is of no use as 0.
func positive(d *caddyfile.Dispenser) (caddy.Duration, error) {
	name := d.Val()
	duration, err := directive.Duration(d)
	if err == nil && duration <= 0 {
		err = d.Errf("%s must be longer than 0: leave it out for the default", name)
	}
	return duration, err
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Config)(nil)
