// SPDX-License-Identifier: Apache-2.0

package dpop

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// asReceived returns the method and URL that the client sent, before Caddy's
// handlers rewrote any of it. Scheme and host are those of the connection and
// the request itself. X-Forwarded-* and Forwarded do not count, even from a
// trusted proxy: a proof is worth no more than the address in it is certain.
// Where a proxy in front terminates TLS or changes the host, clients must make
// their proofs for the address that the proxy uses.
func asReceived(r *http.Request) (method string, u *url.URL) {
	u = &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	method = r.Method
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		method = original.Method
		u.Path, u.RawPath = original.URL.Path, original.URL.RawPath
	}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return method, u
}

// sameAddress compares an htu claim with the address of a request as RFC 9449,
// section 4.3 asks: without query and fragment, and after the normalisation of
// RFC 3986 that changes no meaning (sections 6.2.2.1, 6.2.2.2 and 6.2.3): case
// of scheme, host and percent-encoding, encoded unreserved characters, default
// port, empty path. Dot segments stay, since a path that has any means different
// things to different readers.
func sameAddress(htu string, address *url.URL) bool {
	u, err := url.Parse(htu)
	if err != nil || u.Opaque != "" || u.User != nil || u.Host == "" {
		return false
	}
	return u.Scheme == address.Scheme &&
		normalHost(u) == normalHost(address) &&
		normalPath(u.EscapedPath()) == normalPath(address.EscapedPath())
}

func normalHost(u *url.URL) string {
	port := ":443"
	if u.Scheme == "http" {
		port = ":80"
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), port)
	return strings.TrimSuffix(host, ":")
}

func normalPath(escaped string) string {
	if escaped == "" {
		return "/"
	}
	if strings.IndexByte(escaped, '%') < 0 {
		return escaped
	}
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' || i+2 >= len(escaped) {
			b.WriteByte(escaped[i])
			continue
		}
		triplet := escaped[i : i+3]
		if c, err := url.PathUnescape(triplet); err == nil && isUnreserved(c[0]) {
			b.WriteString(c)
		} else {
			b.WriteString(strings.ToUpper(triplet))
		}
		i += 2
	}
	return b.String()
}

// isUnreserved reports whether c means the same whether it is encoded or not
// (RFC 3986, section 2.3).
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("-._~", c) >= 0
}
