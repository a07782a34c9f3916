// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/internal/opaengine"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// The document that a policy sees. Only the parts that it refers to are built, of
// OPA's own values: to convert the whole document from JSON costs more than most
// policies do.
//
// Nothing in it may differ from what the upstream receives. What cannot be shown as
// it is, all of it, is refused: a policy that does not see an argument cannot decide
// about it.

// member is a part of the document: its name as a value, and how it is built. A
// member that is nil is left out.
type member struct {
	name  string
	term  *ast.Term
	build func(q *question, uses *opaengine.Uses) (*ast.Term, error)
}

func newMember(name string, build func(*question, *opaengine.Uses) (*ast.Term, error)) member {
	return member{name, ast.StringTerm(name), build}
}

// gluuMembers is the document of `input gluu`.
var gluuMembers = []member{
	newMember("method", (*question).method),
	newMember("host", text(func(q *question) string { return q.r.Host })),
	newMember("scheme", text(func(q *question) string { return scheme(q.r) })),
	newMember("client_ip", text(func(q *question) string { return clientIP(q.r) })),
	newMember("protocol", unlessPast(text(func(q *question) string { return q.r.Proto }))),
	newMember("path", func(q *question, _ *opaengine.Uses) (*ast.Term, error) { return pathTerm(q.path), nil }),
	newMember("raw_path", text(func(q *question) string { return q.rawPath })),
	newMember("uri_args", (*question).arguments),
	newMember("headers", (*question).headers),
	newMember("body", (*question).bodyTerm),
	newMember("body_state", (*question).bodyState),
	newMember("request_token_data", (*question).claims),
	newMember("userinfo", unlessPast((*question).userInfo)),
	newMember("client_id", (*question).clientID),
	newMember("scopes", (*question).scopes),
	newMember("anonymous", (*question).anonymous),
	newMember("consumer", (*question).consumer),
	newMember("operation", unlessRuledBefore((*question).operation)),
	newMember("rule", unlessRuledBefore((*question).rule)),
	newMember("captures", unlessRuledBefore((*question).captures)),
	newMember("context", (*question).context),
	newMember("decision_id", text((*question).decisionID)),
}

// methods are the terms of the usual methods.
var methods = map[string]*ast.Term{
	http.MethodGet: ast.StringTerm(http.MethodGet), http.MethodHead: ast.StringTerm(http.MethodHead),
	http.MethodPost: ast.StringTerm(http.MethodPost), http.MethodPut: ast.StringTerm(http.MethodPut),
	http.MethodPatch: ast.StringTerm(http.MethodPatch), http.MethodDelete: ast.StringTerm(http.MethodDelete),
	http.MethodOptions: ast.StringTerm(http.MethodOptions),
}

func (q *question) method(*opaengine.Uses) (*ast.Term, error) {
	if term := methods[q.r.Method]; term != nil {
		return term, nil
	}
	return textTerm(q.r.Method)
}

// anonymous reports whether there is no verified token.
func (q *question) anonymous(*opaengine.Uses) (*ast.Term, error) {
	return ast.InternedTerm(!q.authenticated()), nil
}

// members returns the document of a form.
func (c *Config) members() []member {
	switch c.Input {
	case inputKong:
		return kongMembers
	case inputEnvoy:
		return envoyMembers
	}
	return gluuMembers
}

// build makes the parts of the document that are used, once for the same policies.
func (q *question) build(uses *opaengine.Uses) (ast.Value, error) {
	if q.input != nil && q.builtFor == uses {
		return q.input, nil
	}
	input, err := q.object(q.pep.members(), uses)
	if err != nil {
		return nil, err
	}
	q.input, q.builtFor = input.Value, uses
	return input.Value, nil
}

// object builds the members of an object that are used.
func (q *question) object(members []member, uses *opaengine.Uses) (*ast.Term, error) {
	pairs := make([][2]*ast.Term, 0, 24) // of a constant size, so that they stay on the stack
	for i := range members {
		used := uses.Member(members[i].name)
		if used == nil {
			continue
		}
		term, err := members[i].build(q, used)
		if err != nil {
			return nil, err
		}
		if term != nil {
			pairs = append(pairs, [2]*ast.Term{members[i].term, term})
		}
	}
	return ast.ObjectTerm(pairs...), nil
}

