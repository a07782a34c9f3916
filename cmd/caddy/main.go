// SPDX-License-Identifier: Apache-2.0

// Command caddy is Caddy with the gateway's modules, for development and
// tests. Releases are built by xcaddy, which needs no main of ours.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway"
)

func main() {
	caddycmd.Main()
}
