// SPDX-License-Identifier: Apache-2.0

// Package ratelimit counts requests in windows of time: seconds to years, as
// Kong has them. It knows nothing of HTTP.
//
// A [Limiter] counts by itself or, with a [Shared] store, together with others.
// Then it draws leases: a part of what is left of a limit is moved from the
// shared counter to this gateway, which spends it without asking again.
//
//	shared counter   100 of 1000 left
//	gateway A        leases 10, spends them without a trip
//	gateway B        leases 9, ...
//
// A lease is drawn from the shared counter before it is spent, so all gateways
// together never exceed the limit. What a gateway has not spent when the window
// ends is lost. While the store cannot be reached, each gateway keeps to its share
// of the limit.
package ratelimit
