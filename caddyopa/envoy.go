// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"net"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// The document of Envoy's external authorization, as opa-envoy-plugin makes it. The
// claims of the token are where Envoy's JWT filter puts them.

var envoyMembers = append([]member{
	newMember("attributes", nested(envoyAttributes)),
	newMember("parsed_path", func(q *question, _ *opaengine.Uses) (*ast.Term, error) { return pathTerm(q.path), nil }),
	newMember("parsed_query", (*question).parsedQuery),
	newMember("parsed_body", (*question).bodyTerm),
	newMember("truncated_body", (*question).truncated),
	newMember("body_state", (*question).bodyState),
}, commonMembers...)

var envoyAttributes = []member{
	newMember("request", nested([]member{newMember("http", nested(envoyHTTP))})),
	newMember("source", nested([]member{newMember("address", nested([]member{newMember("socketAddress", nested(envoySource))}))})),
	newMember("metadataContext", nested([]member{newMember("filterMetadata", nested([]member{
		newMember("envoy.filters.http.jwt_authn", nested([]member{newMember("verified_jwt", (*question).claims)})),
	}))})),
}

var envoyHTTP = []member{
	newMember("method", text(func(q *question) string { return q.r.Method })),
	newMember("scheme", text(func(q *question) string { return scheme(q.r) })),
	newMember("host", text(func(q *question) string { return q.r.Host })),
	newMember("path", text(func(q *question) string { return target(q) })),
	newMember("protocol", unlessPast(text(func(q *question) string { return q.r.Proto }))),
	newMember("headers", (*question).headers),
	newMember("body", (*question).rawBody),
	newMember("size", (*question).bodySize),
}

var envoySource = []member{
	newMember("address", text(func(q *question) string { return clientIP(q.r) })),
	newMember("portValue", unlessPast(func(q *question, _ *opaengine.Uses) (*ast.Term, error) {
		_, text, _ := net.SplitHostPort(q.r.RemoteAddr)
		number, _ := strconv.Atoi(text)
		return ast.IntNumberTerm(number), nil
	})),
}

// target is the path with the query, as the upstream receives it: also with a "?"
// that nothing follows.
func target(q *question) string {
	path := q.r.URL.EscapedPath()
	if q.r.URL.ForceQuery || q.r.URL.RawQuery != "" {
		path += "?" + q.r.URL.RawQuery
	}
	return path
}

// parsedQuery has a list for each argument, with "" for one without a value.
func (q *question) parsedQuery(*opaengine.Uses) (*ast.Term, error) {
	object, err := parseArguments(q.r.URL.RawQuery, "the query")
	if err != nil {
		return nil, err
	}
	lists := ast.NewObjectWithCapacity(object.Len())
	object.Foreach(func(name, value *ast.Term) {
		var elements []*ast.Term
		add := func(term *ast.Term) {
			if _, ok := term.Value.(ast.Boolean); ok {
				term = ast.InternedTerm("")
			}
			elements = append(elements, term)
		}
		each(value.Value, add, func() { add(value) })
		lists.Insert(name, ast.ArrayTerm(elements...))
	})
	return ast.NewTerm(lists), nil
}

// truncated says that there is a body and that it is not shown.
func (q *question) truncated(*opaengine.Uses) (*ast.Term, error) {
	b, err := q.readBody()
	if err != nil {
		return nil, err
	}
	return ast.InternedTerm(b.state == stateTooLarge || b.state == stateEncoded || b.state == stateOther), nil
}
