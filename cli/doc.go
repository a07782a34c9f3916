// SPDX-License-Identifier: Apache-2.0

// Package cli adds the command `caddy gluu` to a Caddy binary. It lets operators
// query the policy engine without sending a request:
//
//	caddy gluu explain      explains the decision for one request
//	caddy gluu test         runs policy tests
//	caddy gluu rules        lists rules in order of precedence, with warnings
//	caddy gluu overview     shows what a running gateway does at the moment
//	caddy gluu decisions    lists the requests that a running gateway has refused lately
//	caddy gluu why          says why a running gateway has refused a request
//	caddy gluu compare      sends requests to two gateways and prints differences
//	caddy gluu ui           prints a link that opens the gateway in a browser
//	caddy gluu hash-secret  hashes a client secret
//
// The commands call the same packages as the handlers, so both always decide
// alike. This package only presents the result.
package cli
