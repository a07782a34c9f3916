// SPDX-License-Identifier: Apache-2.0

// Package caddyconsumer has the handlers that decide by consumer, after an
// authentication handler has found out which one is calling. They look at
// nothing else of a request: what a token allows is for the handlers with rules.
//
// gluu_acl allows or denies groups of consumers, as Kong's plugin acl does.
package caddyconsumer
