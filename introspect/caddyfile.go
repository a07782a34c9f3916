// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("gluu", parseGlobalOption)
}

// parseGlobalOption parses the global option `gluu`. It may stand several
// times, say in imported files; what they say adds up.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	app := new(App)
	if before, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(before.Value, app); err != nil {
			return nil, d.WrapErr(err)
		}
	}
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "gluu", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile parses the app. Syntax:
//
//	gluu {
//		provider [<name>] {
//			issuer <url>
//			client_id <id>
//			client_secret <secret>
//			client_auth client_secret_basic|client_secret_post|client_secret_jwt|private_key_jwt|tls_client_auth|none
//			client_key <file> [<kid>]
//			client_certificate <certificate file> <key file>
//			register [{
//				initial_access_token <token>
//				client_name <name>
//				scopes <scope>...
//			}]
//			verify auto|jwt|introspection
//			algorithms <algorithm>...
//			audience <audience>...
//			introspection_endpoint <url>
//			jwks_uri <url>
//			token_endpoint <url>
//			revocation_endpoint <url>
//			registration_endpoint <url>
//			uma_configuration <url>
//			permission_endpoint <url>
//			resource_registration_endpoint <url>
//			endpoint_hosts <host>...
//			introspection_signed true|false
//			dpop_nonce true|false
//			trust_pool <module> ...
//			timeout <duration>
//			stale_if_error <duration>
//		}
//		consumer <username> {
//			id <uuid>
//			custom_id <oauth client id>
//			tags <tag>...
//		}
//		cache {
//			size <tokens>
//			max_age <duration>
//			negative_age <duration>
//			redis <url>
//			redis_key <secret>
//		}
//		signing_key <file>
//		signing_issuer <issuer>
//		signing_rotation <duration>
//		error_format json|caddy
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the option's name
	if d.NextArg() {
		return d.Errf("gluu takes a block and no values, got '%s'", d.Val())
	}
	var once directive.Once
	places := make([]caddyfile.Token, len(a.Consumers)) // of consumers; those of an earlier block need none
	for d.NextBlock(0) {
		err := once.Check(d, "provider", "consumer", "cache")
		if err != nil {
			return err
		}
		switch d.Val() {
		case "provider":
			err = a.parseProvider(d)
		case "consumer":
			places = append(places, d.Token())
			err = a.parseConsumer(d)
		case "cache":
			err = a.parseCache(d)
		case "signing_key":
			err = directive.SetString(d, &a.SigningKey)
		case "signing_issuer":
			err = directive.SetString(d, &a.SigningIssuer)
		case "signing_rotation":
			if err = directive.Set(d, &a.SigningRotation, directive.Duration); err == nil {
				err = directive.Located(d, a.check())
			}
		case "error_format":
			if err = directive.SetString(d, &a.ErrorFormat); err == nil {
				err = directive.Located(d, a.check())
			}
		default:
			err = directive.Unknown(d, "gluu", "provider", "consumer", "cache", "signing_key", "signing_issuer", "signing_rotation", "error_format")
		}
		if err != nil {
			return err
		}
	}
	// Each option was checked in its place; this is for those that clash.
	if err := a.check(); err != nil {
		return d.WrapErr(err)
	}
	if _, err := consumer.NewDirectory(a.Consumers, nil); err != nil {
		return directive.At(places[clashing(a.Consumers)]).WrapErr(err)
	}
	return nil
}

// clashing returns the position of the first consumer that cannot be beside
// those before it. There is one.
func clashing(consumers []consumer.Consumer) int {
	return sort.Search(len(consumers)-1, func(last int) bool {
		_, err := consumer.NewDirectory(consumers[:last+1], nil)
		return err != nil
	})
}

func (a *App) parseProvider(d *caddyfile.Dispenser) error {
	block := d.NewFromNextSegment()
	block.Next() // provider
	name := DefaultProvider
	if block.NextArg() {
		name = block.Val()
	}
	if block.NextArg() {
		return block.Errf("a provider has one name, got '%s' besides", block.Val())
	}
	if err := checkProviderName(name); err != nil {
		return block.WrapErr(err)
	}
	if _, twice := a.Providers[name]; twice {
		return block.Errf("there is a provider '%s' already: give this one another name, 'provider <name> {'", name)
	}
	p := new(Provider)
	var once directive.Once
	for nesting := block.Nesting(); block.NextBlock(nesting); {
		if err := once.Check(block, providerLists...); err != nil {
			return err
		}
		handled, err := p.UnmarshalCaddyfileSubdirective(block)
		if err != nil {
			return err
		}
		if !handled {
			return directive.Unknown(block, "provider", ProviderWords()...)
		}
	}
	if err := p.Check(); err != nil {
		block.Reset()
		block.Next()
		return block.Errf("provider %s: %v", name, err)
	}
	if a.Providers == nil {
		a.Providers = make(map[string]*Provider)
	}
	a.Providers[name] = p
	return nil
}

