// SPDX-License-Identifier: Apache-2.0

// Package introspect verifies access tokens. It is the Caddy app `gluu`: named
// providers, which are authorization servers, each with its discovery,
// client authentication, introspection, keys and circuit breakers, and the
// cache of verified tokens that they share.
//
// A handler asks the app for a provider when it is provisioned and the
// provider for a token with each request:
//
//	app, err := introspect.FromContext(ctx)
//	provider, err := app.Provider("default")
//	...
//	token, err := provider.Verify(r.Context(), raw)
//
// The error, if any, is always a [*token.Error]: either the token is refused or
// the authorization server could not be asked, and the two never mix.
//
// What is not here: reading credentials from requests and answering refused
// clients (package identity), deciding what a token may do (package
// scopeexpr).
//
// What a provider has learned (discovered endpoints, keys, verified tokens,
// open breakers) outlives a reload of the configuration as long as the
// provider's settings stay the same. See server.go for how the state that
// survives is kept apart from what a configuration owns.
package introspect
