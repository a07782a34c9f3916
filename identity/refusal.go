// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/token"
)

// Reason codes of the log field `reason` and the metrics' label of that name.
// They never change their meaning.
const (
	ReasonNoToken             = "no_token"
	ReasonMalformedRequest    = "malformed_request"
	ReasonTokenInvalid        = string(token.Invalid)
	ReasonTokenInactive       = string(token.Inactive)
	ReasonTokenExpired        = string(token.Expired)
	ReasonTokenBound          = string(token.Bound)
	ReasonUnknownConsumer     = "unknown_consumer"
	ReasonScopeMissing        = "scope_missing"
	ReasonStepUp              = "step_up_required"
	ReasonNoRule              = "no_rule"
	ReasonGroupMissing        = "group_missing"
	ReasonGroupDenied         = "group_denied"
	ReasonAmbiguousPath       = "ambiguous_path"
	ReasonPathTooLong         = "path_too_long"
	ReasonProviderUnavailable = string(token.ProviderUnavailable)
	ReasonAnswerUnreadable    = string(token.Unreadable)
	ReasonTokenLimit          = string(token.Limited)
	ReasonNotAuthenticated    = "not_authenticated"
	ReasonNotReady            = "not_ready"
	ReasonPolicyDenied        = "policy_denied"
	ReasonPolicyUndefined     = "policy_undefined"
	ReasonPolicyError         = "policy_error"
	ReasonPolicyTimeout       = "policy_timeout"
	ReasonPolicyUnavailable   = "policy_unavailable"
	ReasonBodyTooLarge        = "body_too_large"
	ReasonBodyUnsupported     = "body_unsupported"
	ReasonTooManyFields       = "too_many_fields"
	ReasonLoginRequired       = "login_required"
	ReasonSessionUnavailable  = "session_unavailable"
	ReasonRateLimited         = "rate_limited"
	ReasonInternal            = "internal_error"
)

// Refusal is why and how a request is refused.
type Refusal struct {
	// Status is the HTTP status code.
	Status int

	// Error is the code in the answer's body, and in the challenge unless that
	// has none.
	Error string

	// Description helps the client's developer. It tells nothing about other
	// clients.
	Description string

	// Message is the text of Kong's answer, for handlers that succeed a plugin of
	// Kong: its clients read it in the body's member of this name. "" for none.
	Message string

	// Reason is the stable code of the records.
	Reason string

	// Challenge goes into WWW-Authenticate; nil for none.
	Challenge *Challenge

	// Fields are further header fields of the answer.
	Fields []Param

	// RetryAfter goes into Retry-After, in whole seconds, unless zero.
	RetryAfter time.Duration

	// Rule is the path pattern of the rule that decided, for the records. Left
	// empty it is that of the request's identity.
	Rule string

	// Operation is the operation of the OpenAPI document that the rule was made of, ""
	// if there is none.
	Operation string

	// Policy is the revision of the rules that decided; "" if none did.
	Policy string

	// StepUp is the authentication that would do, nil if none would.
	StepUp *Requirement

	// Person is how a person in front of a browser is answered instead, nil if that
	// makes no difference.
	Person *ForPerson

	// DecisionID is the id of the decision in the records of a policy engine. It goes
	// into the answer's body and into the log; "" for none.
	DecisionID string

	// Body is a JSON document that a policy wants the client to get in place of the
	// usual one; nil for the usual one.
	Body []byte

	// Log says more in the log line.
	Log []zap.Field

	// Link is a path of this site where a person can go on, for handlers that
	// answer people with a page; "" for none.
	Link string

	// Required is the expression that the rule requires, for the log; "" if the
	// refusal is not about one.
	Required string

	// Grants are the scopes that the token has, for the log beside Required.
	Grants []string

	// Cause says more in the log. It never contains a token.
	Cause error
}

// Requirement is an authentication that a rule asks for: in one of the contexts,
// if there are any, and at most MaxAge seconds ago, if it is not 0.
type Requirement struct {
	ACR    []string
	MaxAge int64
}

// Challenge is what WWW-Authenticate says (RFC 9110, section 11.6.1). The
// realm and resource_metadata are added when it is written.
type Challenge struct {
	Scheme Scheme
	Params []Param
}

// Param is a parameter of a challenge, whose value is quoted when it is
// written, or a header field.
type Param struct{ Name, Value string }

// append writes the challenge. All parameters are quoted strings.
func (c *Challenge) append(b []byte, realm, resourceMetadata string) []byte {
	b = append(b, c.Scheme...)
	b = appendParam(append(b, ' '), "realm", realm)
	for _, p := range c.Params {
		b = appendParam(append(b, ", "...), p.Name, p.Value)
	}
	if resourceMetadata != "" {
		b = appendParam(append(b, ", "...), "resource_metadata", resourceMetadata)
	}
	return b
}

