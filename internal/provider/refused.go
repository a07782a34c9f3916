// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"net/http"
)

// Requests to an endpoint may differ only in what a client sent, such as a token,
// which anyone can make up. A server that calls a request bad may well mean that
// part, and must not count as unavailable: five made-up tokens in a row would
// open the circuit breaker and lock everyone out.

// A refusedRequest is the error of an answer that says nothing about the
// token, but shows that the server is there.
type refusedRequest struct{ error }

func (e refusedRequest) Unwrap() error { return e.error }

// BlameRequest marks the error of an answer with which the server refuses
// the request and nothing else: not the gateway's credentials (401, 403), not
// for the time being (408, 429).
func BlameRequest(a *Answer, err error) error {
	if err == nil {
		return nil
	}
	switch a.Status {
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
