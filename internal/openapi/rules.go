// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"errors"
	"strings"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// rule returns the pattern of an operation, and what it requires.
func (l *loader) rule(a *api, op *operation) (string, requirement, error) {
	base, err := l.basePath(a, op)
	if err != nil {
		return "", requirement{}, err
	}
	pattern, err := l.pattern(op)
	if err != nil {
		return "", requirement{}, err
	}
	if l.opts.OperationsOnly {
		return base + pattern, requirement{access: scopeexpr.Authenticated}, nil
	}
	r, err := l.requirementOf(a, op)
	if err == nil && op.scopes != nil {
		r, err = l.ownScopes(op.scopes)
	}
	return base + pattern, r, err
}

// condition writes a requirement as a condition of a rule.
func (r requirement) condition(op *operation) scopeexpr.Condition {
	c := scopeexpr.Condition{HTTPMethods: []string{op.method}, Operation: op.name}
	switch r.access {
	case "":
		c.ScopeExpression = r.expression()
	case Deny:
		c.Access = scopeexpr.Denied
	default:
		c.Access = r.access
	}
	return c
}

// A builder collects rules.
type builder struct {
	api   *API
	rules map[string]int        // pattern -> index in api.Document
	seen  map[string]*operation // by method and pattern
	names map[string]*operation
}

// add adds the rule of an operation.
func (b *builder) add(l *loader, op *operation, pattern string, r requirement) error {
	key := op.method + " " + pattern
	if other := b.seen[key]; other != nil {
		return l.errorAt(op.node, "keep one of the two, or tell their parameters apart by a pattern",
			"%s %q and %q in line %d are one rule, %s", op.method, op.template, other.template, lineOf(other.node), pattern)
	}
	b.seen[key] = op
	if other := b.names[op.name]; other != nil {
		l.warn(op, op.node, "give each operation one of its own", "the operationId is also that of line %d", lineOf(other.node))
	}
	b.names[op.name] = op
	b.api.Operations = append(b.api.Operations, Operation{
		Name: op.name, Method: op.method, Path: op.template, Pattern: pattern,
		File: l.fileOf(op.node), Line: lineOf(op.node), Denied: r.access == Deny,
	})
	b.append(pattern, r.condition(op))
	return nil
}

func (b *builder) append(pattern string, condition scopeexpr.Condition) {
	i, known := b.rules[pattern]
	if !known {
		i = len(b.api.Document)
		b.rules[pattern] = i
		b.api.Document = append(b.api.Document, scopeexpr.PathRule{Path: pattern})
	}
	b.api.Document[i].Conditions = append(b.api.Document[i].Conditions, condition)
}

// denyEmptyParameters denies /users/ where there is an operation for /users/{id}. The
// wildcard ? matches an empty last element; a parameter of a path is never empty, and
// many servers take /users/ for /users, which can require something else.
func (b *builder) denyEmptyParameters() {
	for _, op := range b.api.Operations {
		prefix, ends := strings.CutSuffix(op.Pattern, "/?")
		if !ends || b.seen[op.Method+" "+prefix+"/"] != nil {
			continue
		}
		b.append(prefix+"/", scopeexpr.Condition{HTTPMethods: []string{op.Method}, Access: scopeexpr.Denied})
	}
}

// check compiles the rules, so that an error names the operation, and warns of those
// that overlap.
func (b *builder) check(l *loader) error {
	policy, err := b.api.Document.Compile(scopeexpr.Options{UMA: l.opts.UMA})
	if err == nil {
		b.warnOfOverlaps(l, policy)
		return nil
	}
	e, ok := errors.AsType[*scopeexpr.Error](err)
	if !ok {
		return err
	}
	out := &Error{Reason: e.Reason, Hint: e.Hint}
	if i, ok := index(e.Path, 0); ok && i < len(b.api.Document) {
		rule := b.api.Document[i]
		j, _ := index(e.Path, 2)
		op := b.operation(rule, j)
		out.File, out.Line, out.Operation = op.File, op.Line, op.Name
	}
	return out
}

// operation returns the operation of a condition.
func (b *builder) operation(rule scopeexpr.PathRule, condition int) Operation {
	for _, op := range b.api.Operations {
		if op.Pattern == rule.Path && op.Method == rule.Conditions[condition].HTTPMethods[0] {
			return op
		}
	}
	return Operation{}
}

// index returns a number in the path of an error.
func index(path scopeexpr.JSONPath, at int) (int, bool) {
	if at >= len(path) {
		return 0, false
	}
	i, ok := path[at].(int)
	return i, ok
}

// about adds the operation to an error.
func about(op *operation, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Operation == "" {
		e.Operation = op.name
	}
	return err
}
