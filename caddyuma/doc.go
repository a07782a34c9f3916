// SPDX-License-Identifier: Apache-2.0

// Package caddyuma makes the gateway an UMA 2.0 resource server (User-Managed
// Access 2.0 Grant for OAuth 2.0; Federated Authorization for UMA 2.0): the
// handlers gluu_uma_auth, which authenticates requesting party tokens, and
// gluu_uma_pep, which asks the authorization server for permission tickets and
// judges by the permissions of such tokens.
//
// Nothing here is on the way of a request whose token has the permissions:
// those are read from the token once and kept with it. The authorization
// server is asked when a resource has to be registered, in the background, and
// when a request has to be refused with a ticket.
//
// What is not here: verifying tokens (package introspect), the rules and their
// paths (package scopeexpr), answers and records (package identity).
package caddyuma
