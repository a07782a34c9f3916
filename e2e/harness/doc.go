// SPDX-License-Identifier: Apache-2.0

// Package harness starts the gateway's binary and the servers around it for
// black-box tests, and speaks to them byte by byte.
//
//	upstream := harness.StartUpstream(t)               // answers with what it received
//	server := harness.StartOIDCProvider(t, harness.OIDCConfig{...})
//	gateway := harness.StartGateway(t, harness.GatewayConfig{
//		Caddyfile: "...",                              // {$SITE}, {$UPSTREAM}, {$ISSUER} ...
//		Env: map[string]string{"UPSTREAM": upstream.Addr, "ISSUER": server.Issuer},
//	})
//	response := gateway.Get("/todos", harness.Bearer(token))
//
// Everything listens on free loopback ports, keeps its files in the test's
// own folder, is waited for by condition and never by time, and is ended by
// process id when the test ends. Then the gateway's log is searched: for any
// credential the test sent, for panics and for data races.
//
// What the machine does not have (Node.js, say) makes a test skip itself in
// a line that names it.
package harness
