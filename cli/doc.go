// SPDX-License-Identifier: Apache-2.0

// Package cli adds the command `caddy gluu` to a Caddy binary: what an operator
// asks the policy engine without sending a request.
//
//	caddy gluu explain      what a policy does with one request, and why
//	caddy gluu test         runs files of test cases
//	caddy gluu rules        lists rules in the order in which they are tried
//	caddy gluu hash-secret  hashes the secret of a client
//
// The commands decide with the packages that the handlers decide with: there
// is no second opinion here, only its presentation.
package cli
