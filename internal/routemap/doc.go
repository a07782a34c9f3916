// SPDX-License-Identifier: Apache-2.0

// Package routemap says which handlers a running configuration has, in the order in
// which Caddy runs them, and what protects each of them.
//
// The order is that of the configuration in JSON, into which a Caddyfile is
// translated: routes inside of handlers and named routes are followed. [Read] keeps
// the configuration of the HTTP app while it is loaded, [Snapshot.Map] makes a [Map]
// of it, and [Snapshot.Take] says which of the handlers a request would meet: it asks the
// matchers of the running configuration themselves.
package routemap
