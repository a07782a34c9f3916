// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"errors"

	"github.com/caddy-gluu/gateway/authserver"
)

var errStarting = errors.New("gluu_oauth_server is still starting: repeat the request in a moment")

// serversAreStarting reports whether there will be authorization servers in a moment. Tests
// replace it.
var serversAreStarting = authserver.IsStarting

// runningServers returns the authorization servers of the running configuration. Tests
// replace it.
var runningServers = func() []oauthServer {
	var servers []oauthServer
	for _, view := range authserver.Running() {
		servers = append(servers, oauthServer(view))
	}
	return servers
}