// appendParam writes name="value" as RFC 9110, section 5.6.4, wants it. What
// no quoted string can hold becomes a question mark.
func appendParam(b []byte, name, value string) []byte {
	b = append(append(b, name...), '=', '"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// NoToken refuses a request without a token. There is no error code, as
// nothing was wrong with what was sent (RFC 6750, section 3.1).
func NoToken() Refusal {
	return Refusal{
		Status: http.StatusUnauthorized, Error: "unauthorized", Reason: ReasonNoToken,
		Description: "An access token is required. Send it in the header 'Authorization: Bearer <token>'.",
		Challenge:   &Challenge{Scheme: Bearer},
	}
}

// Malformed refuses a request whose credential cannot be read. The text of
// the error goes to the client.
func Malformed(err error) Refusal {
	return Refusal{
		Status: http.StatusBadRequest, Error: "invalid_request", Reason: ReasonMalformedRequest,
		Description: Sentence(err.Error()),
		Challenge:   bearerError("invalid_request"),
		Cause:       err,
	}
}

// InvalidToken refuses a token that was not verified. Errors that say nothing
// about the token become 503, or 429 if its network has sent too many that no one
// knows.
func InvalidToken(err *token.Error) Refusal {
	switch err.Reason {
	case token.ProviderUnavailable:
		return Unavailable(err.RetryAfter, err.Err)
	case token.Unreadable:
		r := Unavailable(err.RetryAfter, err.Err)
		r.Reason = ReasonAnswerUnreadable
		r.Description = "The authorization server's answer about this access token cannot be read. Get a new token, or try again later."
		return r
	case token.Limited:
		return Refusal{
			Status: http.StatusTooManyRequests, Error: "temporarily_unavailable", Reason: ReasonTokenLimit,
			Description: "Too many access tokens that are not known came from this network. Try again later.",
			RetryAfter:  max(err.RetryAfter, time.Second),
			Cause:       err.Err,
		}
	}
	r := Refusal{
		Status: http.StatusUnauthorized, Error: "invalid_token", Reason: string(err.Reason),
		Description: "The access token is not valid here.",
		Cause:       err.Err,
	}
	if err.Code != "" {
		r.Error = err.Code
	}
	switch err.Reason {
	case token.Inactive:
		r.Description = "The access token is not active: it has expired, was revoked or was never issued."
	case token.Expired:
		r.Description = "The access token has expired."
	case token.Bound:
		r.Description = "The access token is bound to a key, and the request does not prove possession of it."
	}
	if err.Nonce != "" {
		r.Fields = []Param{{"DPoP-Nonce", err.Nonce}} // RFC 9449, section 8
	}
	r.Challenge = bearerError(r.Error)
	if err.Scheme == string(DPoP) {
		r.Challenge.Scheme = DPoP // RFC 9449, section 7.1
	}
	return r
}

// UnknownConsumer refuses a valid token whose client belongs to no consumer.
func UnknownConsumer() Refusal {
	return Refusal{
		Status: http.StatusUnauthorized, Error: "invalid_token", Reason: ReasonUnknownConsumer,
		Description: "The client that this access token was issued to is not known here.",
		Challenge:   bearerError("invalid_token"),
	}
}

// Unavailable refuses a request because the authorization server cannot be
// asked.
func Unavailable(retryAfter time.Duration, cause error) Refusal {
	return Refusal{
		Status: http.StatusServiceUnavailable, Error: "temporarily_unavailable", Reason: ReasonProviderUnavailable,
		Description: "The authorization server cannot be reached at the moment. Try again later.",
		RetryAfter:  max(retryAfter, time.Second),
		Cause:       cause,
	}
}

// InsufficientScope refuses a verified token that lacks scopes. The scopes are
// those that would do, joined by spaces; "" if no single set can be named.
func InsufficientScope(scopes string) Refusal {
	r := Refusal{
		Status: http.StatusForbidden, Error: "insufficient_scope", Reason: ReasonScopeMissing,
		Description: "The access token does not have the scopes that this request needs.",
		Challenge:   bearerError("insufficient_scope"),
	}
	if scopes != "" && isScopeList(scopes) {
		r.Description = fmt.Sprintf("The access token does not have the scopes that this request needs: '%s'.", scopes)
		r.Challenge.Params = append(r.Challenge.Params, Param{"scope", scopes})
	}
	return r
}

// isScopeList reports whether s can be the value of a scope parameter
// (RFC 6750, section 3).
func isScopeList(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' })
}

// StepUp refuses a verified token because the authentication behind it is too
// weak or too old (RFC 9470, section 3): what is asked for is one of the
// authentication contexts, and one that is at most maxAge seconds ago. A
// maxAge of 0 asks for nothing.
func StepUp(acrValues []string, maxAge int64) Refusal {
	const code = "insufficient_user_authentication"
	r := Refusal{
		Status: http.StatusUnauthorized, Error: code, Reason: ReasonStepUp,
		Description: "A stronger authentication of the user is required.",
		Challenge:   bearerError(code),
		StepUp:      &Requirement{acrValues, maxAge},
	}
	if len(acrValues) > 0 {
		r.Challenge.Params = append(r.Challenge.Params, Param{"acr_values", strings.Join(acrValues, " ")})
	}
	if maxAge > 0 {
		r.Description = "A more recent or stronger authentication of the user is required."
		r.Challenge.Params = append(r.Challenge.Params, Param{"max_age", strconv.FormatInt(maxAge, 10)})
	}
	return r
}

// LoginRequired refuses a request that only a person who is logged in can make.
func LoginRequired() Refusal {
	return Refusal{
		Status: http.StatusUnauthorized, Error: "login_required", Reason: ReasonLoginRequired,
		Description: "Log in first: open this site in a browser.",
		Challenge:   &Challenge{Scheme: Bearer},
		Person:      &ForPerson{LogIn: true},
	}
}

// SessionUnavailable refuses a request because the store of sessions does not
// answer. No session ends for it: the cookie stays as it is.
func SessionUnavailable(cause error) Refusal {
	return Refusal{
		Status: http.StatusServiceUnavailable, Error: "temporarily_unavailable", Reason: ReasonSessionUnavailable,
		Description: "Sessions are unavailable at the moment. Try again later.",
		RetryAfter:  time.Second, Cause: cause,
	}
}

// NoRule refuses what no rule names. No token would change that, so there is
// no challenge.
func NoRule() Refusal {
	return Refusal{
		Status: http.StatusForbidden, Error: "access_denied", Reason: ReasonNoRule,
		Description: "No rule allows this method on this path.",
	}
}

// NotAuthenticated refuses what no authentication handler has looked at: the
// configuration lacks one before the handler that decides.
func NotAuthenticated() Refusal {
	return Refusal{
		Status: http.StatusForbidden, Error: "access_denied", Reason: ReasonNotAuthenticated,
		Description: "Access is denied.",
	}
}

// AmbiguousPath refuses a path that can be read in two ways. The text of the
// error goes to the client.
func AmbiguousPath(err error) Refusal {
	return Refusal{
		Status: http.StatusBadRequest, Error: "invalid_request", Reason: ReasonAmbiguousPath,
		Description: Sentence(err.Error()),
		Cause:       err,
	}
}

// AmbiguousMethod refuses a method that is another one to some upstreams. The text
// of the error goes to the client.
func AmbiguousMethod(err error) Refusal {
	return Refusal{
		Status: http.StatusBadRequest, Error: "invalid_request", Reason: ReasonMalformedRequest,
		Description: Sentence(err.Error()),
		Cause:       err,
	}
}

// PathTooLong refuses a path that is too long to decide about.
func PathTooLong(err error) Refusal {
	return Refusal{
		Status: http.StatusRequestURITooLong, Error: "invalid_request", Reason: ReasonPathTooLong,
		Description: "The path is too long.",
		Cause:       err,
	}
}

// NotReady refuses a request for want of something that the gateway itself
// does not have yet, such as its signing key.
func NotReady(cause error) Refusal {
	return Refusal{
		Status: http.StatusServiceUnavailable, Error: "temporarily_unavailable", Reason: ReasonNotReady,
		Description: "The gateway is not ready yet. Try again later.",
		RetryAfter:  time.Second,
		Cause:       cause,
	}
}

// Internal refuses a request that the gateway itself cannot serve as it
// should, such as for want of a signature.
func Internal(cause error) Refusal {
	return Refusal{
		Status: http.StatusInternalServerError, Error: "server_error", Reason: ReasonInternal,
		Description: "The gateway cannot serve this request.",
		Cause:       cause,
	}
}

// isAboutToken reports whether the refusal says that the credential is missing or
// wrong: only then may the request go on as the anonymous consumer.
func (r Refusal) isAboutToken() bool {
	return r.Status != http.StatusServiceUnavailable && r.Status != http.StatusTooManyRequests
}

func bearerError(code string) *Challenge {
	return &Challenge{Scheme: Bearer, Params: []Param{{"error", code}}}
}

// Sentence writes an error as one, for a client.
func Sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}
