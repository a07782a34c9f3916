// SPDX-License-Identifier: Apache-2.0

// Package verifier verifies access tokens of one authorization server: JWTs by their
// signature, others by introspection (RFC 7662), and remembers what it found out. It
// knows the server through package provider, which finds its endpoints and keys.
//
//	v := verifier.New(provider.New(name, config, connection))
//	lookup := v.Under(verifier.Terms{Cache: cache, MaxToken: 16384})
//	...
//	token, err := lookup.Verify(r.Context(), raw)
//
// The error is always a [*token.Error]. It refuses the token, or says that the
// authorization server could not be asked, never both. A [Verifier] outlives a reload
// of the configuration whose provider keeps its settings; a [Lookup] belongs to one
// configuration. How a token is looked up is drawn in lookup.go.
package verifier
