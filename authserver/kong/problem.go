// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// answer is an error code with its description and status.
type answer struct {
	status      int
	code        string
	description string
}

// problem is why a request is refused.
type problem struct {
	kong   answer
	rfc    answer
	reason string // for the log and the metrics
	err    error  // for the log

	grant *authcore.Grant // that has ended because of it
	fault *authcore.Fault
}

func (p *problem) Error() string { return p.kong.code + ": " + p.kong.description }
func (p *problem) Unwrap() error { return p.err }

// asError is the problem as an error, which is nil if there is none.
func (p *problem) asError() error {
	if p == nil {
		return nil
	}
	return p
}

// answerAs returns what a client is told.
func (p *problem) answerAs(rfc bool) answer {
	a := p.kong
	if rfc {
		a = p.rfc
	}
	if a.status == 0 {
		a.status = http.StatusBadRequest
	}
	return a
}

// Reasons of the log, beside those of authcore. They are those of the other endpoints.
const (
	reasonMalformed     = "malformed_request"
	reasonMethod        = "method_not_allowed"
	reasonTooLarge      = "request_too_large"
	reasonPlainHTTP     = "plain_http"
	reasonProvisionKey  = "provision_key_wrong"
	reasonNoUser        = "authenticated_userid_missing"
	reasonUnknownClient = "unknown_client"
	reasonWrongSecret   = "wrong_secret"
	reasonSecretOfNone  = "wrong_client_authentication"
	reasonResponseType  = "response_type_not_served"
	reasonGrant         = "grant_not_served"
	reasonNotForClient  = "grant_not_allowed"
	reasonLimit         = "too_many_failures"
	reasonBusy          = "busy"
	reasonStorage       = "storage_unavailable"
	reasonStarting      = "starting"
)

func plainHTTP(text string) *problem {
	return &problem{
		kong:   answer{0, authcore.AccessDenied, text},
		rfc:    answer{0, authcore.InvalidRequest, text},
		reason: reasonPlainHTTP,
	}
}

func wrongProvisionKey() *problem {
	return &problem{
		kong:   answer{0, "invalid_provision_key", "Invalid provision_key"},
		rfc:    answer{http.StatusUnauthorized, authcore.InvalidClient, "the provision_key is missing or wrong"},
		reason: reasonProvisionKey,
	}
}

func missingUser() *problem {
	return &problem{
		kong:   answer{0, "invalid_authenticated_userid", "Missing authenticated_userid parameter"},
		rfc:    answer{0, authcore.InvalidRequest, "the parameter authenticated_userid is missing or not a text"},
		reason: reasonNoUser,
	}
}

func wrongResponseType() *problem {
	return &problem{
		kong:   answer{0, authcore.UnsupportedResponseType, "Invalid response_type"},
		rfc:    answer{0, authcore.UnsupportedResponseType, "this server does not serve this response_type"},
		reason: reasonResponseType,
	}
}

func wrongScope(text string) *problem {
	return &problem{
		kong:   answer{0, authcore.InvalidScope, text},
		rfc:    answer{0, authcore.InvalidScope, text},
		reason: authcore.ReasonScope,
	}
}

// wrongClient is about a client that is unknown or has not authenticated. Kong answers 401
// where the client used the Authorization header.
func wrongClient(reason string, status int) *problem {
	return &problem{
		kong:   answer{status, authcore.InvalidClient, "Invalid client authentication"},
		rfc:    answer{http.StatusUnauthorized, authcore.InvalidClient, "client authentication failed"},
		reason: reason,
	}
}

func secretOfPublicClient() *problem {
	return &problem{
		kong:   answer{0, authcore.InvalidRequest, "client_secret is disallowed for public clients"},
		rfc:    answer{http.StatusUnauthorized, authcore.InvalidClient, "this client is public and has no secret"},
		reason: reasonSecretOfNone,
	}
}

