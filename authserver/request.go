// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/caddy-gluu/gateway/internal/clientlimit"
)

const (
	// maxBody is room for a token of 16 KiB, percent-encoded at the worst.
	maxBody     = 64 << 10
	bodyTimeout = 10 * time.Second
)

// call is one request to an endpoint: what it brought, and what became of it.
type call struct {
	endpoint    endpoint
	connection  string        // the address of the client's end
	credentials []credentials // the ways to read what the client sent
	client      *client       // once it is authenticated

	// Of a refused one, for the log and the metrics: a code that stays the
	// same, and what went wrong if that is for the operator only.
	reason string
	err    error
}

// credentials are a client id and a secret as sent.
type credentials struct{ id, secret string }

// Reasons why a request is refused.
const (
	reasonMalformed       = "malformed_request"
	reasonTooLarge        = "request_too_large"
	reasonUnauthenticated = "no_client_authentication"
	reasonUnknownClient   = "unknown_client"
	reasonWrongSecret     = "wrong_secret"
	reasonBusy            = "busy"
	reasonGrant           = "grant_not_served"
	reasonGrantNotAllowed = "grant_not_allowed"
	reasonScope           = "scope_not_allowed"
	reasonForeignToken    = "token_of_another_client"
	reasonTooManyTokens   = "too_many_tokens"
	reasonStorage         = "storage_unavailable"
	reasonStarting        = "starting"
	reasonGone            = "client_gone"
	reasonInternal        = "internal"
)

// statusGone is what Caddy logs for a client that did not wait for its answer.
const statusGone = 499

// refuse records why and returns what the client is told.
func (c *call) refuse(reason string, status int, answer *oidc.Error) error {
	c.reason = reason
	return op.NewStatusError(answer, status)
}

func (c *call) malformed(description string) error {
	return c.refuse(reasonMalformed, http.StatusBadRequest, oidc.ErrInvalidRequest().WithDescription("%s", description))
}

// unavailable is the answer when the fault is here: never one that a client
// could take for a decision (RFC 7009 section 2.2.1 for revocation).
func (c *call) unavailable(reason string, err error) error {
	c.err = err
	return c.refuse(reason, http.StatusServiceUnavailable, &oidc.Error{
		ErrorType:   "temporarily_unavailable",
		Description: "the server cannot do this at the moment; try again later",
	})
}

// asker is who asks for a turn to have a secret checked, for the client of an id;
// "" if there is none.
func (c *call) asker(ctx context.Context, client string) asker {
	return asker{flow{client, clientlimit.NetworkOf(ctx)}, c.connection}
}

type callKey struct{}

// callOf returns the call that a request of the op package belongs to.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// prepare turns a request into the form that op expects, and refuses what it
// would let pass: parameters in the URL, which end up in logs (RFC 6749
// section 2.3.1), parameters given twice, of which two readers take different
// ones (section 3.2), and several ways of authentication (section 2.3).
func (c *call) prepare(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	c.connection = r.RemoteAddr
	prepared := r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	prepared.URL = &url.URL{Path: string(c.endpoint)}
	prepared.Form, prepared.PostForm = url.Values{}, url.Values{}
	if !c.endpoint.isForm() {
		return prepared, nil
	}
	if r.URL.RawQuery != "" {
		return nil, c.malformed("parameters belong in the body, not in the URL")
	}
	form, err := c.readForm(w, r)
	if err != nil {
		return nil, err
	}
	if c.endpoint == tokenEndpoint {
		if err := c.checkGrant(form.Get("grant_type")); err != nil {
			return nil, err
		}
	} else if form.Get("token") == "" {
		return nil, c.malformed("the parameter token is missing")
	}
	headers := slices.DeleteFunc(slices.Clone(r.Header["Authorization"]), func(value string) bool { return value == "" })
	if c.credentials, err = c.readCredentials(headers, form); err != nil {
		return nil, err
	}
	// op finds in the form what it has to know, and nothing else: neither
	// parameters that mean nothing here nor another place for credentials.
	form = url.Values{
		"grant_type":    form["grant_type"],
		"scope":         form["scope"],
		"token":         form["token"],
		"client_id":     {c.credentials[0].id},
		"client_secret": {c.credentials[0].secret},
	}
	if c.endpoint != tokenEndpoint {
		form.Del("grant_type") // op would look at it at any endpoint
	}
	prepared.Header = r.Header.Clone()
	prepared.Header.Del("Authorization")
	prepared.Form, prepared.PostForm = form, form
	prepared.Body = http.NoBody
	return prepared, nil
}

