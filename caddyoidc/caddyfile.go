// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/streams"
)

func init() {
	directive.RegisterHandler("gluu_openid_connect", parseOpenIDConnect)
}

func parseOpenIDConnect(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	o := new(OpenIDConnect)
	return o, o.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler. Syntax:
//
//	gluu_openid_connect [<matcher>] [<provider>] {
//		issuer|op_url|client_id|client_secret|... <value>   # a provider of its own, as in the app
//		id <name>
//		base_url <https origin>
//		authorization_redirect_path <path>
//		logout_path <path>
//		post_logout_redirect_path_or_url <path|url>
//		backchannel_logout_path <path>
//		frontchannel_logout_path <path>
//		initiate_login_path <path>
//		requested_scopes <scope>...
//		authorization_param <name> <value>
//		resource <uri>...
//		par auto|on|off
//		path <pattern> {
//			<method>... acr <value>... [max_age <duration>]
//			<method>... login [max_age <duration>]
//			<method>... no_auth
//		}
//		required_acrs_expression <json>
//		required_acrs_expression_file <path>
//		acr essential|voluntary
//		max_id_token_age <duration>
//		max_id_token_auth_age <duration> [optional]
//		idle_timeout <duration>
//		session_max_age <duration>
//		clock_leeway <duration>
//		refresh on|off
//		userinfo on|off [<interval>]
//		unauthenticated auto|login|deny|pass
//		restore_original_auth_params [true|false] [<max body>]
//		keep_fragment [true|false]
//		landing_path <path>
//		cookie_name <name>
//		cookie_domain <domain>
//		cookie_same_site lax|strict|none
//		accept_bearer [true|false]
//		access_token_upstream [true|false]
//		consumer_claim <claim>
//		anonymous <consumer>
//		consumer_mapping true|false
//		upstream_headers on|off
//		header <name> <expression> [string|base64|urlencoded|list|jwt] [<separator>]
//		header_each <name with {*}> <expression> [string|base64|urlencoded]
//		phantom_token_alg ES256|RS256|EdDSA|none
//		realm <text>
//		streams {
//			end_with_token|grace|max_age|recheck|jitter|close_code|sse_event <value>
//		}
//	}
func (c *Config) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	start, err := directive.BeginNamed(d, "provider", &c.Provider)
	if err != nil {
		return err
	}
	name := start.Val()
	p := &parser{config: c}
	var once directive.Once
	for d.NextBlock(0) {
		if err := once.Check(d, repeatable...); err != nil {
			return err
		}
		if err := p.option(d, name); err != nil {
			return err
		}
	}
	if err := p.finish(start); err != nil {
		return err
	}
	return directive.Located(start, c.check())
}

// repeatable are the options that can stand several times.
var repeatable = append(provider.Lists(), "authorization_param", "path", "resource", "header", "header_each")

// parser reads the options of one handler.
type parser struct {
	config *Config
	rules  []PathRule
	places []rulePlace
}

// rulePlace is where a path and its conditions stand.
type rulePlace struct {
	path       caddyfile.Token
	conditions []caddyfile.Token
}

func (p *parser) option(d *caddyfile.Dispenser, directiveName string) error {
	known, err := p.config.unmarshalValue(d)
	if !known && err == nil {
		known, err = p.unmarshalSpecial(d)
	}
	if !known && err == nil {
		known, err = p.config.Config.UnmarshalCaddyfileSubdirective(d)
	}
	switch {
	case err != nil:
		return err
	case !known:
		return directive.Unknown(d, directiveName, append(optionNames(), provider.Words()...)...)
	}
	// Each option is checked in its place, so that an error names its line.
	return directive.Located(d, p.config.checkValues())
}

// optionNames are the options of the handler itself, sorted.
func optionNames() []string {
	c := new(Config)
	var names []string
	for name := range c.values() {
		names = append(names, name)
	}
	names = append(names, "authorization_param", "path", "required_acrs_expression", "max_id_token_auth_age",
		"userinfo", "restore_original_auth_params", "header", "header_each")
	slices.Sort(names)
	return names
}

