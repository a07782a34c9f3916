// SPDX-License-Identifier: Apache-2.0

// Package caddyui has the handler gluu_ui: the gateway in a browser. It shows what
// the gateway does, why a request was refused, and what would happen if a rule
// were another.
//
// The pages read in this process, through the same Go functions as package
// caddyadmin. Nothing that a browser sends is passed on to Caddy's admin endpoint;
// package liveconfig asks it for the configuration, and to load one that was
// reviewed. Each request goes through these steps, in this order ([UI.ServeHTTP]):
//
//	hosts     is the request for this site at all? (DNS rebinding)
//	routes    which page, with which method: one table, nothing else exists
//	visitor   who is it: a login, a client certificate, a link that was opened once
//	roles     may that person use this page
//	changes   for everything but GET: same origin, and a token of this session
//
// Pages are made by html/template and work without a script. What clients of the
// gateway sent is shown as text; see clean for characters that would not show.
package caddyui
