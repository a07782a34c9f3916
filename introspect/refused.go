// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"errors"
	"net/http"

	"github.com/caddy-gluu/gateway/jose"
)

// Requests to the introspection endpoint differ only in the token, which
// anybody can make up. So a server that calls a request bad may well mean the
// token, and must not count as one that is away: five made-up tokens in a row
// would open the circuit breaker and shut everybody out.

// refusesToken reports whether the server says that it does not answer about
// tokens of this kind, as oidc-provider does for every JWT. The error code is
// that of the revocation endpoint (RFC 7009, section 2.2.1), to which
// RFC 7662 has no counterpart.
func refusesToken(a *answer) bool {
	if a.status != http.StatusBadRequest || a.mediaType != "application/json" {
		return false
	}
	body, err := jose.ParseObject(a.body)
	if err != nil {
		return false
	}
	code, _ := body.Text("error")
	return code == "unsupported_token_type"
}

// A refusedRequest is the error of an answer that says nothing about the
// token, but shows that the server is there.
type refusedRequest struct{ error }

func (e refusedRequest) Unwrap() error { return e.error }

// blameRequest marks the error of an answer with which the server refuses
// the request and nothing else: not the gateway's credentials (401, 403), not
// for the time being (408, 429).
func blameRequest(a *answer, err error) error {
	if err == nil {
		return nil
	}
	switch a.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return refusedRequest{err}
	}
	return err
}

// isRefusedRequest reports whether the server answered, if only to refuse.
func isRefusedRequest(err error) bool {
	var refused refusedRequest
	return errors.As(err, &refused)
}
