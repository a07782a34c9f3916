// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// What travels has moved to package token. These names are for the time being.
type (
	Token        = token.Token
	Confirmation = token.Confirmation
	Error        = token.Error
	Reason       = token.Reason
)

const (
	TokenInvalid        = token.Invalid
	TokenInactive       = token.Inactive
	TokenExpired        = token.Expired
	TokenBound          = token.Bound
	ProviderUnavailable = token.ProviderUnavailable
	AnswerUnreadable    = token.Unreadable
	TokenLimited        = token.Limited

	defaultRetryAfter = token.DefaultRetryAfter
)

func refuse(reason Reason, format string, args ...any) *Error {
	return token.Refuse(reason, format, args...)
}

func unavailable(retryAfter time.Duration, format string, args ...any) *Error {
	return token.Unavailable(retryAfter, format, args...)
}

func asError(err error) *Error { return token.AsError(err) }
