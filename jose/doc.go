// SPDX-License-Identifier: Apache-2.0

// Package jose implements the parts of JSON Object Signing and Encryption that the
// gateway needs: signed tokens (RFC 7515), keys and key sets (RFC 7517), and
// thumbprints (RFC 7638).
//
// It provides mechanism, not policy. [Parse] parses a token without trusting it,
// [Signed.Verify] checks its signature with one key and one algorithm that the
// caller names, [ParseKeySet] reads what an authorization server publishes, and
// [Sign] makes a token. Which algorithms, issuers and types are acceptable is for
// the callers to decide (package introspect).
//
// All input may come from an attacker. Sizes, nesting and counts are bounded before
// any work is done. JSON objects with duplicate members are refused at every level,
// because two readers could see two different tokens. Member names are compared
// exactly, unlike in encoding/json.
//
// Only one file, jose.go, uses lestrrat-go/jwx. Another major version, or another
// library, changes only that file.
package jose
