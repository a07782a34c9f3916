// SPDX-License-Identifier: Apache-2.0

// Package provider is one authorization server as its clients see it: settings,
// metadata, client authentication, registration, keys, circuit breakers and
// guarded connections. It verifies nothing; those who do (access tokens in
// introspect, ID tokens, UMA) build on it.
//
// A configuration checks its settings, opens a connection and makes a server or
// finds the one it already has. The server outlives reloads, the connection does
// not: see server.go.
//
//	config := provider.Config{Issuer: "https://op.example.com", ...}
//	err := config.Resolve()               // {env.X} and the like
//	err = config.CheckResolved()
//	config.SetDefaults()
//	connection, err := provider.LoadConnection(ctx, &config, logger)
//	server := provider.New(name, config, connection)
//	server.Start()                        // discovery and registration, in the background
//	defer server.Close()
//
// A request goes to an endpoint by name, as authorization server metadata calls
// it, under the circuit breaker of that endpoint:
//
//	address, err := server.Endpoint("token_endpoint") // configured, else discovered
//	req, err := http.NewRequest(http.MethodPost, address, nil)
//	form := url.Values{"grant_type": {"client_credentials"}}
//	err = server.Authenticate(req, form)              // whichever client_auth says
//	provider.SetForm(req, form)
//	body, status, err := server.Call(ctx, "token_endpoint", req)
//
// Its keys verify what it signed (package jwtcheck):
//
//	keys, err := server.KeySet()
//	key, err := keys.Key(ctx, jwt.Header.KeyName, jwt.Header.Algorithm)
//
// What discovery and registration have not learned yet is a *token.Error with
// ProviderUnavailable, as is every other failure to reach the server. Requests wait
// for the first attempt of both and for nothing else: [Server.AwaitEndpoint],
// [Server.AwaitKeySet], [Server.AwaitCredentials]. [Server.AwaitMetadata] is for
// background tasks.
//
// A request that depends on what a client sent is asked as a [Question] about it
// ([Server.Ask], [Server.CallAbout]), so that no client can move the breaker alone.
//
// One idea a file: breaker.go decides whether an endpoint is asked, limiter.go how
// many requests are under way, http.go sends them, refused.go says what an answer is
// evidence of, origins.go where requests may go; keys.go fetches key sets and knows
// nothing of servers; takeover.go hands on what was learned to a server whose
// settings differ.
package provider