func text(of func(*question) string) func(*question, *opaengine.Uses) (*ast.Term, error) {
	return func(q *question, _ *opaengine.Uses) (*ast.Term, error) { return textTerm(of(q)) }
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// pathTerm splits a canonical path: "/" has one empty element, and so does a slash at
// the end. A kept slash is a character of its element.
func pathTerm(path string) *ast.Term {
	kept := strings.IndexByte(path, pathmatch.KeptSlash) >= 0
	path = strings.TrimPrefix(path, "/")
	length := strings.Count(path, "/") + 1
	elements, terms := make([]ast.Term, length), make([]*ast.Term, length)
	i := 0
	for element := range strings.SplitSeq(path, "/") {
		if kept {
			element = strings.ReplaceAll(element, string(rune(pathmatch.KeptSlash)), "/")
		}
		elements[i].Value = ast.String(element)
		terms[i] = &elements[i]
		i++
	}
	return ast.ArrayTerm(terms...)
}

// claims are those of the verified token, with the consumer among them as the peer
// had it; `{}` for a caller without one.
func (q *question) claims(uses *opaengine.Uses) (*ast.Term, error) {
	if !q.authenticated() {
		return ast.ObjectTerm(), nil
	}
	state, err := q.state()
	if err != nil {
		return nil, err
	}
	object, ok := state.claims.Value.(ast.Object)
	if !ok || q.id.Consumer == nil || uses.Member("consumer") == nil || object.Get(consumerName) != nil {
		return state.claims, nil
	}
	with := ast.NewObjectWithCapacity(object.Len() + 1)
	object.Foreach(func(name, value *ast.Term) { with.Insert(name, value) })
	with.Insert(consumerName, state.consumerIn)
	return ast.NewTerm(with), nil
}

var consumerName = ast.StringTerm("consumer")

// userInfo is what is known about a person who has logged in.
func (q *question) userInfo(*opaengine.Uses) (*ast.Term, error) {
	if q.id.UserInfo == nil {
		return ast.ObjectTerm(), nil
	}
	value, err := ast.InterfaceToValue(q.id.UserInfo)
	return ast.NewTerm(value), err
}

func (q *question) clientID(*opaengine.Uses) (*ast.Term, error) {
	if !q.authenticated() {
		return ast.InternedTerm(""), nil
	}
	state, err := q.state()
	if err != nil {
		return nil, err
	}
	return state.clientID, nil
}

func (q *question) scopes(*opaengine.Uses) (*ast.Term, error) {
	if !q.authenticated() {
		return ast.ArrayTerm(), nil
	}
	state, err := q.state()
	if err != nil {
		return nil, err
	}
	return state.scopes, nil
}

func (q *question) consumer(*opaengine.Uses) (*ast.Term, error) {
	if !q.authenticated() {
		return consumerTerm(q.id.Consumer), nil
	}
	state, err := q.state()
	if err != nil {
		return nil, err
	}
	return state.consumerIn, nil
}

// operation is the one of the OpenAPI document that the request is, null if it is none.
// Without a document of this handler it is that of a handler before this one, as are
// the rule and its captures.
func (q *question) operation(*opaengine.Uses) (*ast.Term, error) {
	if q.id.Operation == "" {
		return ast.InternedNullTerm, nil
	}
	return ast.StringTerm(q.id.Operation), nil
}

// rule is the pattern of the operation, or of the rule of a handler before this one;
// null if there is neither.
func (q *question) rule(*opaengine.Uses) (*ast.Term, error) {
	if q.id.Rule == "" {
		return ast.InternedNullTerm, nil
	}
	return ast.StringTerm(q.id.Rule), nil
}

// captures are those of that rule, null for a group that took no part.
func (q *question) captures(*opaengine.Uses) (*ast.Term, error) {
	if q.id.Pattern == nil {
		return ast.ArrayTerm(), nil
	}
	var terms []*ast.Term
	for _, capture := range q.id.Pattern.Captures(q.id.RulePath, nil) {
		if !capture.Present {
			terms = append(terms, ast.InternedNullTerm)
			continue
		}
		terms = append(terms, ast.StringTerm(capture.Value))
	}
	return ast.ArrayTerm(terms...), nil
}

// context are the texts of the configuration, with the placeholders replaced.
func (q *question) context(uses *opaengine.Uses) (*ast.Term, error) {
	repl, _ := q.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	object := ast.NewObject()
	for name, value := range q.pep.Context {
		if uses.Member(name) == nil {
			continue
		}
		if q.isPast && hasPlaceholder(value) {
			return nil, errNotKept
		}
		if repl != nil {
			value = repl.ReplaceAll(value, "")
		}
		term, err := textTerm(value)
		if err != nil {
			return nil, err
		}
		object.Insert(ast.StringTerm(name), term)
	}
	return ast.NewTerm(object), nil
}
