// SPDX-License-Identifier: Apache-2.0

package caddyratelimit

import (
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/identity"
)

// key names what has the limit. Its first letter says of what kind it is, so
// that no client can pass for another by the value of a header.
func (h *RateLimit) key(r *http.Request) string {
	switch h.LimitBy {
	case "all":
		return "a"
	case "header":
		if value := r.Header.Get(h.HeaderName); value != "" && len(value) <= maxHeader {
			return "h" + value
		}
	case "path":
		if r.URL.Path == h.Path {
			return "p" + h.Path
		}
	case "ip":
	default:
		id := identity.Of(r)
		if id == nil {
			break
		}
		if id.Consumer != nil && h.LimitBy != "credential" {
			return "c" + id.Consumer.ID
		}
		if id.Token != nil && id.Token.ClientID != "" {
			return "o" + id.Token.ClientID
		}
	}
	return "i" + network(r)
}

// maxHeader is the longest value that has a counter of its own.
const maxHeader = 1024

// network is the address of the client; of IPv6 the first 64 bits, because one
// client can have all addresses that begin with them.
func network(r *http.Request) string {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	address, err := netip.ParseAddr(text)
	if err != nil || address.Is4() || address.Is4In6() {
		return text
	}
	prefix, err := address.WithZone("").Prefix(64)
	if err != nil {
		return text
	}
	return prefix.String()
}
