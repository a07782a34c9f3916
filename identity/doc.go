// SPDX-License-Identifier: Apache-2.0

// Package identity is about who is calling: it reads the credential from a
// request, has it verified, maps the client to a consumer, tells the upstream
// in headers, and carries the result with the request. It also answers the
// clients that are refused, in one form for all handlers, and keeps the
// records of that.
//
// An authentication handler embeds an [Authenticator], which holds all the
// configuration and behaviour that such handlers share. A handler that decides
// asks for the identity and refuses through an [Answerer]:
//
//	id := identity.Of(r)
//	if id == nil || id.Token == nil {
//		return answerer.Refuse(w, r, identity.NotAuthenticated())
//	}
//
// What is not here: how tokens are verified (package introspect), what a token
// may do (package scopeexpr), how header values are made (package headers).
package identity
