// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/jose"
)

// Requests to an endpoint may differ only in what a client sent, such as a token,
// which anyone can make up. What a server answers to one of them says something
// about that one, and about the server only that it is there: otherwise five
// made-up tokens in a row would open the circuit breaker and lock everyone out.

// refusedRequest is the error of an answer that refuses one request and shows
// that the server is there.
type refusedRequest struct{ error }

func (e refusedRequest) Unwrap() error { return e.error }

// BlameRequest marks the error of an answer with which the server refuses the
// request and nothing else: see [IsAboutRequest].
func BlameRequest(a *Answer, err error) error {
	if err == nil || !IsAboutRequest(a) {
		return err
	}
	return refusedRequest{err}
}

// IsAboutRequest reports whether an answer refuses this one request, whatever the
// server may think of others: any 4xx, but not the refusal of the gateway's own
// credentials, nor what only holds for now (408, 429), nor what a proxy on the way
// says for itself (407).
func IsAboutRequest(a *Answer) bool {
	switch a.Status {
	case http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return a.Status/100 == 4 && !RefusesCredentials(a)
}

// RefusesCredentials reports whether the server says that it does not accept who
// the gateway is (RFC 6749, section 5.2).
func RefusesCredentials(a *Answer) bool {
	if a.Status/100 != 4 || a.Oversized {
		return false
	}
	body, err := jose.ParseObject(a.Body)
	if err != nil {
		return false
	}
	code, _ := body.Text("error")
	return code == "invalid_client"
}

// UnreadableError is the error of a complete answer that cannot be read. It says
// nothing certain, neither about what was asked nor about the server.
type UnreadableError struct{ Err error }

func (e *UnreadableError) Error() string { return "the answer cannot be read: " + e.Err.Error() }

func (e *UnreadableError) Unwrap() error { return e.Err }

// StatusError is the error of an answer with a status that is not an answer.
type StatusError struct{ Status int }

func (e *StatusError) Error() string { return fmt.Sprintf("status %d", e.Status) }

// failedError is the error of a question that was asked, and that the server
// failed to answer.
type failedError struct{ error }

func (e failedError) Unwrap() error { return e.error }

// HasFailed reports whether an error of [Server.Ask] is that of a question which
// the server did not answer: no answer came, or one of 5xx. It is not that of an
// open breaker, of a queue, or of an answer that was refused or could not be read,
// which clients can cause.
func HasFailed(err error) bool {
	_, ok := errors.AsType[failedError](err)
	return ok
}

// asFailed marks the error of a question that the server did not answer.
func asFailed(err error) error {
	if status, ok := errors.AsType[*StatusError](err); ok && status.Status < 500 {
		return err
	}
	return failedError{err}
}

// unreadable is the error of a question whose answer cannot be read.
func unreadable(endpoint string, err error) *token.Error {
	return &token.Error{
		Reason: token.Unreadable, RetryAfter: token.DefaultRetryAfter,
		Err: fmt.Errorf("%s: %w", endpoint, err),
	}
}
