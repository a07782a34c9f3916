// SPDX-License-Identifier: Apache-2.0

// Package session keeps the sessions of people who have logged in, without
// knowing anything of HTTP or of how they did.
//
// # What is where
//
// The browser has a cookie with two random values, an id and a secret. The
// store has a record under a keyed hash of the id, sealed with a key that is
// derived from the secret of the cookie and the key of the configuration:
//
//	cookie         version, id, secret
//	store key      MAC(configuration key, id)
//	record         Seal(HKDF(secret, configuration key), session)
//	index entries  MAC(configuration key, issuer, sid), MAC(configuration key, issuer, subject)
//
// So a copy of the store is not a list of cookies, neither the store nor the
// configuration alone opens a record, and a session ends when its record is
// deleted: on all gateways, whatever the browser still has.
//
// # How it is used
//
//	session, err := manager.Open(ctx, cookie)             // a request
//	session, err = manager.Update(ctx, session, change)   // renewal, userinfo, an RPT
//	cookie, err := manager.Create(ctx, contents)          // login
//	n, err := manager.EndBySubject(ctx, issuer, subject)  // back-channel logout
//
// A session that was read is a value that never changes. Update applies a
// change to the newest record and stores it only if nothing else was stored in
// between; otherwise it reads again and applies the change again. Two changes
// at once are therefore both kept.
//
// An [Attempt] is one login under way. It travels in a sealed cookie, so that
// starting a login keeps nothing on the server.
package session
