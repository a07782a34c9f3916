// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// Options are the options of Compile.
type Options struct {
	// UMA is set for rules whose scopes are those of UMA resources. Such rules
	// may name a resource, and may use neither ^ nor not: a permission ticket
	// requests scopes by name, and cannot request that one be absent.
	UMA bool
}

// Compile checks the meaning of a document and makes the policy. Every fault is
// found here and returned as an *Error; a decision cannot fail.
func (d Document) Compile(opts Options) (*Policy, error) {
	if len(d) == 0 {
		return nil, &Error{Reason: "the document has no paths", Hint: `write [{"path": ..., "conditions": [...]}]`}
	}
	c := &compiler{
		opts:        opts,
		policy:      &Policy{uma: opts.UMA},
		paths:       make(map[string]int, len(d)),
		entries:     make(map[string]*entry),
		shapes:      make(map[string]*shape),
		expressions: make(map[string]*compiled),
	}
	for i := range d {
		err := c.at(i, func() *Error { return c.pathRule(&d[i]) })
		if err != nil {
			return nil, d[i].src.place(err, slices.Concat(JSONPath{d[i].index}, err.Path[1:]))
		}
	}
	return c.policy.finish(), nil
}

// A compiler holds what the rules of one document share.
type compiler struct {
	trail
	opts        Options
	policy      *Policy
	patterns    pathmatch.Parser
	paths       map[string]int // path -> where in the document
	entries     map[string]*entry
	shapes      map[string]*shape
	expressions map[string]*compiled // by shape and entries
}

