// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"net/http"
	"strings"
)

// stripUpgrade removes the offer to go on with another version of HTTP on the
// same connection. A proxy that forwards it to an upstream which accepts has a
// tunnel from then on: the client sends further requests through it, with any
// paths and headers, and the gateway does not see them (h2c smuggling).
//
//	GET /public HTTP/1.1
//	Connection: Upgrade
//	Upgrade: h2c
//	HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA
//
// An upgrade is an offer that a server may ignore (RFC 9110, section 7.8), and
// RFC 9113 has given up this one. Upgrades to what carries no requests, such as
// websocket, remain: what is decided about is the request that asks for them.
//
// It matters only beside a Connection field, without which Upgrade ends at the
// next hop.
func stripUpgrade(h http.Header) {
	delete(h, "Http2-Settings")
	for _, value := range h["Upgrade"] {
		for protocol := range strings.SplitSeq(value, ",") {
			if carriesRequests(protocol) {
				delete(h, "Upgrade")
				return
			}
		}
	}
}

// carriesRequests reports whether a protocol, perhaps with a version, is HTTP
// or the TLS of RFC 2817, in which HTTP goes on.
func carriesRequests(protocol string) bool {
	name, _, _ := strings.Cut(strings.ToLower(strings.Trim(protocol, " \t")), "/")
	switch strings.TrimRight(name, " \t") {
	case "h2c", "h2", "h3", "http", "https", "tls", "ssl":
		return true
	}
	return false
}
