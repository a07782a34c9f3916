// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"net/url"
	"strings"

	"github.com/caddy-gluu/gateway/internal/session"
)

// returnTo is where a person goes back to after the login: the path and query
// that they asked for, as they were sent. It becomes part of the sealed
// attempt, and no parameter of any request can change it.
func returnTo(u *url.URL) string {
	target := u.EscapedPath()
	if u.RawQuery != "" || u.ForceQuery {
		target += "?" + u.RawQuery
	}
	if !isLocal(target) || len(u.EscapedPath()) > session.MaxReturnTo {
		return "/"
	}
	if len(target) > session.MaxReturnTo {
		return u.EscapedPath()
	}
	return target
}

// isLocal reports whether a browser takes a target for a path of the origin
// that it is on. What it makes of //host, /\host and control characters differs
// from one to the next (CVE-2020-4037 and many since), so none of them is.
func isLocal(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return false
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == 0x7f || c == '\\' || c == '#' {
			return false
		}
	}
	lower := strings.ToLower(path)
	for _, trick := range []string{"/%09", "/%0a", "/%0d", "/%5c", "/%2f", "/./", "/../", "/.//"} {
		if strings.HasPrefix(lower, trick) {
			return false
		}
	}
	return true
}

// escaped spells a configured path, which is written decoded, as a part of an
// address.
func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// address makes the absolute URL of a target that is local.
func address(origin, target string) string {
	if !isLocal(target) {
		target = "/"
	}
	return origin + target
}
