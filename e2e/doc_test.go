// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the built gateway from outside: the binary in a process
// of its own, an independent authorization server (npm's oidc-provider), and
// an upstream that returns what it received byte for byte. Package harness
// starts what each test needs.
package e2e
