// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the built gateway from outside: the binary in a process
// of its own, an authorization server that nobody here wrote (npm's
// oidc-provider), an upstream that shows what reached it byte for byte.
// What each test needs is started by package harness.
package e2e
