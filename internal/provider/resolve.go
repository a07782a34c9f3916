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
	type setting struct {
		name  string
		value *string
	}
	settings := []setting{
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
	for i := range c.Audience {
		settings = append(settings, setting{"audience", &c.Audience[i]})
	}
	for i := range c.EndpointHosts {
		settings = append(settings, setting{"endpoint_hosts", &c.EndpointHosts[i]})
	}
	for i := range c.Tenants {
		settings = append(settings, setting{"tenants", &c.Tenants[i]})
	}
	for i := range c.InsecureHosts {
		settings = append(settings, setting{"insecure_hosts", &c.InsecureHosts[i]})
	}
	issuers := []setting{{"issuer", &c.Issuer}, {"op_url", &c.OPURL}}
	for i := range c.Issuers {
		issuers = append(issuers, setting{"issuers", &c.Issuers[i]})
	}
	for _, s := range issuers {
		resolved, err := resolveIssuer(*s.value)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		*s.value = resolved
	}
	for _, s := range settings {
		resolved, err := directive.Resolve(*s.value)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		*s.value = resolved
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
