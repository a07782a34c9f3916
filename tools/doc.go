// SPDX-License-Identifier: Apache-2.0

// Package tools holds the programs that build and check the gateway: build
// feeds xcaddy.json to xcaddy, check runs every test there is and sums up.
// The module is separate from the gateway's, so that what they depend on
// never reaches who imports the gateway.
package tools
