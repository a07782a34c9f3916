// SPDX-License-Identifier: Apache-2.0

package caddyratelimit

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	directive.RegisterHandler("gluu_rate_limit", parseRateLimit)
}

func parseRateLimit(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	limit := new(RateLimit)
	return limit, limit.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_rate_limit [<matcher>] {
//		second|minute|hour|day|month|year <requests>
//		limit_by consumer|credential|ip|all|header <name>|path <path>
//		zone <name>
//		redis <url>
//		gateways <n>
//		hide_client_headers true|false
//		error_code <status>
//		error_message <text>
//		dry_run true|false
//		id <name>
//	}
func (h *RateLimit) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginBlock(d, "write 'minute %s' into the block")
	if err != nil {
		return err
	}
	err = directive.EachOption(d, func(d *caddyfile.Dispenser) error {
		if err := h.unmarshalOption(d); err != nil {
			return err
		}
		return directive.Located(d, h.checkValues())
	})
	if err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return start.WrapErr(err)
	}
	return nil
}

func (h *RateLimit) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "second":
		err = count(d, &h.Second)
	case "minute":
		err = count(d, &h.Minute)
	case "hour":
		err = count(d, &h.Hour)
	case "day":
		err = count(d, &h.Day)
	case "month":
		err = count(d, &h.Month)
	case "year":
		err = count(d, &h.Year)
	case "limit_by":
		err = h.unmarshalLimitBy(d)
	case "zone":
		err = directive.SetString(d, &h.Zone)
	case "redis":
		err = directive.SetString(d, &h.Redis)
	case "gateways":
		err = count(d, &h.Gateways)
	case "hide_client_headers":
		h.HideClientHeaders, err = directive.Bool(d)
	case "error_code":
		h.ErrorCode, err = directive.Positive(d)
	case "error_message":
		err = directive.SetString(d, &h.ErrorMessage)
	case "dry_run":
		h.DryRun, err = directive.Bool(d)
	case "id":
		err = directive.SetID(d, &h.ID)
	default:
		err = directive.Unknown(d, "gluu_rate_limit", "second", "minute", "hour", "day", "month", "year", "limit_by", "zone", "redis", "gateways", "hide_client_headers", "error_code", "error_message", "dry_run", "id")
	}
	return err
}

func count(d *caddyfile.Dispenser, field *int64) error {
	n, err := directive.Positive(d)
	*field = int64(n)
	return err
}

func (h *RateLimit) unmarshalLimitBy(d *caddyfile.Dispenser) error {
	words := d.RemainingArgs()
	if len(words) == 0 || len(words) > 2 {
		return d.Errf("limit_by takes a word, and for header and path a second one, got %q: write for example 'limit_by ip'", words)
	}
	h.LimitBy = words[0]
	switch {
	case h.LimitBy == "header" && len(words) == 2:
		h.HeaderName = words[1]
	case h.LimitBy == "path" && len(words) == 2:
		h.Path = words[1]
	case len(words) == 2 || h.LimitBy == "header" || h.LimitBy == "path":
		return d.Errf("limit_by takes a second word for header and path alone, got %q: write for example 'limit_by header X-Tenant'", words)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*RateLimit)(nil)
