// SPDX-License-Identifier: Apache-2.0

// Package clientauth finds out who a client of the authorization server is. It checks
// secrets against slow hashes without letting them be used as a lever ([Verifier]), and
// signed assertions of clients that have a key ([Authenticator.Assertion]).
package clientauth
