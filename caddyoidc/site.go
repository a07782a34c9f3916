// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/directive"
)

// site is where people come to: what addresses are made of. A request does not
// choose its own: a Host that the site does not name would become the redirect
// URI, and the code would go there.
type site struct {
	base  string   // the configured origin, "" for that of the request
	hosts []string // that the site names, in lower case, perhaps with a wildcard

	secure bool // browsers come by https
}

// isLoopback reports whether browsers come from this machine only.
func (s *site) isLoopback() bool {
	if s.base != "" {
		u, err := url.Parse(s.base)
		return err == nil && directive.IsLoopback(u.Hostname())
	}
	return !slices.ContainsFunc(s.hosts, func(host string) bool { return !directive.IsLoopback(host) })
}

var errUnknownHost = errors.New("the host of the request is not one that the site names; name it there, or write base_url")

// origin returns the origin of the site for a request.
func (s *site) origin(r *http.Request) (string, error) {
	if s.base != "" {
		return s.base, nil
	}
	host := strings.ToLower(r.Host)
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if !s.names(strings.TrimSuffix(name, ".")) || strings.ContainsAny(host, "/\\?#@ ") {
		return "", fmt.Errorf("%w (%.100q)", errUnknownHost, r.Host)
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + host, nil
}

// checkDomain refuses a domain of cookies that is not the site's: browsers drop such
// a cookie, so that each login would begin another one.
func (s *site) checkDomain(domain string) error {
	hosts := s.hosts
	if u, err := url.Parse(s.base); s.base != "" && err == nil {
		hosts = []string{u.Hostname()}
	}
	domain = strings.ToLower(strings.TrimPrefix(domain, "."))
	for _, host := range hosts {
		if name := strings.TrimPrefix(host, "*."); name != domain && !strings.HasSuffix(name, "."+domain) {
			return fmt.Errorf("cookie_domain %q is not %q or a domain above it: browsers refuse the cookie; write one that all hosts of the site are in", domain, host)
		}
	}
	return nil
}

func (s *site) names(host string) bool {
	for _, named := range s.hosts {
		if named == host {
			return true
		}
		if suffix, wildcard := strings.CutPrefix(named, "*."); wildcard {
			if label, rest, ok := strings.Cut(host, "."); ok && label != "" && rest == suffix {
				return true
			}
		}
	}
	return false
}
