// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// origins are the places that requests to one authorization server may go to:
// the issuer's own origin, those of the endpoints that were configured, and the
// hosts named in endpoint_hosts. Metadata that names another place is not
// believed. Otherwise write access to one document would suffice to have the
// gateway send its credentials, and every token, anywhere.
type origins struct {
	config  *Config
	allowed map[string]bool // scheme://host:port
	hosts   map[string]bool // host:port, for https or loopback
}

func originsOf(config *Config) origins {
	o := origins{config: config, allowed: map[string]bool{}, hosts: map[string]bool{}}
	places := slices.Collect(maps.Values(config.endpoints()))
	for _, place := range append(places, config.Issuer, config.DiscoveryURL) {
		// Nothing is sent to an issuer that is only a name.
		if u, err := config.url("endpoint", place); err == nil {
			o.allowed[originOf(u)] = true
		}
	}
	for _, host := range config.EndpointHosts {
		o.hosts[strings.ToLower(host)] = true
	}
	return o
}

func (o *origins) check(address string) error {
	u, err := o.config.url("endpoint", address)
	if err != nil {
		return err
	}
	return o.checkURL(u)
}

func (o *origins) checkURL(u *url.URL) error {
	if o.allowed[originOf(u)] {
		return nil
	}
	if o.hosts[hostPort(u)] || o.hosts[strings.ToLower(u.Host)] {
		// The name alone does not allow an unprotected connection.
		_, err := o.config.url("endpoint", u.String())
		return err
	}
	return fmt.Errorf("%q is not on the issuer's origin: if that is right, write 'endpoint_hosts %s'", u.Redacted(), u.Host)
}

// originOf is the origin of RFC 6454, with the port always written out.
func originOf(u *url.URL) string { return strings.ToLower(u.Scheme) + "://" + hostPort(u) }

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
