// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"errors"
	"fmt"
	"time"
)

// Fault is why a request is refused.
type Fault struct {
	// Code is the error code of RFC 6749 and its extensions.
	Code string

	// Reason is the stable word for the log and the metrics. It is finer than
	// Code: several reasons have one code.
	Reason string

	// Description is for the developer of the client. It tells nothing about
	// other clients.
	Description string

	// Of the end of a grant, for the log: whose it was, and how old the token is
	// that was presented again.
	Grant *Grant
	Age   time.Duration
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("%s: %s (%s)", f.Code, f.Description, f.Reason) }

// Error codes.
const (
	InvalidRequest          = "invalid_request"
	InvalidClient           = "invalid_client"
	InvalidGrant            = "invalid_grant"
	UnauthorizedClient      = "unauthorized_client"
	UnsupportedGrantType    = "unsupported_grant_type"
	UnsupportedResponseType = "unsupported_response_type"
	InvalidScope            = "invalid_scope"
	InvalidTarget           = "invalid_target"
	AccessDenied            = "access_denied"
)

// Reasons of the faults of this package.
const (
	ReasonCodeUnknown       = "code_unknown"
	ReasonCodeReused        = "code_reused"
	ReasonRefreshUnknown    = "refresh_unknown"
	ReasonRefreshReused     = "refresh_reused"
	ReasonGrantEnded        = "grant_ended"
	ReasonForeignClient     = "foreign_client"
	ReasonForeignService    = "foreign_service"
	ReasonRedirectURI       = "redirect_uri_mismatch"
	ReasonVerifier          = "verifier_mismatch"
	ReasonVerifierMissing   = "verifier_missing"
	ReasonVerifierUnwanted  = "verifier_without_challenge"
	ReasonChallengeMethod   = "challenge_method"
	ReasonScope             = "scope_not_allowed"
	ReasonTarget            = "resource_not_allowed"
	ReasonTooManyTokens     = "too_many_tokens"
	ReasonTooManyClients    = "too_many_clients"
	ReasonChallengeUnknown  = "login_unknown"
	ReasonChallengeAnswered = "login_answered"
	ReasonPushedUnknown     = "pushed_request_unknown"
)

func fault(code, reason, format string, args ...any) *Fault {
	return &Fault{Code: code, Reason: reason, Description: fmt.Sprintf(format, args...)}
}

var (
	// ErrNotFound says that there is no such record.
	ErrNotFound = errors.New("no such record")

	// ErrExpired says that a record is over.
	ErrExpired = errors.New("expired")

	// ErrExists says that a record with this name exists already.
	ErrExists = errors.New("exists already")

	// ErrChanged says that a record was changed since it was read.
	ErrChanged = errors.New("changed meanwhile")
)