func (a *App) parseConsumer(d *caddyfile.Dispenser) error {
	block := d.NewFromNextSegment()
	block.Next() // consumer
	var c consumer.Consumer
	places := map[string]caddyfile.Token{"username": block.Token()}
	if !block.NextArg() {
		return block.Err("a consumer needs a name: write 'consumer <username> {'")
	}
	c.Username = block.Val()
	if block.NextArg() {
		return block.Errf("a consumer has one username, got '%s' besides", block.Val())
	}
	for nesting := block.Nesting(); block.NextBlock(nesting); {
		places[block.Val()] = block.Token()
		var err error
		switch block.Val() {
		case "id":
			err = directive.SetString(block, &c.ID)
		case "custom_id":
			err = directive.SetString(block, &c.CustomID)
		case "tags":
			err = directive.AddStrings(block, &c.Tags)
		default:
			err = directive.Unknown(block, "consumer", "id", "custom_id", "tags")
		}
		if err != nil {
			return err
		}
	}
	if _, err := consumer.NewDirectory([]consumer.Consumer{c}, nil); err != nil {
		at := places["username"]
		if e, ok := errors.AsType[*consumer.InvalidError](err); ok {
			at = places[e.Field]
		}
		return directive.At(at).WrapErr(err)
	}
	a.Consumers = append(a.Consumers, c)
	return nil
}

func (a *App) parseCache(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("cache takes a block and no values, got '%s'", d.Val())
	}
	if a.Cache == nil {
		a.Cache = new(CacheConfig)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "size":
			err = directive.Set(d, &a.Cache.Size, directive.Positive)
		case "max_age":
			err = directive.Set(d, &a.Cache.MaxAge, age)
		case "negative_age":
			err = directive.Set(d, &a.Cache.NegativeAge, age)
		case "redis":
			err = directive.SetString(d, &a.Cache.Redis)
		case "redis_key":
			err = directive.SetString(d, &a.Cache.RedisKey)
		default:
			err = directive.Unknown(d, "cache", "size", "max_age", "negative_age", "redis", "redis_key")
		}
		if err == nil {
			err = directive.Located(d, a.Cache.checkValues(directive.HasPlaceholder))
		}
		if err != nil {
			return err
		}
	}
	return directive.Located(d, a.Cache.Check())
}

// UnmarshalCaddyfileSubdirective parses the setting of a provider on which the
// dispenser stands. A handler with a provider of its own calls it for words
// that are not its own; handled is false if the word is none of a provider's
// either. The handler sees to it that no word but those of ProviderLists stands
// twice, and calls Check when the block is over.
func (c *ProviderConfig) UnmarshalCaddyfileSubdirective(d *caddyfile.Dispenser) (handled bool, err error) {
	parse, ok := providerWords[d.Val()]
	if !ok {
		return false, nil
	}
	if err := parse(c, d); err != nil {
		return true, err
	}
	return true, directive.Located(d, c.checkValues(directive.HasPlaceholder))
}

// ProviderWords returns the names of all settings of a provider, for a handler
// that has to say which words there are.
func ProviderWords() []string { return slices.Sorted(maps.Keys(providerWords)) }

// ProviderLists returns the names of those settings of a provider that can
// stand several times, since their values add up.
func ProviderLists() []string { return slices.Clone(providerLists) }

var providerLists = []string{"algorithms", "audience", "endpoint_hosts"}

type parseWord func(c *ProviderConfig, d *caddyfile.Dispenser) error

