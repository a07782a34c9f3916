// SPDX-License-Identifier: Apache-2.0

// Package introspect is the Caddy app `gluu`: what all handlers of a configuration
// share. That is named providers, which are authorization servers, and with them the
// verification of access tokens (package verifier), the consumers, sessions and
// policy engines, and what one handler must know of another.
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
// provider's settings stay the same.
package introspect
