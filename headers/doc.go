// SPDX-License-Identifier: Apache-2.0

// Package headers is about the request headers with which the gateway tells
// an upstream who is calling. It has three parts:
//
// A [Set] renders custom headers: expressions over the claims of a verified
// token, compiled when the configuration loads, rendered once per token.
//
// A [Stripper] removes from a request every header that only the gateway may
// set, in every spelling that some upstream takes for the same. Without it,
// a header that an expression leaves out is a header that the client sets.
//
// A [Signer] holds the gateway's own key, for phantom tokens and headers of
// the format jwt, and the public halves of all keys that are still needed.
//
// The package knows net/http's types and nothing of a server. It does not
// know what a token is either: who calls it brings claims as a JSON object.
package headers
