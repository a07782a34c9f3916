// SPDX-License-Identifier: Apache-2.0

// Package directive holds what all Caddyfile directives of the gateway share:
// their order among Caddy's own and the parsing of booleans, durations and
// secrets. Every package that registers a directive imports it.
package directive
