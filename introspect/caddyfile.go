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

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/sessionpool"
	"github.com/caddy-gluu/gateway/internal/store"
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
//			issuers <url|word>...
//			tenants <id>...|*
//			discovery_url <url>
//			insecure_hosts <host>...
//			client_id <id>
//			client_secret <secret>
//			client_auth client_secret_basic|client_secret_basic_raw|client_secret_post|client_secret_jwt|private_key_jwt|tls_client_auth|none
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
//			client_id_claims <claim>...
//			grants <claim path> [<prefix>]
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
//			max_token <size>
//		}
//		consumer <username> {
//			id <uuid>
//			custom_id <oauth client id> [<provider>]
//			tags <tag>...
//			groups <group>...
//		}
//		cache {
//			size <tokens>
//			memory <size>
//			max_age <duration>
//			negative_age <duration>
//			redis <url>
//			redis_key <secret>
//		}
//		store embedded|postgres <dsn>|redis <url> [{ ... }]
//		session {
//			store embedded|postgres <dsn>|redis <url> [{ ... }]
//			key <secret>...
//			size <sessions>
//			store_grace <duration>
//		}
//		opa [<name>] {
//			...   # see caddyopa.Engine
//		}
//		signing_key <file>
//		signing_issuer <issuer>
//		signing_rotation <duration>
//		error_format json|caddy
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the option's name
	if d.NextArg() {
		return d.Errf("gluu takes a block and no values, got %q: write the settings into the block", d.Val())
	}
	var once directive.Once
	var stores []func() error                           // that have a key, which may be the cache's
	places := make([]caddyfile.Token, len(a.Consumers)) // of consumers; those of an earlier block need none
	clients := make(map[string]caddyfile.Token)         // where consumers name their provider
	for d.NextBlock(0) {
		err := once.Check(d, "provider", "consumer", "cache", "opa")
		if err != nil {
			return err
		}
		switch d.Val() {
		case "provider":
			err = a.parseProvider(d)
		case "consumer":
			places = append(places, d.Token())
			err = a.parseConsumer(d, clients)
		case "cache":
			err = a.parseCache(d)
		case "store":
			stores = append(stores, a.needsKey(d, func() json.RawMessage { return a.StoreRaw }))
			err = sessionpool.UnmarshalStore(d, &a.StoreRaw)
		case "session":
			a.Session = new(sessionpool.Config)
			stores = append(stores, a.needsKey(d, func() json.RawMessage { return a.Session.StoreRaw }))
			err = a.Session.UnmarshalCaddyfile(d)
		case "opa":
			err = a.parseOPA(d)
		case "signing_key":
			if err = directive.SetString(d, &a.SigningKey); err == nil {
				err = directive.CheckFile(d, "signing_key", a.SigningKey)
			}
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
			err = directive.Unknown(d, "gluu", "provider", "consumer", "cache", "store", "session", "opa", "signing_key", "signing_issuer", "signing_rotation", "error_format")
		}
		if err != nil {
			return err
		}
	}
	for _, check := range stores {
		if err := check(); err != nil {
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
	return a.checkConsumers(clients)
}

// checkConsumers refuses a consumer of a provider that does not exist. Where no
// provider is known, a later block of the option may have them.
func (a *App) checkConsumers(clients map[string]caddyfile.Token) error {
	for i := range a.Consumers {
		c := &a.Consumers[i]
		place, here := clients[c.Username]
		if here && c.Provider != "" && a.Providers[c.Provider] == nil && len(a.Providers) > 0 {
			return directive.At(place).WrapErr(fmt.Errorf("consumer %q: custom_id %q: %w", c.Username, c.CustomID, unknownProvider(c.Provider, slices.Sorted(maps.Keys(a.Providers)))))
		}
	}
	return nil
}

// needsKey returns a check, for when the cache is read too, that a store has a key.
func (a *App) needsKey(d *caddyfile.Dispenser, settings func() json.RawMessage) func() error {
	at := directive.At(d.Token())
	return func() error {
		if store.LacksKey(settings()) && a.CacheKey() == "" {
			return at.Errf("%s: %v", at.Val(), store.ErrNoKey)
		}
		return nil
	}
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
		return block.Errf("a provider has one name, got also %q: remove it", block.Val())
	}
	if err := provider.CheckName(name); err != nil {
		return block.WrapErr(err)
	}
	if _, twice := a.Providers[name]; twice {
		return block.Errf("there are two providers named %q: give this one another name, 'provider <name> {'", name)
	}
	p := new(Provider)
	var once directive.Once
	places := make(map[string]caddyfile.Token)
	for nesting := block.Nesting(); block.NextBlock(nesting); {
		if err := once.Check(block, provider.Lists()...); err != nil {
			return err
		}
		places[block.Val()] = block.Token()
		handled, err := p.UnmarshalCaddyfileSubdirective(block)
		if err != nil {
			return err
		}
		if !handled {
			return directive.Unknown(block, "provider", provider.Words()...)
		}
	}
	if err := p.Check(); err != nil {
		if e, ok := errors.AsType[*provider.SettingError](err); ok && places[e.Setting].Line > 0 {
			return directive.At(places[e.Setting]).WrapErr(err)
		}
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

func (a *App) parseConsumer(d *caddyfile.Dispenser, clients map[string]caddyfile.Token) error {
	block := d.NewFromNextSegment()
	block.Next() // consumer
	var c consumer.Consumer
	places := map[string]caddyfile.Token{"username": block.Token()}
	if !block.NextArg() {
		return block.Err("a consumer needs a name: write 'consumer <username> {'")
	}
	c.Username = block.Val()
	if block.NextArg() {
		return block.Errf("a consumer has one username, got also %q: remove it", block.Val())
	}
	for nesting := block.Nesting(); block.NextBlock(nesting); {
		places[block.Val()] = block.Token()
		var err error
		switch block.Val() {
		case "id":
			err = directive.SetString(block, &c.ID)
		case "custom_id":
			clients[c.Username] = block.Token()
			err = parseCustomID(block, &c)
		case "tags":
			err = directive.AddStrings(block, &c.Tags)
		case "groups":
			err = directive.AddStrings(block, &c.Groups)
		default:
			err = directive.Unknown(block, "consumer", "id", "custom_id", "tags", "groups")
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

// parseCustomID reads a client id and perhaps the provider that it belongs to.
func parseCustomID(d *caddyfile.Dispenser, c *consumer.Consumer) error {
	args := d.RemainingArgs()
	switch {
	case c.CustomID != "":
		return d.Errf("custom_id is set twice: write one consumer for each client")
	case len(args) == 0 || len(args) > 2:
		return d.Errf("custom_id takes a client id and perhaps the name of its provider, got %d values", len(args))
	case slices.Contains(args, ""):
		return d.Errf("custom_id is empty: write a value or remove it")
	}
	if c.CustomID = args[0]; len(args) == 2 {
		c.Provider = args[1]
	}
	return nil
}

func (a *App) parseCache(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("cache takes a block and no values, got %q: write the settings into the block", d.Val())
	}
	if a.Cache == nil {
		a.Cache = new(CacheConfig)
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "size":
			err = directive.Set(d, &a.Cache.Size, directive.Positive)
		case "memory":
			err = directive.Set(d, &a.Cache.Memory, directive.Bytes)
		case "max_age":
			err = directive.Set(d, &a.Cache.MaxAge, age)
		case "negative_age":
			err = directive.Set(d, &a.Cache.NegativeAge, age)
		case "redis":
			err = directive.SetString(d, &a.Cache.Redis)
		case "redis_key":
			err = directive.SetString(d, &a.Cache.RedisKey)
		default:
			err = directive.Unknown(d, "cache", "size", "max_age", "negative_age", "memory", "redis", "redis_key")
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