func (c *compiler) pathRule(r *PathRule) *Error {
	if err := c.undamaged(r); err != nil {
		return err
	}
	if other, dup := c.paths[r.Path]; dup {
		return c.errorf(JSONPath{"path"}, "add the conditions to that entry", "the path %q is already at [%d]", r.Path, other)
	}
	c.paths[r.Path] = len(c.paths)
	pattern, err := c.patterns.Parse(r.Path)
	if err != nil {
		return c.patternError(err)
	}
	if len(r.Conditions) == 0 {
		return c.errorf(JSONPath{"conditions"}, `write [{"httpMethods": [...], "scope_expression": {...}}]`,
			"the path %q has no conditions", r.Path)
	}
	methods := make(map[string]bool)
	return c.at("conditions", func() *Error {
		for i := range r.Conditions {
			condition := &r.Conditions[i]
			err := c.at(i, func() *Error {
				if err := c.methods(condition, methods); err != nil {
					return err
				}
				return c.condition(pattern, condition)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// undamaged refuses a rule in which a character was lost, as ParseDocument does:
// the document can come from a Caddyfile or from code.
func (c *compiler) undamaged(r *PathRule) *Error {
	if damaged(r.Path) {
		return c.errorf(JSONPath{"path"}, hintDamaged, "the path %q has a character that is not one: U+FFFD, which programs write in place of one that they cannot read", r.Path)
	}
	for i := range r.Conditions {
		if r.Conditions[i].damaged() {
			return c.errorf(JSONPath{"conditions", i}, hintDamaged, "the condition has a character that is not one: U+FFFD, which programs write in place of one that they cannot read")
		}
	}
	return nil
}

func (c *Condition) damaged() bool {
	if slices.ContainsFunc(c.ACR, damaged) || damaged(c.ResourceID) || damaged(c.ResourceName) {
		return true
	}
	e := c.ScopeExpression
	return e != nil && (slices.ContainsFunc(e.Data, damaged) || findDamaged(e.Rule) >= 0)
}

func damaged(text string) bool {
	return strings.ContainsRune(text, utf8.RuneError) // or invalid UTF-8, which is read as one
}

const hintDamaged = "write the character itself"

func (c *compiler) patternError(err error) *Error {
	e := c.errorf(JSONPath{"path"}, "", "%v", err)
	e.Err = err
	if pattern, ok := errors.AsType[*pathmatch.PatternError](err); ok {
		e.Reason = fmt.Sprintf("the path %q, at character %d: %s", clip(pattern.Pattern), pattern.Offset+1, pattern.Reason)
		e.Hint = pattern.Hint
	}
	return e
}

// methods checks the methods of one condition; seen are those of the path.
func (c *compiler) methods(condition *Condition, seen map[string]bool) *Error {
	if len(condition.HTTPMethods) == 0 {
		return c.errorf(JSONPath{"httpMethods"}, `write ["GET"], for example, or ["?"] for every method not named`, "the condition has no methods")
	}
	for i, m := range condition.HTTPMethods {
		if reason, hint := checkMethod(m); reason != "" {
			return c.errorf(JSONPath{"httpMethods", i}, hint, "%s", reason)
		}
		if seen[m] {
			return c.errorf(JSONPath{"httpMethods", i}, "name each method once per path", "the method %q is given twice for this path", m)
		}
		seen[m] = true
	}
	return nil
}

// checkMethod refuses what cannot be the method of a request. Methods are
// case-sensitive (RFC 9110, section 9.1), and all registered ones are in upper
// case: a rule for "get" would protect nothing.
func checkMethod(m string) (reason, hint string) {
	switch upper := strings.ToUpper(m); {
	case m == pathmatch.Any:
		return "", ""
	case m == "*" || m == "":
		return fmt.Sprintf("%q is not a method", m), "write ? for every method not named"
	case strings.Trim(m, tokenCharacters) != "", strings.Contains(m, "|"):
		// A method may contain a |, but none does. "GET|POST" means two methods,
		// in Gluu Gateway 4 and in regular expressions.
		return fmt.Sprintf("%q is not a method", clip(m)), `write one method per element, such as "GET"`
	case m != upper:
		return fmt.Sprintf("the method %q is not in upper case, and methods are case-sensitive", clip(m)), fmt.Sprintf("write %q", clip(upper))
	}
	return "", ""
}

// tokenCharacters are those of a method: RFC 9110, section 5.6.2.
const tokenCharacters = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func (c *compiler) condition(pattern *pathmatch.Pattern, condition *Condition) *Error {
	if err := c.extras(condition); err != nil {
		return err
	}
	e, err := c.requirement(pattern, condition)
	if err != nil {
		return err
	}
	for i, method := range condition.HTTPMethods {
		rule := &Rule{
			policy: c.policy, pattern: pattern, method: method,
			condition: condition, expression: e, index: len(c.policy.rules),
		}
		c.policy.rules = append(c.policy.rules, rule)
		if err := c.policy.addPublic(rule); err != nil {
			return c.errorf(JSONPath{"httpMethods", i}, "keep one of the two rules", "%v", err)
		}
		if err := c.policy.tree.Add(pattern, method, rule); err != nil {
			e := c.errorf(JSONPath{"httpMethods", i}, "keep one of the two rules", "%v", err)
			e.Err = err
			return e
		}
	}
	return nil
}

// requirement compiles the scope expression of a condition, or its access.
func (c *compiler) requirement(pattern *pathmatch.Pattern, condition *Condition) (e *compiled, err *Error) {
	if condition.Access == "" && condition.ScopeExpression == nil {
		return nil, c.errorf(nil, `write "scope_expression": {"rule": ..., "data": [...]}`, "the condition has no scope expression")
	}
	if condition.Access != "" {
		if err := c.access(condition); err != nil {
			return nil, err
		}
		// Who may pass is the handler's to decide: any token that gets as far has
		// what the rule requires.
		return c.intern(&node{ref: -1, constant: condition.Access != Denied}, nil)
	}
	err = c.at("scope_expression", func() (err *Error) {
		e, err = c.expression(condition.ScopeExpression, pattern)
		return err
	})
	return e, err
}

// access checks a condition that has no scope expression.
func (c *compiler) access(condition *Condition) *Error {
	if reason := checkAccess(condition.Access); reason != "" && condition.Access != Denied {
		return c.errorf(JSONPath{"access"}, hintAccess, "%s", reason)
	}
	permitted := condition.Access == Permitted
	switch {
	case permitted && !c.opts.UMA:
		return c.errorf(JSONPath{"access"}, hintPermitted, "access cannot be %q", Permitted)
	case permitted && condition.ResourceID != "":
		return c.errorf(JSONPath{"resource_id"}, "write resource_name: the scopes of the resource are looked up by its name", "the condition names a resource by its id, but the access is %s", Permitted)
	case condition.ScopeExpression != nil:
		return c.errorf(JSONPath{"access"}, "keep one of the two", "the condition has both an access and a scope_expression")
	case condition.Access == Public && condition.ACR != nil:
		return c.errorf(JSONPath{"acr"}, `leave it out, or write "access": "authenticated"`, "acr requires a token, but the access is public")
	case condition.Access == Public && condition.MaxAge != 0:
		return c.errorf(JSONPath{"max_age"}, `leave it out, or write "access": "authenticated"`, "max_age requires a token, but the access is public")
	case !permitted && (condition.ResourceID != "" || condition.ResourceName != ""):
		return c.errorf(JSONPath{"access"}, "leave the resource out, or write a scope_expression", "the condition names a resource, but the access is %s", condition.Access)
	}
	return nil
}

// extras checks the members of a condition other than methods and expression.
func (c *compiler) extras(condition *Condition) *Error {
	const umaOnly = "leave it out; only rules of gluu_uma_pep name resources"
	switch {
	case condition.ResourceID != "" && !c.opts.UMA:
		return c.errorf(JSONPath{"resource_id"}, umaOnly, "resource_id is only for UMA")
	case condition.ResourceName != "" && !c.opts.UMA:
		return c.errorf(JSONPath{"resource_name"}, umaOnly, "resource_name is only for UMA")
	case condition.ResourceID != "" && condition.ResourceName != "":
		return c.errorf(JSONPath{"resource_name"}, "keep resource_id: it already identifies the resource",
			"the condition has both a resource_id and a resource_name")
	case condition.ACR != nil && len(condition.ACR) == 0:
		return c.errorf(JSONPath{"acr"}, "name a class or leave acr out", "acr is empty, so no token could satisfy it")
	case condition.MaxAge < 0:
		return c.errorf(JSONPath{"max_age"}, "write a number of seconds, 1 or more", "max_age is negative")
	}
	for i, class := range condition.ACR {
		if class == "" || strings.ContainsAny(class, " \t\r\n\"\\") {
			return c.errorf(JSONPath{"acr", i}, "write one class per element", "%q is not an authentication context class", clip(class))
		}
	}
	return nil
}

// compiled is an expression ready to decide. Rules with the same expression
// share one.
type compiled struct {
	shape   *shape
	entries []*entry // by the numbers of the shape's references
	bound   bool     // some entry is tied to captures
	id      int      // number of its fact in Scopes, if it is not bound
	static  []string // the scopes of a plain conjunction, else nil
	joined  string   // static, as a challenge lists them
}

func (c *compiler) expression(e *Expression, pattern *pathmatch.Pattern) (*compiled, *Error) {
	if len(e.Data) > maxDataEntries {
		return nil, c.errorf(JSONPath{"data"}, "use a pattern (^...) that covers many scopes",
			"the data has %d entries, more than %d", len(e.Data), maxDataEntries)
	}
	rule, err := parseLogic(e.Rule, len(e.Data))
	if err == nil && c.opts.UMA {
		err = checkUMA(rule)
	}
	if err != nil {
		err.Path = slices.Concat(c.steps, JSONPath{"rule"}, err.Path)
		return nil, err
	}
	entries := make([]*entry, len(e.Data))
	for i, text := range e.Data {
		if entries[i], err = c.entry(text, pattern); err != nil {
			err.Path = slices.Concat(c.steps, JSONPath{"data", i})
			return nil, err
		}
	}
	return c.intern(rule, entries)
}

// checkUMA refuses operators that could require a scope to be absent.
func checkUMA(rule *node) *Error {
	var err *Error
	rule.walk(func(n *node) {
		switch n.op {
		case "", "and", "or", "!!":
		case "!":
			err = &Error{Reason: `a UMA rule cannot use "not"`,
				Hint: "write what a caller needs; what a caller must not do belongs in the policies of the authorization server"}
		default:
			err = &Error{Reason: fmt.Sprintf("a UMA rule cannot use %q", n.op), Hint: `write it with "and" and "or"`}
		}
	})
	return err
}

// entry finds or makes the entry for a line of data, and checks it against the
// path.
func (c *compiler) entry(text string, pattern *pathmatch.Pattern) (*entry, *Error) {
	e := c.entries[text]
	if e == nil {
		var err *Error
		if e, err = newEntry(text); err != nil {
			return nil, err
		}
		c.entries[text] = e
	}
	if c.opts.UMA && e.pattern != nil {
		return nil, &Error{Reason: fmt.Sprintf("a UMA rule cannot use a pattern such as %q", clip(text)), Hint: "name the scopes one by one"}
	}
	return e, e.checkCaptures(pattern.NumCaptures())
}

// intern finds or makes the compiled form of a rule over its entries. Entries
// are numbered in the order of their first use in the rule, so that rules that
// differ only in their data share one shape.
func (c *compiler) intern(rule *node, data []*entry) (*compiled, *Error) {
	e := &compiled{}
	numbers := make(map[*entry]int, len(data))
	rule = rule.renumber(func(ref int) int {
		entry := data[ref]
		n, known := numbers[entry]
		if !known {
			n = len(numbers)
			numbers[entry] = n
			e.entries = append(e.entries, entry)
			e.bound = e.bound || entry.isBound()
		}
		return n
	})
	var b strings.Builder
	rule.key(&b)
	shapeKey := b.String()
	for _, entry := range e.entries {
		fmt.Fprintf(&b, " %d:%s", len(entry.text), entry.text)
	}
	if known := c.expressions[b.String()]; known != nil {
		return known, nil
	}
	e.shape = c.shapes[shapeKey]
	if e.shape == nil {
		shape, err := newShape(rule, len(e.entries))
		if err != nil {
			e := c.errorf(JSONPath{"rule"}, hintRule, "%v", err)
			e.Err = err
			return nil, e
		}
		e.shape = shape
		c.shapes[shapeKey] = shape
	}
	c.policy.number(e)
	e.static = conjunction(rule, e.entries)
	e.joined = strings.Join(e.static, " ")
	c.expressions[b.String()] = e
	return e, nil
}

// conjunction returns the scopes of a rule that requires each of them and nothing
// else, and nil for any other rule.
func conjunction(rule *node, entries []*entry) []string {
	var scopes []string
	plain := true
	rule.walk(func(n *node) {
		switch {
		case n.op == "and", n.op == "or" && len(n.operands) == 1:
		case n.ref >= 0 && entries[n.ref].pattern == nil:
		default:
			plain = false
		}
	})
	if !plain {
		return nil
	}
	for _, e := range entries {
		if e.text == "" || strings.ContainsRune(e.text, ' ') {
			return nil // no scope that a client could ask for
		}
		scopes = append(scopes, e.text)
	}
	return scopes
}
