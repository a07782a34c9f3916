// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
	"github.com/caddy-gluu/gateway/internal/events"
)

// call is one request to an endpoint.
type call struct {
	*Server
	w        *answerWriter
	r        *http.Request
	endpoint Endpoint
	rest     string // what follows the path of the endpoint

	clientID string // of a client that exists, for the log
	repeated string // a parameter of an authorization request that is there more than once
}

// Reasons why a request is refused, beside those of authcore.
const (
	reasonMalformed       = "malformed_request"
	reasonMethod          = "method_not_allowed"
	reasonTooLarge        = "request_too_large"
	reasonUnauthenticated = "no_client_authentication"
	reasonUnknownClient   = "unknown_client"
	reasonWrongSecret     = "wrong_secret"
	reasonWrongMethod     = "wrong_client_authentication"
	reasonAssertion       = "assertion_invalid"
	reasonReplayed        = "assertion_replayed"
	reasonLimit           = "too_many_failures"
	reasonBusy            = "busy"
	reasonGrant           = "grant_not_served"
	reasonGrantNotAllowed = "grant_not_allowed"
	reasonForeignToken    = "token_of_another_client"
	reasonStorage         = "storage_unavailable"
	reasonStarting        = "starting"
	reasonGone            = "client_gone"
	reasonInternal        = "internal"
)

// statusGone is what Caddy logs for a client that did not wait for its answer.
const statusGone = 499

// refusal is a request that is refused: what the client is told, and what only the
// operator learns.
type refusal struct {
	status int
	*authcore.Fault
	err error // for the log
}

func (r *refusal) Error() string { return r.Fault.Error() }
func (r *refusal) Unwrap() error { return r.Fault }

func refuse(status int, code, reason, description string) *refusal {
	return &refusal{status: status, Fault: &authcore.Fault{Code: code, Reason: reason, Description: description}}
}

func malformed(description string) *refusal {
	return refuse(http.StatusBadRequest, authcore.InvalidRequest, reasonMalformed, description)
}

// unavailable is the answer when the fault is here: never one that a client could take for
// a decision (RFC 7009 section 2.2.1 for revocation).
func unavailable(reason string, err error) *refusal {
	r := refuse(http.StatusServiceUnavailable, "temporarily_unavailable", reason, "the server cannot do this at the moment; try again later")
	r.err = err
	return r
}

// refusalOf turns any error into a refusal.
func refusalOf(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if f, ok := errors.AsType[*authcore.Fault](err); ok {
		return &refusal{status: statusOf(f), Fault: f}
	}
	switch {
	case errors.Is(err, clientauth.ErrBusy):
		return unavailable(reasonBusy, err)
	case errors.Is(err, context.Canceled):
		return refuse(statusGone, authcore.InvalidRequest, reasonGone, "the client has gone")
	}
	return unavailable(reasonStorage, err)
}

// statusOf is the status that goes with a fault (RFC 6749 section 5.2).
func statusOf(f *authcore.Fault) int {
	switch {
	case f.Code == authcore.InvalidClient:
		return http.StatusUnauthorized
	case f.Reason == authcore.ReasonTooManyTokens, f.Reason == authcore.ReasonTooManyClients:
		return http.StatusTooManyRequests
	}
	return http.StatusBadRequest
}

// fail answers with an error and reports it.
func (c *call) fail(err error) {
	r := refusalOf(err)
	c.w.challenge = c.endpoint != UserinfoEndpoint && c.endpoint != ChallengeEndpoint && c.endpoint != ClientEndpoint && c.endpoint != RegisterEndpoint
	if c.endpoint == AuthorizeEndpoint || c.endpoint == LogoutEndpoint || c.endpoint == ChallengeEndpoint && c.r.Method == http.MethodPost {
		c.errorPage(r)
	} else {
		c.json(r.status, errorAnswer{r.Code, r.Description})
	}
	c.report(r)
}

// errorAnswer is an error of RFC 6749 section 5.2.
type errorAnswer struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// report counts and logs a refused request, and emits its event.
func (c *call) report(r *refusal) {
	c.Metrics.refused.WithLabelValues(c.endpoint.Label(), r.Reason).Inc()
	level := zapcore.InfoLevel
	switch {
	case r.status >= 500 && r.status != statusGone:
		level = zapcore.ErrorLevel
	case r.Grant != nil:
		level = zapcore.WarnLevel // a token was used twice: it may have been stolen
	}
	entry := c.Logger.Check(level, "request refused")
	// A client that left was not refused anything.
	emits := c.Events.Enabled(events.Refused) && r.Reason != reasonGone
	if entry == nil && !emits {
		return
	}
	fields := c.fieldsOf(r)
	if emits {
		encoder := zapcore.NewMapObjectEncoder()
		for _, field := range fields {
			field.AddTo(encoder)
		}
		c.Events.Emit(events.Refused, encoder.Fields)
	}
	if entry == nil {
		return
	}
	if r.err != nil {
		fields = append(fields, zap.Error(r.err))
	}
	entry.Write(fields...)
}

// fieldsOf describes a refused request. The id of a client that does not exist
// is left out: it may be a secret that came into the wrong field.
func (c *call) fieldsOf(r *refusal) []zap.Field {
	fields := []zap.Field{
		zap.String("reason", r.Reason),
		zap.String("endpoint", c.endpoint.Label()),
		zap.Int("status", r.status),
	}
	if r.Grant != nil {
		c.clientID = r.Grant.ClientID
		fields = append(fields, zap.String("subject", r.Grant.Subject), zap.Duration("token_age", r.Age.Truncate(time.Second)))
	}
	if c.clientID != "" {
		fields = append(fields, zap.String("client_id", c.clientID))
	}
	if ip, ok := caddyhttp.GetVar(c.r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		fields = append(fields, zap.String("client_ip", ip))
	}
	return fields
}
