// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-gluu/gateway/directive"
)

// UnmarshalCaddyfileSubdirective parses the provider setting at the dispenser's
// position. A handler with a provider of its own calls it for options that it
// does not know; handled is false if a provider does not know the option
// either. The handler refuses repeated options except those of Lists, and calls
// Check at the end of the block.
func (c *Config) UnmarshalCaddyfileSubdirective(d *caddyfile.Dispenser) (handled bool, err error) {
	parse, ok := parsers[d.Val()]
	if !ok {
		return false, nil
	}
	if err := parse(c, d); err != nil {
		return true, err
	}
	if err := c.checkPlaceholders(); err != nil {
		return true, d.WrapErr(err)
	}
	return true, directive.Located(d, c.checkValues(directive.HasPlaceholder))
}

// Words returns the names of all settings of a provider, for a handler
// that has to say which words there are.
func Words() []string { return slices.Sorted(maps.Keys(parsers)) }

// Lists returns the names of those settings of a provider that can
// stand several times, since their values add up.
func Lists() []string { return slices.Clone(lists) }

var lists = []string{"algorithms", "audience", "client_id_claims", "endpoint_hosts", "grants", "insecure_hosts", "issuers", "tenants"}

type parseWord func(c *Config, d *caddyfile.Dispenser) error

var parsers = map[string]parseWord{
	"issuer":                         text(func(c *Config) *string { return &c.Issuer }),
	"service":                        text(func(c *Config) *string { return &c.Service }),
	"discovery_url":                  text(func(c *Config) *string { return &c.DiscoveryURL }),
	"issuers":                        list(func(c *Config) *[]string { return &c.Issuers }),
	"tenants":                        list(func(c *Config) *[]string { return &c.Tenants }),
	"insecure_hosts":                 list(func(c *Config) *[]string { return &c.InsecureHosts }),
	"op_url":                         text(func(c *Config) *string { return &c.OPURL }),
	"client_id":                      text(func(c *Config) *string { return &c.ClientID }),
	"client_secret":                  text(func(c *Config) *string { return &c.ClientSecret }),
	"client_auth":                    text(func(c *Config) *string { return &c.ClientAuth }),
	"verify":                         text(func(c *Config) *string { return &c.Verify }),
	"introspection_endpoint":         text(func(c *Config) *string { return &c.IntrospectionEndpoint }),
	"jwks_uri":                       text(func(c *Config) *string { return &c.JWKSURI }),
	"token_endpoint":                 text(func(c *Config) *string { return &c.TokenEndpoint }),
	"revocation_endpoint":            text(func(c *Config) *string { return &c.RevocationEndpoint }),
	"registration_endpoint":          text(func(c *Config) *string { return &c.RegistrationEndpoint }),
	"uma_configuration":              text(func(c *Config) *string { return &c.UMAConfiguration }),
	"permission_endpoint":            text(func(c *Config) *string { return &c.PermissionEndpoint }),
	"algorithms":                     list(func(c *Config) *[]string { return &c.Algorithms }),
	"audience":                       list(func(c *Config) *[]string { return &c.Audience }),
	"client_id_claims":               list(func(c *Config) *[]string { return &c.ClientIDClaims }),
	"endpoint_hosts":                 list(func(c *Config) *[]string { return &c.EndpointHosts }),
	"resource_registration_endpoint": text(func(c *Config) *string { return &c.ResourceRegistrationEndpoint }),

	"client_key":         (*Config).parseClientKey,
	"grants":             (*Config).parseGrant,
	"client_certificate": (*Config).parseClientCertificate,
	"register":           (*Config).parseRegister,
	"trust_pool":         (*Config).parseTrustPool,
	"embedded": func(c *Config, d *caddyfile.Dispenser) (err error) {
		c.Embedded = true
		if d.CountRemainingArgs() > 0 {
			c.Embedded, err = directive.Bool(d)
		}
		return err
	},
	"introspection_signed": func(c *Config, d *caddyfile.Dispenser) error {
		signed, err := directive.Bool(d)
		c.IntrospectionSigned = &signed
		return err
	},
	"dpop_nonce": func(c *Config, d *caddyfile.Dispenser) (err error) {
		c.DPoPNonce, err = directive.Bool(d)
		return err
	},
	"timeout": func(c *Config, d *caddyfile.Dispenser) (err error) {
		c.Timeout, err = directive.Duration(d)
		if err == nil && c.Timeout == 0 {
			return d.Err("timeout cannot be 0: every request would fail")
		}
		return err
	},
	"max_token": func(c *Config, d *caddyfile.Dispenser) error {
		return directive.Set(d, &c.MaxToken, directive.Bytes)
	},
	"stale_if_error": func(c *Config, d *caddyfile.Dispenser) (err error) {
		c.StaleIfError, err = directive.Duration(d)
		return err
	},
}

func text(field func(*Config) *string) parseWord {
	return func(c *Config, d *caddyfile.Dispenser) error { return directive.SetString(d, field(c)) }
}

func list(field func(*Config) *[]string) parseWord {
	return func(c *Config, d *caddyfile.Dispenser) error { return directive.AddStrings(d, field(c)) }
}

func (c *Config) parseClientKey(d *caddyfile.Dispenser) error {
	switch args := d.RemainingArgs(); len(args) {
	case 2:
		c.ClientKeyID = args[1]
		fallthrough
	case 1:
		c.ClientKey = args[0]
		return directive.CheckFile(d, "client_key", c.ClientKey)
	default:
		return d.Errf("client_key takes a file and perhaps a key id: write 'client_key <file> [<kid>]'")
	}
}

func (c *Config) parseGrant(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("grants takes the path of a claim and perhaps a prefix: write 'grants <claim path> [<prefix>]', one line for each claim")
	}
	grant := Grant{Claim: args[0]}
	if len(args) == 2 {
		if grant.Prefix = args[1]; grant.Prefix == "" {
			return d.Errf("the prefix of grants %s is empty: write one or leave it out", grant.Claim)
		}
	}
	c.Grants = append(c.Grants, grant)
	return nil
}

func (c *Config) parseClientCertificate(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&c.ClientCertificate, &c.ClientCertificateKey) {
		return d.Errf("client_certificate takes two files: write 'client_certificate <certificate file> <key file>'")
	}
	for _, file := range []string{c.ClientCertificate, c.ClientCertificateKey} {
		if err := directive.CheckFile(d, "client_certificate", file); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) parseRegister(d *caddyfile.Dispenser) error {
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

func (c *Config) parseTrustPool(d *caddyfile.Dispenser) error {
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
		return d.Errf("trust_pool %s is not a source of certificate authorities: write 'trust_pool file <path>' or 'trust_pool system'", name)
	}
	c.TrustPoolRaw = caddyconfig.JSONModuleObject(ca, "provider", name, nil)
	return nil
}
