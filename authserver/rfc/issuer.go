// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/caddy-gluu/gateway/directive"
)

// Issuer is the name of the server and the addresses that follow from it.
type Issuer struct {
	Name string // exactly as configured: clients compare it character by character
	base string // without a slash at the end
	path string // of base, as it is spelled in a request; "" for an issuer without a path
}

// ParseIssuer reads an issuer identifier: https, or http on a loopback address,
// where the connection cannot be intercepted, without query and fragment (RFC
// 8414 section 2). anyHTTP accepts http at other hosts.
func ParseIssuer(name string, anyHTTP bool) (Issuer, error) {
	if name == "" {
		return Issuer{}, errors.New("issuer is missing: write 'issuer https://<host>', the address at which clients reach this server")
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\"\\<>^`{|}", c) }) {
		return Issuer{}, fmt.Errorf("issuer %q has a character that no URL can have: percent-encode it", name)
	}
	u, err := url.Parse(name)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return Issuer{}, fmt.Errorf("issuer %q is not a URL with a host: write 'https://<host>'", name)
	}
	switch {
	case u.User != nil:
		return Issuer{}, errors.New("issuer has a user name or password in it: leave them out, it is public")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(name, "#"):
		return Issuer{}, fmt.Errorf("issuer %q has a query or a fragment: write only scheme, host and path (RFC 8414 section 2)", name)
	case u.Scheme != "https" && !(u.Scheme == "http" && (anyHTTP || directive.IsLoopback(u.Hostname()))):
		return Issuer{}, fmt.Errorf("issuer %q is not protected in transit: write 'https://...' (http is for loopback addresses only)", name)
	}
	base := strings.TrimSuffix(name, "/")
	escaped := strings.TrimSuffix(u.EscapedPath(), "/")
	if escaped != "" && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
		return Issuer{}, fmt.Errorf("issuer %q has empty or dot segments in its path, which clients resolve: remove them", name)
	}
	return Issuer{Name: name, base: base, path: escaped}, nil
}
