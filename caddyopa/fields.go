// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// Limits of what a policy is shown. OpenResty shows the first hundred and leaves out
// the rest without a word, so that a client could hide an argument from the policy.
const (
	maxArguments = 256
	maxHeaders   = 200
)

// unshown says that a request cannot be shown to a policy as it is, and how to
// refuse it.
type unshown struct {
	status int
	reason string
	text   string // for the client
}

func (e *unshown) Error() string { return e.text }

func badRequest(format string, a ...any) error {
	return &unshown{http.StatusBadRequest, identity.ReasonMalformedRequest, fmt.Sprintf(format, a...)}
}

// textTerm shows a text. What is not valid UTF-8 would be another text in JSON, and
// to a policy.
func textTerm(text string) (*ast.Term, error) {
	if !utf8.ValidString(text) {
		return nil, badRequest("the request contains text that is not valid UTF-8")
	}
	return ast.StringTerm(text), nil
}

// arguments are those of the query, decoded: a list where one is repeated, true where
// it has no value.
func (q *question) arguments(*opaengine.Uses) (*ast.Term, error) {
	object, err := parseArguments(q.r.URL.RawQuery, "the query")
	if err != nil {
		return nil, err
	}
	return ast.NewTerm(object), nil
}

// parseArguments reads a query or a form. All of it, or an error: where two programs
// read one differently, a policy must not guess.
func parseArguments(query, where string) (ast.Object, error) {
	fields := newGroups(min(strings.Count(query, "&")+1, maxArguments))
	if strings.IndexByte(query, ';') >= 0 {
		return nil, badRequest("%s contains a ';', which some programs read as a separator", where)
	}
	count := 0
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		if count++; count > maxArguments {
			return nil, badRequest("%s has more than %d arguments", where, maxArguments)
		}
		name, value, hasValue := strings.Cut(pair, "=")
		name, err := unescape(name, where)
		if err != nil {
			return nil, err
		}
		term := ast.InternedTerm(true)
		if hasValue {
			if value, err = unescape(value, where); err != nil {
				return nil, err
			}
			term = ast.StringTerm(value)
		}
		fields.add(name, term)
	}
	return fields.object(), nil
}

func unescape(text, where string) (string, error) {
	decoded, err := url.QueryUnescape(text)
	if err != nil {
		return "", badRequest("%s contains an invalid escape", where)
	}
	if !utf8.ValidString(decoded) {
		return "", badRequest("%s contains text that is not valid UTF-8", where)
	}
	return decoded, nil
}

// groups collects values by name, in the order in which they come.
type groups struct {
	names  []string
	values map[string][]*ast.Term
}

func newGroups(size int) *groups { return &groups{values: make(map[string][]*ast.Term, size)} }

func (g *groups) add(name string, term *ast.Term) {
	if _, ok := g.values[name]; !ok {
		g.names = append(g.names, name)
	}
	g.values[name] = append(g.values[name], term)
}

// object makes a list of what is repeated.
func (g *groups) object() ast.Object {
	object := ast.NewObjectWithCapacity(len(g.names))
	for _, name := range g.names {
		term := g.values[name][0]
		if len(g.values[name]) > 1 {
			term = ast.ArrayTerm(g.values[name]...)
		}
		object.Insert(ast.StringTerm(name), term)
	}
	return object
}

// errTooManyHeaders refuses what a policy could not be shown.
var errTooManyHeaders = &unshown{http.StatusRequestHeaderFieldsTooLarge, identity.ReasonTooManyFields, fmt.Sprintf("the request has more than %d header fields", maxHeaders)}

// headers are those that the configuration shows, in lower case, with the host among
// them, as the peer had it.
func (q *question) headers(uses *opaengine.Uses) (*ast.Term, error) {
	if q.isPast && !keepsHeaders(uses) {
		return nil, errNotKept
	}
	count := 0
	for _, values := range q.r.Header {
		count += len(values)
	}
	if count > maxHeaders {
		return nil, errTooManyHeaders
	}
	object := ast.NewObject()
	if err := q.addHost(object, uses); err != nil {
		return nil, err
	}
	if uses.Whole() {
		for name, values := range q.r.Header {
			if err := q.addHeader(object, name, values); err != nil {
				return nil, err
			}
		}
		return ast.NewTerm(object), nil
	}
	for _, lower := range uses.Names() {
		name := http.CanonicalHeaderKey(lower)
		if lower != strings.ToLower(name) {
			continue // no header is shown under that name
		}
		if err := q.addHeader(object, name, q.r.Header[name]); err != nil {
			return nil, err
		}
	}
	return ast.NewTerm(object), nil
}

func (q *question) addHost(object ast.Object, uses *opaengine.Uses) error {
	if uses.Member("host") == nil || !q.pep.showsHeader("Host") {
		return nil
	}
	host, err := textTerm(q.r.Host)
	if err != nil {
		return err
	}
	object.Insert(hostName, host)
	return nil
}

var hostName = ast.StringTerm("host")

func (q *question) addHeader(object ast.Object, name string, values []string) error {
	if len(values) == 0 || name == "Host" || !q.pep.showsHeader(name) {
		return nil
	}
	terms := make([]*ast.Term, len(values))
	for i, value := range values {
		term, err := textTerm(value)
		if err != nil {
			return badRequest("the header %s is not valid UTF-8", name)
		}
		terms[i] = term
	}
	lower := ast.StringTerm(strings.ToLower(name))
	if object.Get(lower) != nil {
		return badRequest("the header %s is there in two spellings", name)
	}
	if len(terms) == 1 {
		object.Insert(lower, terms[0])
		return nil
	}
	object.Insert(lower, ast.ArrayTerm(terms...))
	return nil
}

// asUnshown returns how to refuse a request that cannot be shown, nil for any other
// error.
func asUnshown(err error) *unshown {
	if e, ok := errors.AsType[*unshown](err); ok {
		return e
	}
	return nil
}
