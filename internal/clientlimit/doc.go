// SPDX-License-Identifier: Apache-2.0

// Package clientlimit keeps one client network from using up what all clients
// share: calls to an authorization server about unknown tokens.
//
// A client is known by its network alone as long as its token is not verified. So
// nothing here limits verified tokens: a call that ends well costs a network
// nothing, however many clients it has.
//
//	limits := clientlimit.New()
//	leave, err := limits.Enter(ctx, clientlimit.NetworkOf(ctx), timeout)
//	if err != nil { ... } // ErrTooMany: answer 429
//	...
//	leave(isUnknown)
package clientlimit
