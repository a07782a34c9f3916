// SPDX-License-Identifier: Apache-2.0

package token

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Reason is why a token was not verified, in the words of the log field
// `reason`.
type Reason string

const (
	// Invalid: the token is malformed, not of this provider, or meant for another
	// audience.
	Invalid Reason = "token_invalid"

	// Inactive: the authorization server does not vouch for the token. It may be
	// unknown, revoked or expired; the server does not say which.
	Inactive Reason = "token_inactive"

	// Expired: the `exp` of the token is over.
	Expired Reason = "token_expired"

	// Bound: the token is bound to a key or certificate, and the request does
	// not prove possession of it.
	Bound Reason = "token_bound"

	// ProviderUnavailable: the authorization server could not be asked, so
	// nothing is known about the token. It is never a reason to answer 401.
	ProviderUnavailable Reason = "provider_unavailable"

	// Unreadable: the authorization server's answer about this token is complete
	// but cannot be read, so nothing certain is known about the token. Like
	// ProviderUnavailable it is never a reason to answer 401; unlike that it says
	// nothing about other tokens.
	Unreadable Reason = "answer_unreadable"

	// Limited: too many tokens from the client's network were unknown to the
	// authorization server, so it was not asked about this one.
	Limited Reason = "token_limit"
)

// Error is why a token was not verified. It is the only type of error that
// verification returns: either the token is refused, or nothing is known about it
// (see [Error.IsRefusal]), and the two never mix.
type Error struct {
	Reason Reason

	// RetryAfter is set with ProviderUnavailable, Unreadable and Limited: when it
	// makes sense to ask again.
	RetryAfter time.Duration

	// Until is when the reason of a refusal ends by itself, such as that the token
	// is not valid yet; zero if it lasts.
	Until time.Time

	// Scheme, Code and Nonce are what the challenge of a bound token has to
	// say: the scheme that the client must use ("DPoP", or "" for Bearer), the
	// error code in it (invalid_token, invalid_dpop_proof, use_dpop_nonce) and
	// the nonce that the next proof must contain, for the DPoP-Nonce header
	// (RFC 9449, sections 7.1 and 9). Only checks of a binding set them.
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

// IsRefusal reports whether the error refuses the token. Otherwise it says
// nothing about the token, which must then neither be accepted nor called
// invalid.
func (e *Error) IsRefusal() bool {
	switch e.Reason {
	case ProviderUnavailable, Unreadable, Limited:
		return false
	}
	return true
}

// DefaultRetryAfter is what a client is told when nothing better is known.
const DefaultRetryAfter = time.Second

// Refuse returns an error that refuses the token for this reason.
func Refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Unavailable returns an error that says nothing about the token, with the time
// after which it makes sense to ask again: [DefaultRetryAfter] at least.
func Unavailable(retryAfter time.Duration, format string, args ...any) *Error {
	return &Error{Reason: ProviderUnavailable, RetryAfter: max(retryAfter, DefaultRetryAfter), Err: fmt.Errorf(format, args...)}
}

// AsError turns any error into an *Error. An unclassified error says nothing
// about the token, so it must not become a refusal that a client would take for
// the truth.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Reason: ProviderUnavailable, RetryAfter: DefaultRetryAfter, Err: err}
}

// WithoutCause returns the error with the beginning of its text instead of its
// cause, which may be as large as the token, so that it can be remembered.
func (e *Error) WithoutCause() *Error {
	const enough = 512
	text := ""
	if e.Err != nil {
		text = e.Err.Error()
	}
	return &Error{
		Reason: e.Reason, RetryAfter: e.RetryAfter, Until: e.Until,
		Err: errors.New(strings.Clone(text[:min(len(text), enough)])),
	}
}
