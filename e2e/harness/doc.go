// SPDX-License-Identifier: Apache-2.0

// Package harness starts the gateway's binary and the servers around it for
// black-box tests, and controls every byte that it sends to them.
//
//	upstream := harness.StartUpstream(t)               // answers with what it received
//	server := harness.StartOIDCProvider(t, harness.OIDCConfig{...})
//	gateway := harness.StartGateway(t, harness.GatewayConfig{
//		Caddyfile: "...",                              // {$SITE}, {$UPSTREAM}, {$ISSUER} ...
//		Env: map[string]string{"UPSTREAM": upstream.Addr, "ISSUER": server.Issuer},
//	})
//	response := gateway.Get("/todos", harness.Bearer(token))
//
// Every server listens on a free loopback port and keeps its files in a folder
// of the test. Tests wait for conditions, never for a time. When a test ends,
// its processes are stopped by process id, and the gateway's log is searched
// for every credential that the test sent, for panics and for data races.
//
// A test that needs a program that is not installed, for example Node.js,
// PostgreSQL or Chromium, skips itself in a line that names the program.
package harness
