// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"errors"
	"fmt"
	"time"
)

// Reason is why a token was not verified, in the words of the log field
// `reason`.
type Reason string

const (
	// TokenInvalid is a token that is none of this provider's, or malformed,
	// or not meant for this audience.
	TokenInvalid Reason = "token_invalid"

	// TokenInactive is a token that the authorization server does not stand
	// for: unknown, revoked or expired, it does not say which.
	TokenInactive Reason = "token_inactive"

	// TokenExpired is a token whose `exp` is over.
	TokenExpired Reason = "token_expired"

	// TokenBound is a token bound to a key or certificate that the request
	// does not prove to have.
	TokenBound Reason = "token_bound"

	// ProviderUnavailable says nothing about the token: the authorization
	// server could not be asked. It is never a reason to answer 401.
	ProviderUnavailable Reason = "provider_unavailable"
)

// Error is the only type of error that Verify and CheckBinding return.
type Error struct {
	Reason Reason

	// RetryAfter is set with ProviderUnavailable: when it makes sense to ask
	// again.
	RetryAfter time.Duration

	// Scheme, Code and Nonce are what the challenge of a bound token has to
	// say: the scheme that the client must use ("DPoP", or "" for Bearer), the
	// error code in it (invalid_token, invalid_dpop_proof, use_dpop_nonce) and
	// the nonce that the next proof must contain, for the DPoP-Nonce header
	// (RFC 9449, sections 7.1 and 9). Only CheckBinding sets them.
	Scheme, Code, Nonce string

	// Err says more, for the log. It never contains the token.
	Err error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Reason)
	}
	return string(e.Reason) + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// asError turns any error into an *Error. An error that nobody has classified
// tells nothing about the token, so it must not become a refusal that a
// client would take for the truth.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Reason: ProviderUnavailable, RetryAfter: defaultRetryAfter, Err: err}
}

// defaultRetryAfter is what a client is told when nothing better is known.
const defaultRetryAfter = time.Second

func refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

func unavailable(retryAfter time.Duration, format string, args ...any) *Error {
	if retryAfter < defaultRetryAfter {
		retryAfter = defaultRetryAfter
	}
	return &Error{Reason: ProviderUnavailable, RetryAfter: retryAfter, Err: fmt.Errorf(format, args...)}
}
