// SPDX-License-Identifier: Apache-2.0

package clientlimit

import (
	"context"
	"net/netip"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// networkKey is the key under which a context has its network.
type networkKey struct{}

// Detach returns a context that keeps the network of its request. Work that goes
// on without the request, in another goroutine, must not read the request's
// variables: a map that the request writes to.
func Detach(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), networkKey{}, NetworkOf(ctx))
}

// NetworkOf returns the network that a request came from: that of the address
// which Caddy's trusted_proxies make of the connection. It is "" if the context is
// not that of a request to Caddy.
func NetworkOf(ctx context.Context) string {
	if network, ok := ctx.Value(networkKey{}).(string); ok {
		return network
	}
	if _, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); !ok {
		return ""
	}
	address, _ := caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string)
	return Network(address)
}

// Network returns what stands for one party: an IPv4 address, or the 64 bits of
// an IPv6 address that a party has all of.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
