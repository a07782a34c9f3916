// SPDX-License-Identifier: Apache-2.0

// Package tools holds the programs that build and check the gateway: build
// feeds xcaddy.json to xcaddy, check runs every check and prints a summary.
// The module is separate from the gateway's, so that its dependencies never
// reach a module that imports the gateway.
package tools
