// SPDX-License-Identifier: Apache-2.0

// Package directive holds what all Caddyfile directives of the gateway share:
// their order among Caddy's own, how a directive begins, how options are read
// and refused, and how placeholders in configured values are resolved. Every
// package that registers a directive imports it.
//
// A parser opens with Begin, BeginBlock or BeginNamed, goes through its block with
// EachOption (or a loop with a Once), reads values with the functions named after
// their types, and ends its switch with Unknown. All errors carry the file and line and say what to
// write instead.
//
// The package knows no option of any directive. What a value means is up to the
// package that owns it.
package directive
