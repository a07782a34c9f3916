// SPDX-License-Identifier: Apache-2.0

// Package kongconfig is the config adapter "kong": it turns a declarative file
// of Kong (for DB-less mode, of decK, or of `kong config db_export`), with the
// plugins of Gluu Gateway, into Caddy's JSON.
//
//	caddy run --config kong.yml --adapter kong
//
// Adapting is a function of the file and of the environment alone: it uses no
// network and no clock, and the same input gives the same bytes. What decides about
// access or routing is never dropped. What cannot be kept is an error that
// names the entity, the field, the line and what to write instead; all errors are
// reported at once. What changes without deciding anything is a warning.
//
// The file passes through these stages:
//
//	tree.go       YAML or JSON, with lines
//	file.go       entities, nested or flat, with their defaults and relations
//	effective.go  the plugins that run on a route
//	emit.go       Caddy's JSON: one gluu_routes handler, with a chain for each route
package kongconfig
