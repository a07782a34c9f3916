// SPDX-License-Identifier: Apache-2.0

// Package caddyoauth has the handlers that protect an API with OAuth 2.0
// access tokens: gluu_oauth_auth finds out who is calling, gluu_oauth_pep lets
// pass what the scopes of the token allow.
//
// The handlers are thin: what they share with others is in the packages
// identity (who is calling) and enforce (what happens to a request by rule).
package caddyoauth
