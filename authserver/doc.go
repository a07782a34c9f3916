// SPDX-License-Identifier: Apache-2.0

// Package authserver is the authorization server that runs inside the
// gateway: the handler gluu_oauth_server. It issues access tokens to the
// clients of its configuration (client credentials grant, RFC 6749), tells
// resource servers whether a token is good (introspection, RFC 7662), takes
// tokens back (revocation, RFC 7009), publishes its keys (RFC 7517) and says
// all of that in its metadata (RFC 8414 and OpenID Connect Discovery).
//
// The protocol is zitadel/oidc's op package: it routes a request to the grant,
// decodes it and writes the answer. What is decided here is who the client is
// (clientauth.go), what it may have (grants.go), and what is remembered of a
// token (storage.go).
//
// It is not an identity provider: no end user ever logs in, no grant that
// needs one is served. Storage is the seam for the grants that will need to
// remember more than access tokens.
//
// Everything that this package keeps about a token is its SHA-256; everything
// that a configuration holds about a client secret is a slow hash of it, made
// by HashSecret (caddy gluu hash-secret).
package authserver
