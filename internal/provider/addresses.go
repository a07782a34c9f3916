// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
)

// An issuer is a name: what tokens say in `iss`. It is an address only if
// something is fetched from it. So there are servers whose issuer is a word, and
// servers that have one address outside of a cluster and another one inside.

// A SettingError says which setting of a provider is wrong, so that a Caddyfile
// parser can name its line. What is right may depend on settings that follow.
type SettingError struct {
	Setting string
	Err     error
}

func (e *SettingError) Error() string { return e.Err.Error() }
func (e *SettingError) Unwrap() error { return e.Err }

func wrong(setting string, err error) error {
	if err == nil {
		return nil
	}
	return &SettingError{setting, err}
}

// url parses an address that requests may go to. It uses https, or http to a
// loopback address or one of insecure_hosts.
func (c *Config) url(name, value string) (*url.URL, error) {
	u, err := directive.URL(name, value)
	if err == nil {
		return u, nil
	}
	insecure, parseErr := url.Parse(value)
	if parseErr != nil || !c.isInsecure(insecure) {
		return nil, err
	}
	// All but the scheme must be right.
	if _, err := directive.URL(name, "https"+value[len("http"):]); err != nil {
		return nil, err
	}
	return insecure, nil
}

// isInsecure reports whether plain http is allowed to an address.
func (c *Config) isInsecure(u *url.URL) bool {
	return u.Scheme == "http" && slices.ContainsFunc(c.InsecureHosts, func(host string) bool {
		return strings.EqualFold(host, u.Hostname()) || strings.EqualFold(host, hostPort(u))
	})
}

// checkAddresses refuses addresses that requests must not go to. It is called when
// all settings are known, with the name that the configuration has for the issuer.
func (c *Config) checkAddresses(issuer string, open func(string) bool) error {
	for _, host := range c.InsecureHosts {
		if open(host) {
			return nil // any address may turn out to be allowed
		}
		if err := checkHost("insecure_hosts", host); err != nil {
			return err
		}
	}
	addresses := c.endpoints()
	addresses["discovery_url"] = c.DiscoveryURL
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		if value := addresses[name]; value != "" && !open(value) {
			if _, err := c.url(name, value); err != nil {
				return wrong(name, err)
			}
		}
	}
	return wrong(issuer, c.checkIssuerAddress(issuer, c.Issuer, open))
}

// checkIssuerAddress refuses an issuer that is not an address where it has to be
// one.
func (c *Config) checkIssuerAddress(name, value string, open func(string) bool) error {
	if value == "" || openIssuer(value, open) || c.DiscoveryURL != "" {
		return nil
	}
	pattern := tenantPlace.MatchString(value)
	_, err := c.url(name, value)
	if err == nil && !pattern {
		return nil
	}
	if c.knowsKeys() {
		return nil
	}
	if pattern {
		return fmt.Errorf("%s %q is a pattern, from which no metadata can be read: write 'discovery_url <url>', or 'jwks_uri <url>'", name, value)
	}
	return fmt.Errorf("%w; if it is a name and not an address, write 'discovery_url <url>' or 'jwks_uri <url>'", err)
}

// knowsKeys reports whether tokens can be verified without metadata.
func (c *Config) knowsKeys() bool {
	if c.Register != nil && c.RegistrationEndpoint == "" {
		return false
	}
	return c.JWKSURI != "" || c.Verify == VerifyIntrospection && c.IntrospectionEndpoint != ""
}

func checkHost(setting, host string) error {
	u, err := url.Parse("//" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.Contains(host, "*") {
		return wrong(setting, fmt.Errorf("%s names hosts, such as 'keys.example.com' or 'keys.example.com:8443', not %q", setting, host))
	}
	return nil
}

// metadataPlaces returns where the server's metadata may be, none if the issuer is
// only a name.
func (c *Config) metadataPlaces() []string {
	if c.Embedded {
		return nil
	}
	if c.DiscoveryURL != "" {
		return []string{c.DiscoveryURL}
	}
	if base := c.Base(); base != "" {
		return WellKnown(base)
	}
	return nil
}

// Base returns the address below which the server has its documents: the issuer,
// or where discovery_url finds it. It is "" if that is not known.
func (c *Config) Base() string {
	if c.DiscoveryURL != "" {
		base, found := strings.CutSuffix(c.DiscoveryURL, wellKnownOpenID)
		if !found {
			return ""
		}
		return base
	}
	return c.PublicIssuer()
}

// PublicIssuer returns the issuer if clients can find the server by it, "" if it is
// only a name.
func (c *Config) PublicIssuer() string {
	if _, err := c.url("issuer", c.Issuer); err != nil || tenantPlace.MatchString(c.Issuer) {
		return ""
	}
	return c.Issuer
}

// LogNotes writes what an operator should know about settings that are right but
// loosen something, or may not be meant.
func (c *Config) LogNotes(logger *zap.Logger) {
	if c.Embedded {
		return
	}
	if len(c.Audience) == 0 && c.Verify != VerifyIntrospection {
		logger.Warn("no audience is configured: tokens that this server issued for any other API are accepted too; write 'audience <name>'")
	}
	if len(c.InsecureHosts) > 0 {
		logger.Warn("plain http is allowed to these hosts: anyone on the way can read and change what is sent", zap.Strings("insecure_hosts", c.InsecureHosts))
	}
	if c.DiscoveryURL != "" {
		logger.Info("the metadata is read from another address than the issuer's", zap.String("issuer", c.Issuer), zap.String("discovery_url", c.DiscoveryURL))
	}
	if slices.Contains(c.Tenants, AnyTenant) {
		logger.Warn("tokens of all tenants of this server are accepted; write 'tenants <id>...' to name some")
	}
	if c.Verify == VerifyAuto && c.IntrospectionEndpoint == "" && len(c.metadataPlaces()) == 0 {
		logger.Warn("opaque tokens are refused: the issuer is only a name, so no introspection endpoint can be discovered; write 'introspection_endpoint <url>', or 'verify jwt'")
	}
}
