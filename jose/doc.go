// SPDX-License-Identifier: Apache-2.0

// Package jose is the gateway's view of JSON Object Signing and Encryption:
// signed tokens (RFC 7515), keys and key sets (RFC 7517), thumbprints
// (RFC 7638), and nothing else of that family.
//
// It knows how, not whether. [Parse] takes a token apart without believing a
// word of it, [Signed.Verify] checks its signature with one key under one
// algorithm that the caller names, [ParseKeySet] reads what an authorization
// server publishes, [Sign] makes a token. Which algorithms, issuers and types
// are acceptable is policy, and lives with those who verify tokens (package
// introspect).
//
// Everything that it parses may come from an attacker: sizes, nesting and
// counts are bounded before work is done, JSON objects with two members of
// one name are refused at every level (two readers could see two different
// tokens), and member names are compared exactly, which encoding/json does
// not do.
//
// All of lestrrat-go/jwx stands behind one file, jose.go, so that another
// major version, or another library, is a change of that file.
package jose
