// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"net/http"
	"time"

	"github.com/caddy-gluu/gateway/identity"
)

// Reason codes for people whose permissions the gateway obtains. They never change
// their meaning.
const (
	reasonDenied       = "uma_denied"
	reasonSubmitted    = "uma_submitted"
	reasonClaimsNeeded = "uma_claims_needed"
	reasonFailed       = "uma_failed"
)

// denied says that the authorization server does not permit what the person wants.
func denied(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusForbidden, Error: "access_denied", Reason: reasonDenied,
		Description: "You do not have the permission that this needs.",
		Person:      new(identity.ForPerson), Cause: cause,
	}
}

// submitted says that someone has to approve what the person wants.
func submitted(left time.Duration) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusForbidden, Error: codeSubmitted, Reason: reasonSubmitted,
		Description: "Your request for permission was passed on, and waits for approval. Try again later.",
		RetryAfter:  left, Person: new(identity.ForPerson),
	}
}

// claimsNeeded says that the authorization server wants to know more about the
// person, which it cannot be told here.
func claimsNeeded(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusForbidden, Error: codeNeedInfo, Reason: reasonClaimsNeeded,
		Description: "The authorization server needs to know more about you before it can give you permission.",
		Person:      new(identity.ForPerson), Cause: cause,
	}
}

// failed says that the authorization server's answer cannot be used.
func failed(cause error) identity.Refusal {
	return identity.Refusal{
		Status: http.StatusBadGateway, Error: "server_error", Reason: reasonFailed,
		Description: "The authorization server gave an answer about your permission that cannot be used.",
		Person:      new(identity.ForPerson), Cause: cause,
	}
}
