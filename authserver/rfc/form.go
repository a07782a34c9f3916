// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

const (
	formType = "application/x-www-form-urlencoded"

	// maxBody is room for a token of 16 KiB, percent-encoded at the worst.
	maxBody     = 64 << 10
	bodyTimeout = 10 * time.Second
)

// readBody reads a body of a media type.
func (c *call) readBody(mediaType string, limit int64) ([]byte, error) {
	got, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || got != mediaType {
		return nil, malformed("the body must be " + mediaType)
	}
	// A body that trickles in would hold the connection for as long as its
	// sender likes. Not every connection can be given a deadline; those
	// that cannot have the server's.
	control := http.NewResponseController(c.w)
	if control.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, limit))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, refuse(http.StatusRequestEntityTooLarge, authcore.InvalidRequest, reasonTooLarge,
				fmt.Sprintf("the body has more than %d bytes", limit))
		}
		return nil, malformed("the body could not be read")
	}
	return body, nil
}

// readForm reads the parameters of a request with client authentication.
func (c *call) readForm() (url.Values, error) {
	if c.r.URL.RawQuery != "" && !c.allowsQuery() {
		// They would end up in logs (RFC 6749 section 2.3.1).
		return nil, malformed("parameters belong in the body, not in the URL")
	}
	body, err := c.readBody(formType, maxBody)
	if err != nil {
		return nil, err
	}
	text := string(body)
	if c.r.URL.RawQuery != "" {
		text = strings.TrimPrefix(text+"&"+c.r.URL.RawQuery, "&")
	}
	return parseForm(text)
}

// allowsQuery reports whether the configuration lets clients of old put parameters into
// the URL.
func (c *call) allowsQuery() bool {
	if c.endpoint == TokenEndpoint {
		return c.Legacy.QueryCredentials
	}
	return c.Legacy.QueryToken && (c.endpoint == IntrospectEndpoint || c.endpoint == RevokeEndpoint)
}

// severalTimes may be given more than once (RFC 8707 section 2).
const severalTimes = "resource"

// parseForm reads parameters, each once, since of two readers one takes the first and the
// other the last. Those without a value count as left out (RFC 6749 section 3.2).
func parseForm(text string) (url.Values, error) {
	form, repeated, err := parseParameters(text)
	if err == nil && len(repeated) > 0 {
		err = givenTwice(repeated[0])
	}
	if err != nil {
		return nil, err
	}
	return form, nil
}

// givenTwice refuses a parameter that is given too often. The answer does not quote names that
// no standard has.
func givenTwice(name string) *refusal {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || len(name) > 40 {
		name = "with an unknown name"
	}
	if name == severalTimes {
		return malformed(fmt.Sprintf("the parameter %s is given more than %d times", name, maxResources))
	}
	return malformed("the parameter " + name + " is given more than once")
}

// parseParameters reads parameters, and leaves out those that are repeated, whose names it
// returns.
func parseParameters(text string) (form url.Values, repeated []string, err error) {
	form, err = url.ParseQuery(text)
	if err != nil {
		return nil, nil, malformed("the parameters are not a valid form")
	}
	for name, values := range form {
		values = slices.DeleteFunc(values, func(value string) bool { return value == "" })
		switch {
		case len(values) == 0:
			delete(form, name)
		case len(values) == 1 || name == severalTimes && len(values) <= maxResources:
			form[name] = values
		default:
			delete(form, name)
			repeated = append(repeated, name)
		}
	}
	slices.Sort(repeated)
	return form, repeated, nil
}

// typeProblem says in the words of JSON which value of a body has the wrong type. The value is
// that of the field, or an element of it.
func typeProblem(err error) string {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	expected := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "a boolean", reflect.Int64: "a whole number", reflect.Slice: "an array", reflect.Map: "an object", reflect.Struct: "an object",
	}[wrong.Type.Kind()]
	kind, _, _ := strings.Cut(wrong.Value, " ") // "number 1.5"
	return fmt.Sprintf("%s: expected %s, got %s", wrong.Field, expected, jsonTypes[kind])
}

// jsonTypes are the types of JSON as encoding/json calls them.
var jsonTypes = map[string]string{"string": "a string", "number": "a number", "bool": "a boolean", "array": "an array", "object": "an object"}

// maxResources is how many resources a request may name.
const maxResources = 20