func wrongRedirectURI() *problem {
	const text = "Invalid redirect_uri that does not match with any redirect_uri created with the application"
	return &problem{
		kong:   answer{0, authcore.InvalidRequest, text},
		rfc:    answer{0, authcore.InvalidRequest, "redirect_uri is not one that the client has registered"},
		reason: authcore.ReasonRedirectURI,
	}
}

func wrongChallenge(text string) *problem {
	return &problem{
		kong:   answer{0, authcore.InvalidRequest, text},
		rfc:    answer{0, authcore.InvalidRequest, text},
		reason: authcore.ReasonChallengeMethod,
	}
}

func wrongGrantType() *problem {
	return &problem{
		kong:   answer{0, authcore.UnsupportedGrantType, "Invalid grant_type"},
		rfc:    answer{0, authcore.UnsupportedGrantType, "this server does not serve this grant_type"},
		reason: reasonGrant,
	}
}

// notForClient is about a grant that the server serves and the client does not have. Kong has
// no such clients, and so no words of its own for it.
func notForClient() *problem {
	p := wrongGrantType()
	p.rfc = answer{0, authcore.UnauthorizedClient, "this client does not have this grant"}
	p.reason = reasonNotForClient
	return p
}

func wrongMethod(method, endpoint string) *problem {
	text := fmt.Sprintf("The HTTP method %s is invalid for the %s endpoint", method, endpoint)
	return &problem{
		kong:   answer{http.StatusMethodNotAllowed, "invalid_method", text},
		rfc:    answer{http.StatusMethodNotAllowed, authcore.InvalidRequest, text},
		reason: reasonMethod,
	}
}

func malformed(text string) *problem {
	return &problem{
		kong:   answer{0, authcore.InvalidRequest, text},
		rfc:    answer{0, authcore.InvalidRequest, text},
		reason: reasonMalformed,
	}
}

// orMissing is a problem with a parameter, which the standards call by another name if it
// is not there (RFC 6749 sections 4.1.2.1 and 5.2).
func (c *call) orMissing(name string, p *problem) *problem {
	if !c.params.has(name) {
		p.rfc = answer{0, authcore.InvalidRequest, "the parameter " + name + " is missing"}
	}
	return p
}

func scopeMismatch() *problem {
	p := wrongScope("Scope mismatch")
	p.rfc.description = "a scope of this grant no longer exists"
	return p
}

func tooLarge() *problem {
	p := malformed("the body is larger than 64 KiB")
	p.kong.status, p.rfc.status, p.reason = http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge, reasonTooLarge
	return p
}

// unavailable is the answer when the fault is here. It is never one that a client could
// take for a decision.
func unavailable(reason string, err error) *problem {
	a := answer{http.StatusServiceUnavailable, "temporarily_unavailable", "the server cannot do this at the moment; try again later"}
	return &problem{kong: a, rfc: a, reason: reason, err: err}
}

func limited() *problem {
	a := answer{http.StatusTooManyRequests, "temporarily_unavailable", "too many failed client authentications; try again later"}
	return &problem{kong: a, rfc: a, reason: reasonLimit}
}

// problemOf turns any error into a problem.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if f, ok := errors.AsType[*authcore.Fault](err); ok {
		return problemOfFault(f)
	}
	return unavailable(reasonStorage, err)
}

// problemOfFault is about what the core refuses, in its words. Where Kong has words of its
// own, the endpoints know them.
func problemOfFault(f *authcore.Fault) *problem {
	a := answer{0, f.Code, f.Description}
	switch {
	case f.Code == authcore.InvalidClient:
		a.status = http.StatusUnauthorized
	case f.Reason == authcore.ReasonTooManyTokens:
		a.status = http.StatusTooManyRequests
	}
	return &problem{kong: a, rfc: a, reason: f.Reason, fault: f, grant: f.Grant}
}

// inKongs replaces Kong's half of a problem.
func (p *problem) inKongs(code, description string) *problem {
	p.kong = answer{0, code, description}
	return p
}
