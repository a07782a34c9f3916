// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// The endpoints of the authorization server answer errors in the shape of Kong's admin
// API, since the tools that call them know it:
//
//	{"message": "schema violation (name: required field missing)",
//	 "name": "schema violation", "code": 2, "fields": {"name": "required field missing"}}

// oauthFault is an error in Kong's shape.
type oauthFault struct {
	status  int
	Message string         `json:"message"`
	Name    string         `json:"name,omitempty"`
	Code    int            `json:"code,omitempty"`
	Fields  map[string]any `json:"fields,omitempty"`
}

func (f *oauthFault) Error() string { return f.Message }

// violations are what is wrong with the members of an object, by name.
type violations map[string]any

func (v violations) fault() *oauthFault {
	var parts []string
	for name, what := range v {
		elements, ok := what.([]any)
		if !ok {
			parts = append(parts, fmt.Sprintf("%s: %v", name, what))
		}
		for i, element := range elements {
			if element != nil {
				parts = append(parts, fmt.Sprintf("%s.%d: %v", name, i+1, element)) // as Lua counts
			}
		}
	}
	slices.Sort(parts)
	message := fmt.Sprintf("schema violation (%s)", parts[0])
	if len(parts) > 1 {
		message = fmt.Sprintf("%d schema violations (%s)", len(parts), strings.Join(parts, "; "))
	}
	return &oauthFault{http.StatusBadRequest, message, "schema violation", 2, v}
}

func invalidMember(name, format string, args ...any) *oauthFault {
	return violations{name: fmt.Sprintf(format, args...)}.fault()
}

func notUnique(name, value string) *oauthFault {
	return &oauthFault{http.StatusConflict, fmt.Sprintf("UNIQUE violation detected on '{%s=%q}'", name, value), "unique constraint violation", 5, map[string]any{name: value}}
}

func noSuch(entity, name string, reference map[string]string) *oauthFault {
	for key, value := range reference {
		return &oauthFault{http.StatusBadRequest, fmt.Sprintf("the foreign key '{%s=%q}' does not reference an existing '%s' entity.", key, value, entity),
			"foreign key violation", 4, map[string]any{name: reference}}
	}
	return invalidMember(name, "required field missing")
}

func simpleFault(status int, format string, args ...any) *oauthFault {
	return &oauthFault{status: status, Message: fmt.Sprintf(format, args...)}
}

func entityNotFound() *oauthFault { return simpleFault(http.StatusNotFound, "Not found") }

// errConfigured is about a client of the configuration.
func configuredClient() *oauthFault {
	return simpleFault(http.StatusConflict, "the client belongs to the configuration and can only be changed there")
}

// oauthFaultOf turns any error into one that can be answered.
func oauthFaultOf(err error) *oauthFault {
	if f, ok := errors.AsType[*oauthFault](err); ok {
		return f
	}
	switch {
	case errors.Is(err, authcore.ErrNotFound):
		return entityNotFound()
	case errors.Is(err, authcore.ErrExists):
		return simpleFault(http.StatusConflict, "it exists already")
	case errors.Is(err, authcore.ErrChanged):
		return simpleFault(http.StatusConflict, "it was changed meanwhile: read it again and repeat the change")
	}
	return simpleFault(http.StatusServiceUnavailable, "%v", err)
}
