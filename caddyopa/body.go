// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// States of a body, as the policy sees them. A policy that refuses by what a body
// says must also refuse a body that it was not shown.
const (
	stateOff      = "off"       // the configuration shows none
	stateNone     = "none"      // there is none
	stateComplete = "complete"  // it is in input.body
	stateTooLarge = "too_large" // longer than the limit
	stateEncoded  = "encoded"   // compressed: the policy would see other bytes than the API
	stateOther    = "other"     // of another type
)

// body is what was read of a request's body.
type body struct {
	state string
	term  *ast.Term // nil unless complete
	raw   []byte
}

func (q *question) bodyTerm(*opaengine.Uses) (*ast.Term, error) {
	b, err := q.readBody()
	if err != nil {
		return nil, err
	}
	return b.term, nil
}

func (q *question) bodyState(*opaengine.Uses) (*ast.Term, error) {
	b, err := q.readBody()
	if err != nil {
		return nil, err
	}
	return ast.StringTerm(b.state), nil
}

// readBody reads the body once.
func (q *question) readBody() (*body, error) {
	if q.body != nil {
		return q.body, nil
	}
	if q.isPast && q.pep.Body != "" && q.pep.Body != bodyOff {
		return nil, errNotKept
	}
	b, err := q.pep.readBody(q.r)
	if err != nil {
		return nil, err
	}
	q.body = b
	return b, nil
}

// readBody reads the body of a request as the configuration says. Whether there is
// one is found out by reading and not by its announced length, which a chunked body
// does not have. Every byte that was read is sent to the upstream.
func (c *Config) readBody(r *http.Request) (*body, error) {
	if c.Body == "" || c.Body == bodyOff {
		return &body{state: stateOff}, nil
	}
	if r.Body == nil || r.Body == http.NoBody {
		return &body{state: stateNone}, nil
	}
	limit := c.bodyLimit()
	raw, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, unreadable(err)
	}
	r.Body = replayed{io.MultiReader(bytes.NewReader(raw), r.Body), r.Body}
	switch {
	case len(raw) == 0:
		return &body{state: stateNone}, nil
	case int64(len(raw)) > limit:
		return c.omitted(stateTooLarge, &unshown{http.StatusRequestEntityTooLarge, identity.ReasonBodyTooLarge, "the body is longer than this API accepts"})
	case isEncoded(r.Header):
		return c.omitted(stateEncoded, &unshown{http.StatusUnsupportedMediaType, identity.ReasonBodyUnsupported, "the body has a content encoding; send it without one"})
	case !c.acceptsType(r.Header):
		return c.omitted(stateOther, &unshown{http.StatusUnsupportedMediaType, identity.ReasonBodyUnsupported, "the body has another content type than this API accepts"})
	}
	return c.parseBody(raw)
}

// replayed is a body of which a part was read.
type replayed struct {
	io.Reader
	io.Closer
}

// omitted leaves the body out, if that is configured.
func (c *Config) omitted(state string, refusal error) (*body, error) {
	if c.BodyOverflow == overflowOmit {
		return &body{state: state}, nil
	}
	return nil, refusal
}

func unreadable(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok { // by the directive request_body
		return &unshown{http.StatusRequestEntityTooLarge, identity.ReasonBodyTooLarge, "the body is longer than this API accepts"}
	}
	return badRequest("the body cannot be read")
}

func isEncoded(h http.Header) bool {
	for _, value := range h["Content-Encoding"] {
		if value = strings.TrimSpace(value); value != "" && !strings.EqualFold(value, "identity") {
			return true
		}
	}
	return false
}

// acceptsType reports whether the body is of the type that the configuration expects.
func (c *Config) acceptsType(h http.Header) bool {
	if c.Body == bodyRaw {
		return true
	}
	values := h["Content-Type"]
	if len(values) != 1 {
		return false
	}
	kind, parameters, err := mime.ParseMediaType(values[0])
	if charset, ok := parameters["charset"]; err != nil || ok && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	if c.Body == bodyForm {
		return kind == "application/x-www-form-urlencoded"
	}
	return kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}

func (c *Config) parseBody(raw []byte) (*body, error) {
	b := &body{state: stateComplete, raw: raw}
	switch c.Body {
	case bodyRaw:
		b.term = ast.StringTerm(base64.StdEncoding.EncodeToString(raw))
	case bodyForm:
		object, err := parseArguments(string(raw), "the form")
		if err != nil {
			return nil, err
		}
		b.term = ast.NewTerm(object)
	default:
		value, err := opaengine.ParseJSON(string(raw))
		if err != nil {
			return nil, badRequest("the body cannot be understood: %v", err)
		}
		b.term = ast.NewTerm(value)
	}
	return b, nil
}
