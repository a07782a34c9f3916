// SPDX-License-Identifier: Apache-2.0

// Package kong is the authorization server as clients of Kong's OAuth2 plugin know it: its
// paths, parameters, texts and status codes.
//
//	POST .../oauth2/authorize   authorize.go   a login application asks for a code or token
//	POST .../oauth2/token       token.go       a client asks for a token
//
// It turns requests into acts of internal/authcore, which decides and stores, so what Kong
// allowed by mistake does not come back: a code is redeemed once, a refresh token is rotated
// once, an empty secret never authenticates, a verifier is never ignored, the provision key
// is never read from the URL, and a client's mistake is never answered 500.
//
// Each request ends in an answer or a [problem]. A problem has two texts: Kong's, and the one
// of the standards for `responses rfc`.
package kong
