// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"net/http"
	"strings"
)

// Cookies are read and removed by hand: net/http parses the whole header,
// drops what it dislikes and writes the rest in its own spelling, while the
// upstream must receive its cookies as the browser sent them.

// cookieNames are the names of the cookies that the gateway keeps in browsers
// of one site.
type cookieNames struct {
	session string
	login   string // a prefix, a hash of the state follows
	restore string

	// others reports whether a cookie is that of another handler of the site; nil: none.
	others func(name string) bool
}

const (
	securePrefix = "__Host-" // only from this host, over TLS, for all paths: RFC 6265bis, 4.1.3.2
	domainPrefix = "__Secure-"

	defaultSessionCookie = "gluu_session"
	loginCookie          = "gluu_login_"
	restoreCookie        = "gluu_restore"
)

// owns reports whether a cookie is the gateway's.
func (n *cookieNames) owns(name string) bool {
	return name == n.session || name == n.restore || strings.HasPrefix(name, n.login) || n.others != nil && n.others(name)
}

// cookies calls yield with each cookie of a request, in order.
func cookies(h http.Header, yield func(name, value string) bool) {
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if name != "" && !yield(strings.TrimRight(name, " \t"), value) {
				return
			}
		}
	}
}

// valuesOf returns the values of the cookies of a name, at most limit of them.
// A browser sends several if some were set for other paths or domains, and
// the owner of a sibling domain can set one.
func valuesOf(h http.Header, name string, limit int) (values []string) {
	cookies(h, func(n, value string) bool {
		if n == name {
			values = append(values, value)
		}
		return len(values) < limit
	})
	return values
}

// removeCookies removes the cookies that owned names from a request and leaves
// the others as they were, byte for byte.
func removeCookies(h http.Header, owned func(name string) bool) {
	lines, ok := h["Cookie"]
	if !ok {
		return
	}
	kept := lines[:0:0]
	for _, line := range lines {
		if line = withoutCookies(line, owned); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

func withoutCookies(line string, owned func(name string) bool) string {
	kept, removed := make([]string, 0, 8), false
	for pair := range strings.SplitSeq(line, ";") {
		name, _, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if owned(strings.TrimRight(name, " \t")) {
			removed = true
			continue
		}
		kept = append(kept, pair)
	}
	if !removed {
		return line
	}
	return strings.TrimLeft(strings.Join(kept, ";"), " \t")
}
