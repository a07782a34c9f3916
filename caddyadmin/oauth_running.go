// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import "github.com/caddy-gluu/gateway/authserver"

// runningServers returns the authorization servers of the running configuration. Tests
// replace it.
var runningServers = func() []oauthServer {
	var servers []oauthServer
	for _, view := range authserver.Running() {
		servers = append(servers, oauthServer(view))
	}
	return servers
}
