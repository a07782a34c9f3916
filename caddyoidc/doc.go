// SPDX-License-Identifier: Apache-2.0

// Package caddyoidc has the handler `gluu_openid_connect`: the relying party of
// OpenID Connect for browsers.
//
// A request goes from top to bottom:
//
//	module.go       the configuration becomes a visitor, once
//	handler.go      serve: which session, what the path asks for, may it pass
//	login.go        no session, or not enough of one: off to the OpenID Provider
//	callback.go     the way back, checked step by step before a session exists
//	idtoken.go      what an ID token must be
//	renew.go        with the refresh token, or through the browser
//	logout.go       by the person, back-channel, front-channel
//	restore.go      a form that waits for its sender to log in
//	people.go       the session becomes the identity that rules and upstreams see
//
// What is not here: the record of a session (internal/session), the OpenID
// Provider's metadata, keys and breakers (internal/provider), what a person may
// do (package enforce).
package caddyoidc
