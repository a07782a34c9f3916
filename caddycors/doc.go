// SPDX-License-Identifier: Apache-2.0

// Package caddycors has the handler gluu_cors: Cross-Origin Resource Sharing,
// with the options of Kong's plugin of that name. The protocol itself is
// rs/cors; here is which origins are allowed, what cannot be right, and that
// the answer of the gateway is the only one, whatever the upstream says.
package caddycors
