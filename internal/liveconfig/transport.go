// SPDX-License-Identifier: Apache-2.0

package liveconfig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Transport returns how requests get to the admin endpoint at an address, and the
// origin that their URLs and their Origin header begin with: Caddy compares it.
func Transport(address string) (origin string, transport *http.Transport, err error) {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil || parsed.PortRangeSize() > 1 {
		return "", nil, fmt.Errorf("%q is not the address of an admin endpoint: write for example localhost:2019 or unix//run/caddy.sock", address)
	}
	network, target := parsed.Network, parsed.JoinHostPort(0)
	origin = "http://" + target
	if parsed.IsUnixNetwork() {
		origin = "http://127.0.0.1"
		target, _, _ = strings.Cut(target, "|") // permissions of the socket
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target)
	}
	return origin, &http.Transport{DialContext: dial}, nil
}
