// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-gluu/gateway/internal/openapi"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// OpenAPI is the OpenAPI document of an API as a source of rules.
type OpenAPI struct {
	// The document: OpenAPI 2.0, 3.0 or 3.1 in YAML or JSON. It is read when the
	// configuration loads. It may refer to files in its folder and below; nothing
	// is ever fetched from a network.
	File string `json:"file"`

	// The security schemes of the document whose tokens this gateway verifies: of
	// type `oauth2`, `openIdConnect`, or `http` with `bearer`. Requirements of all
	// other schemes are left to the API; an operation must still be protected by
	// what remains. Default: all of type `oauth2` and `openIdConnect`, and an
	// operation that requires another one is refused.
	SecurityScheme []string `json:"security_scheme,omitempty"`

	// What precedes the paths of the document in the path that the upstream
	// receives: a path, `servers` for what the servers of the document say, which
	// must agree, or `none`. Default: `servers`.
	BasePath string `json:"base_path,omitempty"`

	// The access to operations for which the document has no security: `deny`,
	// `public` or `authenticated`. Default: `deny`.
	Unlisted string `json:"unlisted,omitempty"`

	// A text before each scope of the document, such as `role:`. Default: none.
	Prefix string `json:"prefix,omitempty"`

	// Read the document again whenever it or a file that it refers to changes. A
	// document with a mistake is logged, and the last good one stays in force.
	// Only for `gluu_oauth_pep`. Default: false.
	Watch bool `json:"watch,omitempty"`
}

// RuleOptions are the options about rules that enforcing handlers share.
type RuleOptions struct {
	// The OpenAPI document of the API: each of its operations becomes a rule.
	// Default: none.
	OpenAPI *OpenAPI `json:"openapi,omitempty"`

	// Rules that replace those of operations of the OpenAPI document: a scope
	// expression document. In a Caddyfile, `override` before `path`. Default: none.
	Override json.RawMessage `json:"override,omitempty"`
}

func (o *OpenAPI) options(uma bool) openapi.Options {
	return openapi.Options{
		SecuritySchemes: o.SecurityScheme, BasePath: o.BasePath, Unlisted: o.Unlisted, Prefix: o.Prefix, UMA: uma,
	}
}

// A RuleSource is everywhere that the rules of a handler come from.
type RuleSource struct {
	RuleOptions

	Option string          // the name of the field of Inline, for errors
	Inline json.RawMessage // a document, or a string that contains one
	File   string          // with a document, "" for none
	scopeexpr.Options
}

// Compile makes the policy of all rules, and returns what the OpenAPI document says,
// nil if there is none.
func (s *RuleSource) Compile() (*scopeexpr.Policy, *openapi.API, error) {
	api, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	policy, err := s.compileWith(api)
	return policy, api, err
}

func (s *RuleSource) load() (*openapi.API, error) {
	if s.OpenAPI == nil {
		if len(s.Override) > 0 {
			return nil, errors.New("override replaces rules of an OpenAPI document: write openapi <file>, or leave override out")
		}
		return nil, nil
	}
	if s.OpenAPI.File == "" {
		return nil, errors.New("openapi has no file: write 'openapi <file>'")
	}
	api, err := openapi.Load(s.OpenAPI.File, s.OpenAPI.options(s.UMA))
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return api, nil
}

// compileWith compiles the rules with those of a loaded document.
func (s *RuleSource) compileWith(api *openapi.API) (*scopeexpr.Policy, error) {
	own, err := ownRules(s.Option, s.Inline, s.File, s.Options)
	if err != nil {
		return nil, err
	}
	document := own
	if api != nil {
		var overrides scopeexpr.Document
		if len(s.Override) > 0 {
			if overrides, err = scopeexpr.ParseDocument(s.Override); err != nil {
				return nil, fmt.Errorf("override: %w", err)
			}
		}
		if document, err = join(own, overrides, api.Document); err != nil {
			return nil, err
		}
	}
	if len(document) == 0 {
		return nil, fmt.Errorf("there are no rules: write 'path <pattern> { <method> scope <expression> }', %s, %s_file or openapi", s.Option, s.Option)
	}
	policy, err := document.Compile(s.Options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Option, err)
	}
	return policy, nil
}

// A joinError says that a rule and an operation do not go together.
type joinError struct {
	path, method string
	operation    string // that the rule would contradict; "" if there is none to override
}

func (e *joinError) Error() string {
	if e.operation == "" {
		return fmt.Sprintf("override path %q: %s is not an operation of the OpenAPI document: leave override out, or correct the path or the method", e.path, e.method)
	}
	return fmt.Sprintf("path %q: the OpenAPI document has %s as operation %q: write 'override path' to replace it, or leave the rule out", e.path, e.method, e.operation)
}

// join adds the rules of operations to those that an operator wrote, with overrides in
// place of some.
func join(own, overrides, operations scopeexpr.Document) (scopeexpr.Document, error) {
	operations = slices.Clone(operations)
	index := make(map[string]int, len(operations))
	for i, rule := range operations {
		index[rule.Path] = i
		operations[i].Conditions = slices.Clone(rule.Conditions)
	}
	for _, rule := range overrides {
		i, known := index[rule.Path]
		if !known {
			i = -1
		}
		if err := override(operations, i, rule); err != nil {
			return nil, err
		}
	}
	own = slices.Clone(own)
	for j, rule := range own {
		i, known := index[rule.Path]
		if !known {
			continue
		}
		for _, condition := range rule.Conditions {
			for _, method := range condition.HTTPMethods {
				if err := yield(&operations[i], method); err != nil {
					return nil, err
				}
			}
		}
		own[j].Conditions = slices.Concat(rule.Conditions, operations[i].Conditions)
		operations[i].Conditions = nil
		delete(index, rule.Path)
	}
	return append(own, slices.DeleteFunc(operations, func(r scopeexpr.PathRule) bool { return len(r.Conditions) == 0 })...), nil
}

// override replaces the conditions of operations by those of a rule. i is the place of
// the path, -1 if there is none.
func override(operations scopeexpr.Document, i int, rule scopeexpr.PathRule) error {
	for _, condition := range rule.Conditions {
		for _, method := range condition.HTTPMethods {
			at := -1
			if i >= 0 {
				at = conditionOf(operations[i], method)
			}
			if at < 0 || operations[i].Conditions[at].Operation == "" {
				return &joinError{path: rule.Path, method: method}
			}
			replaced := condition
			replaced.HTTPMethods = []string{method}
			replaced.Operation = operations[i].Conditions[at].Operation
			operations[i].Conditions[at] = replaced
		}
	}
	return nil
}

// yield makes way for a rule that an operator wrote. Only what no operation says, that
// a last parameter is not empty, yields.
func yield(rule *scopeexpr.PathRule, method string) error {
	at := conditionOf(*rule, method)
	switch {
	case at < 0:
	case rule.Conditions[at].Operation != "":
		return &joinError{rule.Path, method, rule.Conditions[at].Operation}
	default:
		rule.Conditions = slices.Delete(rule.Conditions, at, at+1)
	}
	return nil
}

func conditionOf(rule scopeexpr.PathRule, method string) int {
	return slices.IndexFunc(rule.Conditions, func(c scopeexpr.Condition) bool { return slices.Contains(c.HTTPMethods, method) })
}
