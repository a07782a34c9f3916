// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"regexp"

	"github.com/caddy-gluu/gateway/directive"
)

// Resolve replaces the placeholders that Caddy knows when a configuration
// loads. Others are refused, so no request can choose an address or a secret.
func (c *Config) Resolve() error {
	return c.eachText(func(name string, value *string) error {
		resolve := directive.Resolve
		if isIssuer(name) {
			resolve = resolveIssuer
		}
		resolved, err := resolve(*value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*value = resolved
		return nil
	})
}

// checkPlaceholders refuses the placeholders that Resolve will refuse whatever
// their values: a Caddyfile parser names their line.
func (c *Config) checkPlaceholders() error {
	return c.eachText(func(name string, value *string) error {
		text := *value
		if isIssuer(name) {
			text = tenantPlace.ReplaceAllString(text, "")
		}
		if err := directive.CheckPlaceholders(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

func isIssuer(name string) bool { return name == "issuer" || name == "op_url" || name == "issuers" }

// eachText calls do for every setting that may have placeholders, until the first
// error.
func (c *Config) eachText(do func(name string, value *string) error) error {
	type setting struct {
		name  string
		value *string
	}
	settings := []setting{
		{"issuer", &c.Issuer},
		{"op_url", &c.OPURL},
		{"discovery_url", &c.DiscoveryURL},
		{"client_id", &c.ClientID},
		{"client_secret", &c.ClientSecret},
		{"client_key", &c.ClientKey},
		{"client_key_id", &c.ClientKeyID},
		{"client_certificate", &c.ClientCertificate},
		{"client_certificate_key", &c.ClientCertificateKey},
		{"introspection_endpoint", &c.IntrospectionEndpoint},
		{"jwks_uri", &c.JWKSURI},
		{"token_endpoint", &c.TokenEndpoint},
		{"revocation_endpoint", &c.RevocationEndpoint},
		{"registration_endpoint", &c.RegistrationEndpoint},
		{"uma_configuration", &c.UMAConfiguration},
		{"permission_endpoint", &c.PermissionEndpoint},
		{"resource_registration_endpoint", &c.ResourceRegistrationEndpoint},
	}
	if c.Register != nil {
		settings = append(settings,
			setting{"register: initial_access_token", &c.Register.InitialAccessToken},
			setting{"register: client_name", &c.Register.ClientName})
	}
	for _, list := range []struct {
		name   string
		values []string
	}{
		{"issuers", c.Issuers}, {"audience", c.Audience}, {"endpoint_hosts", c.EndpointHosts}, {"tenants", c.Tenants}, {"insecure_hosts", c.InsecureHosts},
	} {
		for i := range list.values {
			settings = append(settings, setting{list.name, &list.values[i]})
		}
	}
	for _, s := range settings {
		if err := do(s.name, s.value); err != nil {
			return err
		}
	}
	return nil
}

// resolveIssuer resolves what is around the place of a tenant.
func resolveIssuer(value string) (string, error) {
	at := tenantPlace.FindStringIndex(value)
	if at == nil {
		return directive.Resolve(value)
	}
	before, err := directive.Resolve(value[:at[0]])
	if err != nil {
		return "", err
	}
	after, err := directive.Resolve(value[at[1]:])
	return before + value[at[0]:at[1]] + after, err
}

var providerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckName refuses a name that a provider cannot have.
func CheckName(name string) error {
	if !providerName.MatchString(name) {
		return fmt.Errorf("a provider's name is made of letters, digits, '.', '_' and '-', not %q", name)
	}
	return nil
}
