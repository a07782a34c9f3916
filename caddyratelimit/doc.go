// SPDX-License-Identifier: Apache-2.0

// Package caddyratelimit has the handler gluu_rate_limit, which limits how
// often a consumer, a client or an address may call, by this gateway or by all
// that share a Redis.
package caddyratelimit
