// SPDX-License-Identifier: Apache-2.0

// Package tokencache keeps verified tokens, and refusals, so that a token is
// verified once and not with each request. It remembers what a token is, never
// what it may do.
//
// A [Cache] has two levels. The first is the memory of this process. The second
// is optional: a Redis through which several gateways share what they have
// verified, and tell each other of revocations. The second level never decides
// anything. Without it, or while it is unavailable, everything works the same
// and costs more introspections.
//
// A token is found under a [Key], which a [Hasher] makes. A verifier asks
// for the epoch first and hands it back with the outcome, so that a revocation
// in the meantime is not overwritten by an answer from before it:
//
//	key := hasher.Key(raw)
//	t, refusal := cache.Lookup(key, now)
//	...                                    // neither is known: verify
//	epoch := cache.Epoch()
//	t, verifiedAt, since := cache.Fetch(ctx, id, now) // by another gateway?
//	...                                    // no: ask the authorization server
//	cache.Keep(key, epoch, t, now, now, 0)
//	cache.Share(ctx, id, since, t, now)
//
// The package verifies nothing and knows no authorization server.
package tokencache