// values are the options with a plain value, by name.
func (c *Config) values() map[string]func(*caddyfile.Dispenser) error {
	return map[string]func(*caddyfile.Dispenser) error{
		"id":                               func(d *caddyfile.Dispenser) error { return directive.SetID(d, &c.ID) },
		"base_url":                         text(&c.BaseURL),
		"authorization_redirect_path":      text(&c.AuthorizationRedirectPath),
		"logout_path":                      text(&c.LogoutPath),
		"post_logout_redirect_path_or_url": text(&c.PostLogoutRedirectPathOrURL),
		"backchannel_logout_path":          text(&c.BackchannelLogoutPath),
		"frontchannel_logout_path":         text(&c.FrontchannelLogoutPath),
		"initiate_login_path":              text(&c.InitiateLoginPath),
		"requested_scopes":                 texts(&c.RequestedScopes),
		"resource":                         texts(&c.Resources),
		"par":                              text(&c.PAR),
		"required_acrs_expression_file":    text(&c.RequiredACRsExpressionFile),
		"acr":                              text(&c.ACR),
		"max_id_token_age":                 value(&c.MaxIDTokenAge, lifetime),
		"idle_timeout":                     pointer(&c.IdleTimeout, directive.Duration),
		"session_max_age":                  value(&c.SessionMaxAge, lifetime),
		"clock_leeway":                     pointer(&c.ClockLeeway, directive.Duration),
		"refresh":                          pointer(&c.Refresh, directive.Bool),
		"unauthenticated":                  text(&c.Unauthenticated),
		"keep_fragment":                    value(&c.KeepFragment, directive.Flag),
		"landing_path":                     text(&c.LandingPath),
		"cookie_name":                      text(&c.CookieName),
		"cookie_domain":                    text(&c.CookieDomain),
		"cookie_same_site":                 text(&c.CookieSameSite),
		"accept_bearer":                    value(&c.AcceptBearer, directive.Flag),
		"access_token_upstream":            value(&c.AccessTokenUpstream, directive.Flag),
		"consumer_claim":                   text(&c.ConsumerClaim),
		"anonymous":                        text(&c.Anonymous),
		"consumer_mapping":                 value(&c.ConsumerMapping, directive.Bool),
		"upstream_headers":                 pointer(&c.UpstreamHeaders, directive.Bool),
		"phantom_token_alg":                text(&c.PhantomTokenAlg),
		"realm":                            text(&c.Realm),
	}
}

func text(field *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error { return directive.SetString(d, field) }
}

func texts(field *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error { return directive.AddStrings(d, field) }
}

func value[T any](field *T, read func(*caddyfile.Dispenser) (T, error)) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) (err error) {
		*field, err = read(d)
		return err
	}
}

func pointer[T any](field **T, read func(*caddyfile.Dispenser) (T, error)) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		read, err := read(d)
		*field = &read
		return err
	}
}

func (c *Config) unmarshalValue(d *caddyfile.Dispenser) (known bool, err error) {
	read, known := c.values()[d.Val()]
	if !known {
		return false, nil
	}
	return true, read(d)
}

// unmarshalSpecial reads the options that take more than one value.
func (p *parser) unmarshalSpecial(d *caddyfile.Dispenser) (known bool, err error) {
	c := p.config
	switch d.Val() {
	case "authorization_param":
		args := d.RemainingArgs()
		if len(args) != 2 {
			return true, d.Errf("authorization_param takes a name and a value, as in 'authorization_param ui_locales de'; got %d values", len(args))
		}
		c.AuthorizationParams = append(c.AuthorizationParams, AuthorizationParam{args[0], args[1]})
		return true, nil
	case "max_id_token_auth_age":
		return true, c.unmarshalAuthAge(d)
	case "userinfo":
		return true, c.unmarshalUserinfo(d)
	case "restore_original_auth_params":
		return true, c.unmarshalRestore(d)
	case "required_acrs_expression":
		return true, c.unmarshalExpression(d)
	case "path":
		return true, p.unmarshalPath(d)
	case "header", "header_each":
		return true, identity.UnmarshalHeader(d, &c.CustomHeaders, expressionVars...)
	case "streams":
		c.Streams = new(streams.Config)
		return true, c.Streams.UnmarshalCaddyfile(d)
	}
	return false, nil
}

func (c *Config) unmarshalAuthAge(d *caddyfile.Dispenser) (err error) {
	args := d.RemainingArgsAsTokens()
	if len(args) == 2 && args[1].Text == "optional" {
		c.MaxIDTokenAuthAgeOptional = true
		args = args[:1]
	}
	if len(args) != 1 {
		return d.Errf("max_id_token_auth_age takes a duration and perhaps the word optional, as in 'max_id_token_auth_age 24h optional'")
	}
	c.MaxIDTokenAuthAge, err = durationOf("max_id_token_auth_age", args[0])
	return err
}

func (c *Config) unmarshalUserinfo(d *caddyfile.Dispenser) (err error) {
	args := d.RemainingArgsAsTokens()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("userinfo takes on or off, and perhaps an interval, as in 'userinfo on 15m'")
	}
	on, err := boolOf("userinfo", args[0])
	c.Userinfo = &on
	if err == nil && len(args) == 2 {
		c.UserinfoInterval, err = durationOf("userinfo", args[1])
	}
	return err
}

func (c *Config) unmarshalRestore(d *caddyfile.Dispenser) (err error) {
	args := d.RemainingArgsAsTokens()
	c.RestoreOriginalAuthParams = true
	if len(args) > 0 {
		if c.RestoreOriginalAuthParams, err = boolOf("restore_original_auth_params", args[0]); err != nil {
			return err
		}
	}
	switch {
	case len(args) > 2:
		return d.Errf("restore_original_auth_params takes true or false, and perhaps a size, as in 'restore_original_auth_params true 128KiB'")
	case len(args) == 2:
		size, err := humanize.ParseBytes(args[1].Text)
		if err != nil || size == 0 || size > maxRestoreBody {
			return directive.At(args[1]).Errf("restore_original_auth_params: %q is not a size up to 1MiB; write it as in 64KiB", args[1].Text)
		}
		c.RestoreMaxBody = int64(size)
	}
	return nil
}

