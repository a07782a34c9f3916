// SPDX-License-Identifier: Apache-2.0

// Package token holds what travels between those who verify access tokens and
// those who use them: the verified [Token], the [Confirmation] that binds it to a
// key, and the [Error] that refuses it.
//
// A verifier makes a token from its claims and completes it:
//
//	t, err := token.FromClaims(claims, mapping) // a claim of the wrong type is an error
//	if t.Expired(now) {
//		return nil, token.Refuse(token.Expired, "expired at %s", t.ExpiresAt)
//	}
//	t.Provider, t.Issuer, t.ClaimsJSON = name, issuer, payload
//	t.Compact() // before it is kept: it shares no memory with what it was parsed from
//
// A token is shared between all requests that carry it and is never changed.
// What a handler computes from it can be kept with it: see [Token.SetValue].
//
// An error either refuses the token or says that the authorization server is
// unavailable (see [Unavailable]), and the two never mix: errors of any other
// type become the latter by [AsError].
package token
