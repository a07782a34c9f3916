// SPDX-License-Identifier: Apache-2.0

// Package rfc is the authorization server as the standards have it: the endpoints of OAuth
// 2.0 (RFC 6749 with the practice of RFC 9700), and what belongs to them.
//
//	/oauth2/authorize     authorize.go   RFC 6749 3.1, PKCE (RFC 7636), iss (RFC 9207)
//	                      login.go       the login application of the operator
//	                      consent.go     the page that is built in
//	/oauth2/par           pushed.go      RFC 9126
//	/oauth2/token         token.go       RFC 6749 3.2, resource (RFC 8707)
//	/oauth2/introspect    introspect.go  RFC 7662
//	/oauth2/revoke        revoke.go      RFC 7009
//	/oauth2/register      register.go    RFC 7591 and RFC 7592
//	/oauth2/userinfo      openid.go      OpenID Connect Core
//	/oauth2/logout        logout.go      OpenID Connect RP-Initiated Logout
//	/oauth2/jwks          discovery.go   RFC 7517
//	/.well-known/...      discovery.go   RFC 8414, OpenID Connect Discovery
//
// It turns requests into acts of internal/authcore, which decides and stores, and results
// into answers. An endpoint exists only if the configuration offers it; the metadata lists
// what is offered and nothing else.
package rfc
