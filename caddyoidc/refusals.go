// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// Reason codes of the log and the metrics. They never change their meaning.
const (
	reasonStateUnknown    = "login_state_unknown"
	reasonErrandUnknown   = "uma_state_unknown"
	reasonLoginRefused    = "login_refused"
	reasonLoginFailed     = "login_failed"
	reasonACRInsufficient = "acr_insufficient"
	reasonPostTooLarge    = "post_too_large"
	reasonLogoutToken     = "logout_token_invalid"
	reasonUnknownHost     = "unknown_host"
)

// loginStateUnknown refuses a callback that belongs to no login here.
func loginStateUnknown(cause error, landing string) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusBadRequest, Error: "invalid_request", Reason: reasonStateUnknown,
		Description: "This login was not started in this browser, or took too long. Start again.",
		Cause:       cause, Link: landing,
	}
}

// errandUnknown refuses a way back that belongs to no errand of this session.
func errandUnknown(cause error, link string) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusBadRequest, Error: "invalid_request", Reason: reasonErrandUnknown,
		Description: "You were not sent away from here, or were away for too long. Start again.",
		Cause:       cause, Link: link,
	}
}

// loginMixedUp refuses a callback of another OpenID Provider (RFC 9207).
func loginMixedUp(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusBadRequest, Error: "invalid_request", Reason: reasonLoginFailed,
		Description: "The answer does not come from the login service that was asked.",
		Cause:       cause,
	}
}

// loginRefused says that the OpenID Provider, or the person, said no.
func loginRefused(returnTo string) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusForbidden, Error: "access_denied", Reason: reasonLoginRefused,
		Description: "The login was refused or cancelled.", Link: returnTo,
	}
}

// loginFailed says that the OpenID Provider's answer breaks the rules.
func loginFailed(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusBadGateway, Error: "login_failed", Reason: reasonLoginFailed,
		Description: "The login service gave an answer that cannot be used.",
		Cause:       cause,
	}
}

// acrInsufficient says that a second attempt was not strong enough either.
func acrInsufficient(acrs []string, returnTo string) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusForbidden, Error: "access_denied", Reason: reasonACRInsufficient,
		Description: fmt.Sprintf("This page needs a stronger login: %s.", strings.Join(acrs, " or ")),
		Link:        returnTo,
	}
}

// sessionUnavailable says that the store does not answer. No session ends
// for it: the cookie stays as it is.
func sessionUnavailable(cause error) identity.Refusal {
	r := identity.SessionUnavailable(cause)
	if errors.Is(cause, session.ErrTooLarge) {
		r.Status, r.Error, r.RetryAfter = http.StatusBadGateway, "login_failed", 0
		r.Description = "The login service says more about you than can be kept."
	}
	return r
}

func logoutTokenInvalid(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusBadRequest, Error: "invalid_request", Reason: reasonLogoutToken,
		Description: "The logout token is not valid here.", Cause: cause,
	}
}

// unknownHost refuses to make an address of a host that the site does not name.
func unknownHost(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusMisdirectedRequest, Error: "invalid_request", Reason: reasonUnknownHost,
		Description: "This host is not one of the site's.", Cause: cause,
	}
}

func methodNotAllowed() identity.Refusal {
	return identity.Refusal{
		Status: http.StatusMethodNotAllowed, Error: "invalid_request", Reason: identity.ReasonMalformedRequest,
		Description: "This address does not know the method.",
	}
}

// unkept says why a body was not kept for after the login.
func unkept(err error) identity.Refusal {
	if errors.Is(err, errBodyTooLarge) || errors.Is(err, errTooManyKept) {
		return identity.Refusal{
			Status: http.StatusRequestEntityTooLarge, Error: "invalid_request", Reason: reasonPostTooLarge,
			Description: "Your session has ended, and what you sent cannot be kept during a login. Log in and send it again.",
			Cause:       err, Link: "/",
		}
	}
	return sessionUnavailable(err)
}

func unreadable(err error) identity.Refusal {
	if errors.Is(err, pathmatch.ErrTooLong) {
		return identity.PathTooLong(err)
	}
	return identity.AmbiguousPath(err)
}
