// SPDX-License-Identifier: Apache-2.0

// Package localserver is how the gateway asks an authorization server that runs in
// the same process about a token: by a function call, without HTTP and JSON. The
// server implements Server, its app is a Host, and `provider embedded` uses both;
// neither knows the other.
package localserver

import (
	"context"

	"github.com/caddy-gluu/gateway/internal/token"
)

// AppName is the Caddy app that is the Host of a configuration's servers.
const AppName = "gluu_oauth_server"

// Host has the servers of a configuration.
type Host interface {
	// LocalServer returns the server with this issuer and service. An empty one is any,
	// if there is no choice. It is asked when all handlers of the configuration have been
	// provisioned. An error names what to write instead, for the operator.
	LocalServer(issuer, service string) (Server, error)
}

// Server is an authorization server of this process.
type Server interface {
	// Issuer returns the issuer identifier.
	Issuer() string

	// Verify returns the token that raw is, if it is active. Audiences are those
	// that the caller stands for: the token must name one of them, if there are
	// any. The error is a [token.Error]: one that refuses the token, or
	// ProviderUnavailable if the store cannot be read.
	Verify(ctx context.Context, raw string, audiences []string) (*token.Token, error)

	// AnswersAtOnce reports whether Verify waits for nothing at present: not for a
	// store of another process, the document of a client or the server's start.
	AnswersAtOnce() bool

	// Holds reports whether a token that Verify has returned is still active, as
	// far as it is not about the clock. It costs next to nothing and is called for
	// each request, so that a revocation holds at once.
	Holds(t *token.Token) bool
}
