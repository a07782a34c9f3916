// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/caddy-gluu/gateway/directive"
)

// issuer is the name of the server and the addresses that follow from it.
type issuer struct {
	name string // exactly as configured: clients compare it character by character
	base string // without a slash at the end
	path string // of base, as it is spelled in a request; "" for an issuer without a path
}

// parseIssuer reads an issuer identifier: https, or http on a loopback address,
// where the connection cannot be intercepted, without query and fragment (RFC
// 8414 section 2).
func parseIssuer(name string) (issuer, error) {
	if name == "" {
		return issuer{}, errors.New("issuer is missing: write 'issuer https://<host>', the address at which clients reach this server")
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\"\\<>^`{|}", c) }) {
		return issuer{}, fmt.Errorf("issuer %q has a character that no URL can have: percent-encode it", name)
	}
	u, err := url.Parse(name)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return issuer{}, fmt.Errorf("issuer %q is not a URL with a host: write 'https://<host>'", name)
	}
	switch {
	case u.User != nil:
		return issuer{}, errors.New("issuer has a user name or password in it: leave them out, it is public")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(name, "#"):
		return issuer{}, fmt.Errorf("issuer %q has a query or a fragment: write only scheme, host and path (RFC 8414 section 2)", name)
	case u.Scheme != "https" && !(u.Scheme == "http" && directive.IsLoopback(u.Hostname())):
		return issuer{}, fmt.Errorf("issuer %q is not protected in transit: write 'https://...' (http is for loopback addresses only)", name)
	}
	base := strings.TrimSuffix(name, "/")
	escaped := strings.TrimSuffix(u.EscapedPath(), "/")
	if escaped != "" && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
		return issuer{}, fmt.Errorf("issuer %q has empty or dot segments in its path, which clients resolve: remove them", name)
	}
	return issuer{name: name, base: base, path: escaped}, nil
}

// endpoint is one thing that the server does, and the path of it.
type endpoint string

const (
	tokenEndpoint      endpoint = "/oauth2/token"
	introspectEndpoint endpoint = "/oauth2/introspect"
	revokeEndpoint     endpoint = "/oauth2/revoke"
	jwksEndpoint       endpoint = "/oauth2/jwks"
	metadataEndpoint   endpoint = "/.well-known/openid-configuration"
)

// isForm reports whether the endpoint takes a form with client authentication.
func (e endpoint) isForm() bool {
	return e == tokenEndpoint || e == introspectEndpoint || e == revokeEndpoint
}

// label is the endpoint's name in logs and metrics.
func (e endpoint) label() string { return path.Base(string(e)) }

// url is the public address of an endpoint.
func (i issuer) url(e endpoint) string { return i.base + string(e) }

// routes maps the paths at which this issuer answers to what it does there. The
// metadata of an issuer with a path is served at several of them: OpenID
// Connect Discovery appends the well-known part to the issuer, RFC 8414 section
// 3.1 inserts it before the path, and clients try both for either name. The
// endpoints stand under the issuer, and without its path for a site that has
// only this server.
func (i issuer) routes() map[string]endpoint {
	routes := make(map[string]endpoint)
	for _, e := range []endpoint{tokenEndpoint, introspectEndpoint, revokeEndpoint, jwksEndpoint} {
		routes[string(e)] = e
		routes[i.path+string(e)] = e
	}
	for _, known := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		routes[i.path+known] = metadataEndpoint
		routes[known+i.path] = metadataEndpoint
	}
	return routes
}
