// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/streams"
)

// UnmarshalCaddyfile sets up an authentication handler. Syntax:
//
//	<directive> [<matcher>] [<provider>...] {
//		issuer|op_url|client_id|client_secret|... <value>   # a provider of its own, as in the app
//		provider embedded [<issuer> [<service>]]
//		id <name>
//		anonymous <consumer>
//		anonymous_on failed|missing
//		token_from authorization|header <name>|query <name>|cookie <name>|form
//		several_tokens refuse|first
//		optional [true|false]
//		pass_credentials pass|hide|phantom_token
//		consumer_mapping true|false
//		upstream_headers on|off
//		header <name> <expression> [string|base64|urlencoded|list|jwt] [<separator>]
//		header_each <name with {*}> <expression> [string|base64|urlencoded]
//		phantom_token_alg ES256|RS256|EdDSA|none
//		realm <text>
//		dry_run [true|false]
//		streams {
//			end_with_token|grace|max_age|recheck|jitter|close_code|sse_event <value>
//		}
//	}
func (c *Config) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start := directive.Begin(d)
	switch names := d.RemainingArgs(); len(names) {
	case 0:
	case 1:
		c.Provider = names[0]
	default:
		c.Providers = names
	}
	var once directive.Once
	places := make(map[string]caddyfile.Token)
	for d.NextBlock(0) {
		if err := once.Check(d, addingOptions...); err != nil {
			return err
		}
		places[d.Val()] = d.Token()
		known, err := c.unmarshalOption(d)
		if err == nil && !known {
			known, err = c.Config.UnmarshalCaddyfileSubdirective(d)
		}
		if err != nil {
			return err
		}
		if !known {
			return directive.Unknown(d, start.Val(), append(options, provider.Words()...)...)
		}
	}
	if err := c.check(); err != nil {
		if e, ok := errors.AsType[*provider.SettingError](err); ok && places[e.Setting].Line > 0 {
			return directive.At(places[e.Setting]).WrapErr(err)
		}
		return start.WrapErr(err)
	}
	return nil
}

// options are the subdirectives that are not those of a provider.
var options = []string{
	"anonymous", "anonymous_on", "token_from", "several_tokens", "optional", "pass_credentials", "consumer_mapping", "upstream_headers",
	"header", "header_each", "phantom_token_alg", "realm", "dry_run", "streams", "provider", "id",
}

// addingOptions are those that can stand several times.
var addingOptions = append(provider.Lists(), "header", "header_each", "token_from")

func (c *Config) unmarshalOption(d *caddyfile.Dispenser) (known bool, err error) {
	switch name := d.Val(); name {
	case "id":
		err = directive.SetID(d, &c.ID)
	case "provider":
		err = c.unmarshalProvider(d)
	case "anonymous":
		err = directive.SetString(d, &c.Anonymous)
	case "anonymous_on":
		err = directive.SetString(d, &c.AnonymousOn)
	case "token_from":
		return true, c.addPlace(d)
	case "several_tokens":
		err = directive.SetString(d, &c.SeveralTokens)
	case "optional":
		c.Optional = true
		if d.CountRemainingArgs() > 0 {
			c.Optional, err = directive.Bool(d)
		}
	case "dry_run":
		c.DryRun = true
		if d.CountRemainingArgs() > 0 {
			c.DryRun, err = directive.Bool(d)
		}
	case "pass_credentials":
		err = directive.SetString(d, &c.PassCredentials)
	case "phantom_token_alg":
		err = directive.SetString(d, &c.PhantomTokenAlg)
	case "realm":
		err = directive.SetString(d, &c.Realm)
	case "streams":
		c.Streams = new(streams.Config)
		return true, c.Streams.UnmarshalCaddyfile(d)
	case "consumer_mapping":
		c.ConsumerMapping, err = option(d)
	case "upstream_headers":
		c.UpstreamHeaders, err = option(d)
	case "header", "header_each":
		return true, UnmarshalHeader(d, &c.CustomHeaders, expressionVars...)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	if err := c.checkValues(); err != nil {
		return true, d.WrapErr(err)
	}
	return true, nil
}

// unmarshalProvider reads `provider embedded [<issuer> [<service>]]`.
func (c *Config) unmarshalProvider(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) > 0 && args[0] != "embedded":
		return d.Errf("provider %q: a provider of the app is named before the block; in the block write 'provider embedded [<issuer> [<service>]]' for the gluu_oauth_server of this process", args[0])
	case len(args) == 0 || len(args) > 3:
		return d.Err("write 'provider embedded [<issuer> [<service>]]' for the gluu_oauth_server of this process")
	case c.Embedded || len(args) > 1 && c.Config.Issuer != "":
		return d.Errf("provider embedded: the server is described twice; keep 'provider embedded [<issuer> [<service>]]'")
	}
	c.Embedded = true
	if len(args) > 1 {
		c.Config.Issuer = args[1]
	}
	if len(args) > 2 {
		c.Config.Service = args[2]
	}
	return nil
}

func option(d *caddyfile.Dispenser) (*bool, error) {
	value, err := directive.Bool(d)
	return &value, err
}

// UnmarshalHeader reads an option `header` or `header_each` and adds it to custom
// headers, whose expressions have these variables.
func UnmarshalHeader(d *caddyfile.Dispenser, custom *[]headers.HeaderConfig, vars ...string) error {
	name, args, most := d.Val(), d.RemainingArgs(), 4
	iterate := name == "header_each"
	if iterate {
		most = 3
	}
	if len(args) < 2 || len(args) > most {
		return d.Errf("%s takes a name, an expression and perhaps a format, got %d values: put an expression with spaces or quotes between backticks", name, len(args))
	}
	h := headers.HeaderConfig{HeaderName: args[0], Value: args[1], Iterate: iterate}
	if len(args) > 2 {
		h.Format = headers.Format(args[2])
	}
	if len(args) > 3 {
		h.Sep = args[3]
	}
	// All of them together, since two may have one name.
	all := append(slices.Clip(*custom), h)
	if _, err := headers.CompileSet(all, vars...); err != nil {
		return d.WrapErr(err)
	}
	*custom = all
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Config)(nil)