var providerWords = map[string]parseWord{
	"issuer":                         text(func(c *ProviderConfig) *string { return &c.Issuer }),
	"op_url":                         text(func(c *ProviderConfig) *string { return &c.OPURL }),
	"client_id":                      text(func(c *ProviderConfig) *string { return &c.ClientID }),
	"client_secret":                  text(func(c *ProviderConfig) *string { return &c.ClientSecret }),
	"client_auth":                    text(func(c *ProviderConfig) *string { return &c.ClientAuth }),
	"verify":                         text(func(c *ProviderConfig) *string { return &c.Verify }),
	"introspection_endpoint":         text(func(c *ProviderConfig) *string { return &c.IntrospectionEndpoint }),
	"jwks_uri":                       text(func(c *ProviderConfig) *string { return &c.JWKSURI }),
	"token_endpoint":                 text(func(c *ProviderConfig) *string { return &c.TokenEndpoint }),
	"revocation_endpoint":            text(func(c *ProviderConfig) *string { return &c.RevocationEndpoint }),
	"registration_endpoint":          text(func(c *ProviderConfig) *string { return &c.RegistrationEndpoint }),
	"uma_configuration":              text(func(c *ProviderConfig) *string { return &c.UMAConfiguration }),
	"permission_endpoint":            text(func(c *ProviderConfig) *string { return &c.PermissionEndpoint }),
	"algorithms":                     list(func(c *ProviderConfig) *[]string { return &c.Algorithms }),
	"audience":                       list(func(c *ProviderConfig) *[]string { return &c.Audience }),
	"endpoint_hosts":                 list(func(c *ProviderConfig) *[]string { return &c.EndpointHosts }),
	"resource_registration_endpoint": text(func(c *ProviderConfig) *string { return &c.ResourceRegistrationEndpoint }),

	"client_key":         (*ProviderConfig).parseClientKey,
	"client_certificate": (*ProviderConfig).parseClientCertificate,
	"register":           (*ProviderConfig).parseRegister,
	"trust_pool":         (*ProviderConfig).parseTrustPool,
	"introspection_signed": func(c *ProviderConfig, d *caddyfile.Dispenser) error {
		signed, err := directive.Bool(d)
		c.IntrospectionSigned = &signed
		return err
	},
	"dpop_nonce": func(c *ProviderConfig, d *caddyfile.Dispenser) (err error) {
		c.DPoPNonce, err = directive.Bool(d)
		return err
	},
	"timeout": func(c *ProviderConfig, d *caddyfile.Dispenser) (err error) {
		c.Timeout, err = directive.Duration(d)
		if err == nil && c.Timeout == 0 {
			return d.Err("timeout cannot be 0: every request would fail")
		}
		return err
	},
	"stale_if_error": func(c *ProviderConfig, d *caddyfile.Dispenser) (err error) {
		c.StaleIfError, err = directive.Duration(d)
		return err
	},
}

func text(field func(*ProviderConfig) *string) parseWord {
	return func(c *ProviderConfig, d *caddyfile.Dispenser) error { return directive.SetString(d, field(c)) }
}

func list(field func(*ProviderConfig) *[]string) parseWord {
	return func(c *ProviderConfig, d *caddyfile.Dispenser) error { return directive.AddStrings(d, field(c)) }
}

func (c *ProviderConfig) parseClientKey(d *caddyfile.Dispenser) error {
	switch args := d.RemainingArgs(); len(args) {
	case 2:
		c.ClientKeyID = args[1]
		fallthrough
	case 1:
		c.ClientKey = args[0]
		return nil
	default:
		return d.Errf("client_key takes a file and perhaps a key id: write 'client_key <file> [<kid>]'")
	}
}

func (c *ProviderConfig) parseClientCertificate(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&c.ClientCertificate, &c.ClientCertificateKey) {
		return d.Errf("client_certificate takes two files: write 'client_certificate <certificate file> <key file>'")
	}
	return nil
}

func (c *ProviderConfig) parseRegister(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		// Not the value itself: it may well be a token.
		return d.Err("register takes a block and no values: write 'initial_access_token <token>' into the block if that is what it is")
	}
	if c.Register == nil {
		c.Register = new(Registration)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "initial_access_token":
			err = directive.SetString(d, &c.Register.InitialAccessToken)
		case "client_name":
			err = directive.SetString(d, &c.Register.ClientName)
		case "scopes":
			err = directive.AddStrings(d, &c.Register.Scopes)
		default:
			err = directive.Unknown(d, "register", "initial_access_token", "client_name", "scopes")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *ProviderConfig) parseTrustPool(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("trust_pool takes the name of a module: write 'trust_pool file <pem file>', say")
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "tls.ca_pool.source."+name)
	if err != nil {
		return fmt.Errorf("trust_pool %s: %w", name, err) // which names the line already
	}
	ca, ok := module.(caddytls.CA)
	if !ok {
		return d.Errf("trust_pool %s is no source of certificate authorities", name)
	}
	c.TrustPoolRaw = caddyconfig.JSONModuleObject(ca, "provider", name, nil)
	return nil
}

func age(d *caddyfile.Dispenser) (caddy.Duration, error) {
	name := d.Val()
	value, err := directive.Duration(d)
	if err == nil && value == 0 {
		return 0, d.Errf("%s cannot be 0: every request would have its token verified anew", name)
	}
	return value, err
}

// Interface guards
var _ caddyfile.Unmarshaler = (*App)(nil)