func (c *Config) unmarshalExpression(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("required_acrs_expression takes one JSON document; write it between backticks or as a heredoc")
	}
	parsed, err := parseRules([]byte(args[0]))
	if err != nil {
		return d.Errf("required_acrs_expression: %w", err)
	}
	c.RequiredACRsExpression, err = json.Marshal(parsed)
	return err
}

func (p *parser) unmarshalPath(d *caddyfile.Dispenser) error {
	args := d.RemainingArgsAsTokens()
	if len(args) != 1 {
		return d.Errf("path takes one pattern and a block, as in 'path /pay/?? { ? acr gold }'")
	}
	rule, place := PathRule{Path: args[0].Text}, rulePlace{path: args[0]}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		place.conditions = append(place.conditions, d.Token())
		condition, err := unmarshalCondition(d)
		if err != nil {
			return err
		}
		rule.Conditions = append(rule.Conditions, condition)
	}
	p.rules, p.places = append(p.rules, rule), append(p.places, place)
	return nil
}

// unmarshalCondition reads one line: methods, one of the words acr, login and
// no_auth, and what belongs to it.
func unmarshalCondition(d *caddyfile.Dispenser) (condition Condition, err error) {
	tokens := append([]caddyfile.Token{d.Token()}, d.RemainingArgsAsTokens()...)
	words := make([]string, len(tokens))
	for i, token := range tokens {
		words[i] = token.Text
	}
	at := slices.IndexFunc(words, func(word string) bool { return word == "acr" || word == "login" || word == "no_auth" })
	if at < 1 {
		return condition, d.Errf("a rule is '<method>... acr <value>... [max_age <duration>]', '<method>... login' or '<method>... no_auth', with ? for any method")
	}
	condition.HTTPMethods = words[:at]
	word, rest := words[at], words[at+1:]
	condition.NoAuth = word == "no_auth"
	if age := slices.Index(rest, "max_age"); age >= 0 {
		if age != len(rest)-2 {
			return condition, d.Errf("write max_age at the end of the line, with a duration, as in 'max_age 5m'")
		}
		length, err := durationOf("max_age", tokens[len(tokens)-1])
		if err != nil {
			return condition, err
		}
		if condition.MaxAge = int64(time.Duration(length) / time.Second); condition.MaxAge < 1 {
			return condition, d.Errf("max_age is %s; it takes a second at least", rest[age+1])
		}
		rest = rest[:age]
	}
	switch {
	case word == "acr" && len(rest) == 0:
		return condition, d.Errf("acr takes one or more authentication contexts, as in '? acr gold'")
	case word == "acr":
		condition.RequiredACRs = rest
	case len(rest) > 0:
		return condition, d.Errf("%s takes no value; remove %q", word, rest[0])
	}
	return condition, nil
}

// finish checks the rules as a whole and puts them into the configuration.
func (p *parser) finish(start *caddyfile.Dispenser) error {
	if len(p.rules) == 0 {
		return nil
	}
	if len(p.config.RequiredACRsExpression) > 0 || p.config.RequiredACRsExpressionFile != "" {
		return start.Errf("path blocks and a required_acrs_expression exclude each other; put all rules in one of the two")
	}
	if _, err := compileRules(p.rules); err != nil {
		token := p.places[0].path
		if wrong, ok := errors.AsType[*ruleError](err); ok {
			token = p.places[wrong.rule].path
			if wrong.condition >= 0 {
				token = p.places[wrong.rule].conditions[wrong.condition]
			}
		}
		return directive.At(token).WrapErr(err)
	}
	document, err := json.Marshal(p.rules)
	p.config.RequiredACRsExpression = document
	return err
}

// lifetime reads a duration that cannot be zero: what lasts no time would be taken
// for an option that is left out.
func lifetime(d *caddyfile.Dispenser) (caddy.Duration, error) {
	option := d.Val()
	read, err := directive.Duration(d)
	if err == nil && read == 0 {
		err = d.WrapErr(noLifetime(option))
	}
	return read, err
}

func noLifetime(option string) error {
	return fmt.Errorf("%s is 0s; it takes a second at least, as in 30m", option)
}

// durationOf and boolOf read one of several arguments of an option.
func durationOf(option string, token caddyfile.Token) (caddy.Duration, error) {
	duration, err := caddy.ParseDuration(token.Text)
	if err != nil || duration < 0 {
		return 0, directive.At(token).Errf("%s: %q is not a duration; write it as in 30s, 10m or 1h", option, token.Text)
	}
	if duration == 0 {
		return 0, directive.At(token).WrapErr(noLifetime(option))
	}
	return caddy.Duration(duration), nil
}

func boolOf(option string, token caddyfile.Token) (bool, error) {
	switch token.Text {
	case "true", "on":
		return true, nil
	case "false", "off":
		return false, nil
	}
	return false, directive.At(token).Errf("%s is on or off, not %q", option, token.Text)
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Config)(nil)
