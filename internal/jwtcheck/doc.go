// SPDX-License-Identifier: Apache-2.0

// Package jwtcheck holds the checks that all signed JWTs share, whatever kind
// they are: access tokens, ID tokens, logout tokens, signed introspection
// responses, DPoP proofs. Each kind adds checks of its own, and the order in
// which they run is the caller's.
//
// A token is parsed once and handed down; nothing in it is true before its
// signature has been verified:
//
//	jwt, err := jwtcheck.Parse(raw, limit)
//	err = jwtcheck.Header(jwt.Header, algorithms)  // algorithm, forbidden members
//	typ := jwtcheck.MediaType(jwt.Header.Type)     // compare: what kind is it?
//	claims, err := jwt.Claims()
//	err = jwtcheck.Issuer(claims, issuer)          // before its keys are fetched
//	key, err := keys.Key(ctx, jwt.Header.KeyName, jwt.Header.Algorithm)
//	err = jwt.Verify(key, jwt.Header.Algorithm)
//	...                                            // from here on it is the issuer's word
//	err = jwtcheck.NotBefore(claims, now)
//	err = jwtcheck.Audience(claims, audiences)
//
// Errors say what is wrong with the token in words for a log. They never
// contain the token, and what they quote of it is cut short.
package jwtcheck