// readForm reads the body, each parameter once, and those without a value not
// at all (RFC 6749 section 3.2).
func (c *call) readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, c.malformed("the body must be application/x-www-form-urlencoded")
	}
	// A body that trickles in would hold the connection for as long as its
	// sender likes. Not every connection can be given a deadline; those
	// that cannot have the server's.
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, c.refuse(reasonTooLarge, http.StatusRequestEntityTooLarge,
				oidc.ErrInvalidRequest().WithDescription("the body has more than %d bytes", maxBody))
		}
		return nil, c.malformed("the body could not be read")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, c.malformed("the body is not a valid form")
	}
	for name, values := range form {
		values = slices.DeleteFunc(values, func(value string) bool { return value == "" })
		switch len(values) {
		case 0:
			delete(form, name)
		case 1:
			form[name] = values
		default:
			return nil, c.malformed("a parameter is given more than once")
		}
	}
	return form, nil
}

// checkGrant refuses grants that no client can have, before a secret is
// checked.
func (c *call) checkGrant(grant string) error {
	if grant == "" {
		return c.malformed("the parameter grant_type is missing")
	}
	if !slices.Contains(served, oidc.GrantType(grant)) {
		return c.refuse(reasonGrant, http.StatusBadRequest,
			oidc.ErrUnsupportedGrantType().WithDescription("this server serves %s", servedGrants()))
	}
	return nil
}

// readCredentials reads how the client authenticates: client_secret_basic or
// client_secret_post (RFC 6749 section 2.3.1), exactly one of them.
func (c *call) readCredentials(headers []string, form url.Values) ([]credentials, error) {
	switch {
	case len(headers) > 1:
		return nil, c.malformed("there is more than one Authorization header")
	case form.Has("client_assertion"), form.Has("client_assertion_type"):
		return nil, c.unauthenticated("the client authenticates with client_secret_basic or client_secret_post here, not with an assertion")
	case len(headers) == 1 && form.Has("client_secret"):
		return nil, c.malformed("the client authenticates in two ways; one is allowed")
	case len(headers) == 1:
		return c.readBasic(headers[0], form.Get("client_id"))
	case form.Has("client_id") && form.Has("client_secret"):
		return []credentials{{form.Get("client_id"), form.Get("client_secret")}}, nil
	}
	return nil, c.unauthenticated("client authentication is missing")
}

// readBasic reads an Authorization header. RFC 6749 wants id and secret
// form-encoded before they are put together; many clients, curl among them,
// do not do it. Both readings are tried where they differ: a secret made of
// base64 has plus signs.
func (c *call) readBasic(header, formID string) ([]credentials, error) {
	id, secret, ok := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
	if !ok || id == "" || secret == "" {
		return nil, c.unauthenticated("the Authorization header is not of the form 'Basic base64(client_id:client_secret)'")
	}
	readings := []credentials{{id, secret}}
	if strings.ContainsAny(id+secret, "%+") {
		decodedID, err := url.QueryUnescape(id)
		decodedSecret, err2 := url.QueryUnescape(secret)
		if err == nil && err2 == nil {
			readings = []credentials{{decodedID, decodedSecret}, {id, secret}}
		}
	}
	if formID != "" && !slices.ContainsFunc(readings, func(r credentials) bool { return r.id == formID }) {
		return nil, c.malformed("client_id in the body is not the one of the Authorization header")
	}
	return readings, nil
}

func (c *call) unauthenticated(description string) error {
	return c.refuse(reasonUnauthenticated, http.StatusUnauthorized, oidc.ErrInvalidClient().WithDescription("%s", description))
}
