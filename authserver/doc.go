// SPDX-License-Identifier: Apache-2.0

// Package authserver is the authorization server that runs inside the gateway: the handler
// gluu_oauth_server. Here are its configuration and its life within Caddy. What it does is
// elsewhere:
//
//   - internal/authcore decides and stores, and knows neither HTTP nor Caddy;
//   - authserver/rfc speaks HTTP as the standards have it;
//   - internal/clientauth finds out who a client is.
//
// It has no accounts. Who a person is, says a handler in front of it (consent_page), or an
// application of the operator (login).
//
// Everything that is stored about a token is its SHA-256, with the rest sealed; everything
// that a configuration holds about a client secret is a slow hash of it, made by HashSecret
// (caddy gluu hash-secret).
package authserver
