// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/pb33f/go-yaml"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// Path templates: /users/{id}/files/{name}.{ext} is /users/?/files/{(.+)\.(.+)}. Each
// parameter is one capture, whatever groups its own pattern has.

// piece is literal text or a parameter of a template.
type piece struct {
	text     string
	param    bool
	reserved bool // {+name} of RFC 6570, {name+} of AWS: may contain slashes
}

// pattern turns the template of an operation into a path pattern.
func (l *loader) pattern(op *operation) (string, error) {
	if !strings.HasPrefix(op.template, "/") {
		return "", l.errorAt(op.node, "write /"+op.template, "the path %q does not start with a slash", op.template)
	}
	if strings.ContainsAny(op.template, "?#") {
		return "", l.errorAt(op.node, "describe query parameters as parameters",
			"the path %q has a query or a fragment, which is not part of a path", op.template)
	}
	var b strings.Builder
	for element := range strings.SplitSeq(op.template[1:], "/") {
		text, err := l.element(op, element)
		if err != nil {
			return "", err
		}
		b.WriteString("/" + text)
	}
	return b.String(), nil
}

func (l *loader) element(op *operation, element string) (string, error) {
	pieces, ok := split(element)
	if !ok {
		return "", l.errorAt(op.node, "write parameters as {name}", "the braces in %q of the path %q do not match", element, op.template)
	}
	switch {
	case len(pieces) == 0:
		return "", nil
	case len(pieces) == 1 && pieces[0].param:
		return l.wholeElement(op, pieces[0])
	case len(pieces) == 1:
		return l.literal(op, pieces[0].text)
	}
	return l.mixedElement(op, pieces)
}

// split takes an element of a template apart.
func split(element string) (pieces []piece, ok bool) {
	for element != "" {
		open := strings.IndexAny(element, "{}")
		if open < 0 {
			return append(pieces, piece{text: element}), true
		}
		if open > 0 {
			pieces = append(pieces, piece{text: element[:open]})
		}
		length := strings.IndexAny(element[open+1:], "{}")
		if element[open] == '}' || length <= 0 || element[open+1+length] == '{' {
			return nil, false
		}
		name := element[open+1 : open+1+length]
		p := piece{text: strings.TrimSuffix(strings.TrimPrefix(name, "+"), "+"), param: true}
		p.reserved = p.text != name
		pieces = append(pieces, p)
		element = element[open+length+2:]
	}
	return pieces, true
}

// wholeElement is a parameter that is an element of its own.
func (l *loader) wholeElement(op *operation, p piece) (string, error) {
	param := find(op.params, p.text)
	if p.reserved || param != nil && param.slashes {
		return "??", nil
	}
	expression, err := l.expression(op, param)
	if err != nil || expression == "" {
		return "?", err
	}
	return "{" + expression + "}", nil
}

// mixedElement is text with parameters in it.
func (l *loader) mixedElement(op *operation, pieces []piece) (string, error) {
	var b strings.Builder
	b.WriteByte('{')
	for _, p := range pieces {
		if !p.param {
			text, err := l.unescaped(op, p.text)
			if err != nil {
				return "", err
			}
			b.WriteString(regexp.QuoteMeta(text))
			continue
		}
		param := find(op.params, p.text)
		if p.reserved || param != nil && param.slashes {
			return "", l.errorAt(op.node, "make it an element of its own", "the parameter %q may contain slashes, but is only a part of an element", p.text)
		}
		inner := ".+"
		if param != nil && (param.pattern.value != "" || len(param.enum) > 0) {
			var err error
			if inner, err = l.innerExpression(op, param); err != nil {
				return "", err
			}
		}
		b.WriteString("(" + inner + ")")
	}
	b.WriteByte('}')
	return b.String(), nil
}

// literal is an element without parameters.
func (l *loader) literal(op *operation, element string) (string, error) {
	return l.unescaped(op, element)
}

// unescaped decodes an element, since patterns are compared with decoded paths.
func (l *loader) unescaped(op *operation, element string) (string, error) {
	text, err := url.PathUnescape(element)
	if err != nil {
		return "", l.errorAt(op.node, "write %25 for a percent sign", "the path %q: %v", op.template, err)
	}
	if strings.ContainsAny(text, "/?{}\x00") {
		return "", l.errorAt(op.node, "write the path without it", "the path %q has an encoded character that a rule cannot have", op.template)
	}
	return text, nil
}

// expression returns the regular expression of a parameter, "" if it has none. An
// enumeration is narrower than a pattern beside it.
func (l *loader) expression(op *operation, param *parameter) (string, error) {
	switch {
	case param == nil:
		return "", nil
	case len(param.enum) > 0:
		return l.enumeration(param)
	case param.pattern.value == "":
		return "", nil
	}
	source := param.pattern.value
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return l.lookaround(param, source)
	}
	if l.unanchored(tree) {
		l.warn(op, param.pattern.node, "write ^ and $ around it", "the pattern %q of the parameter %q is not anchored; the gateway has it match the whole element", source, param.name)
	}
	if tree.MaxCap() > 0 {
		// Without its groups the parameter is one capture.
		source = withoutAnchors(withoutGroups(tree)).String()
	}
	return withoutSlash(source), nil
}

// lookaround is a pattern that only the backtracking engine runs.
func (l *loader) lookaround(param *parameter, source string) (string, error) {
	re, err := pathmatch.CompileRegexp(source)
	if err != nil {
		return "", l.errorAt(param.pattern.node, "write it for RE2", "the pattern %q of the parameter %q cannot be used: %v", source, param.name, err)
	}
	if re.NumGroups() > 0 {
		return "", l.errorAt(param.pattern.node, "write its groups as (?:...)", "the pattern %q of the parameter %q has look-around and groups", source, param.name)
	}
	return withoutSlash(source), nil
}

// innerExpression is expression for a part of an element, where the anchors of a
// pattern must go.
func (l *loader) innerExpression(op *operation, param *parameter) (string, error) {
	if len(param.enum) > 0 {
		return l.enumeration(param)
	}
	tree, err := syntax.Parse(param.pattern.value, syntax.Perl)
	if err != nil {
		return "", l.errorAt(param.pattern.node, "write it for RE2", "the pattern %q of the parameter %q cannot be a part of an element: %v", param.pattern.value, param.name, err)
	}
	tree = withoutAnchors(withoutGroups(tree))
	if contains(tree, anchor) {
		return "", l.errorAt(param.pattern.node, "anchor it at its beginning and end only", "the pattern %q of the parameter %q has an anchor inside", param.pattern.value, param.name)
	}
	return "(?:" + withoutSlash(tree.String()) + ")", nil
}

func (l *loader) enumeration(param *parameter) (string, error) {
	var quoted []string
	for _, value := range param.enum {
		if value == nil || value.Kind != yaml.ScalarNode {
			return "", l.errorAt(param.node, "list texts", "the enum of the parameter %q has a value that is not a text", param.name)
		}
		if value.Tag != "!!null" && value.Value != "" {
			quoted = append(quoted, withoutSlash(regexp.QuoteMeta(value.Value)))
		}
	}
	if len(quoted) == 0 {
		return "", l.errorAt(param.node, "list its values", "the enum of the parameter %q has no value", param.name)
	}
	return strings.Join(quoted, "|"), nil
}

// withoutSlash writes a slash in an expression so that a pattern can contain it. No
// element has one, unless the handler keeps encoded slashes.
func withoutSlash(source string) string {
	return strings.NewReplacer(`\\`, `\\`, `\/`, `\x2f`, "/", `\x2f`).Replace(source)
}

func anchor(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine:
		return true
	}
	return false
}

func contains(re *syntax.Regexp, is func(*syntax.Regexp) bool) bool {
	if is(re) {
		return true
	}
	for _, sub := range re.Sub {
		if contains(sub, is) {
			return true
		}
	}
	return false
}

// unanchored reports whether some alternative of a pattern matches a part of a text.
func (l *loader) unanchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCapture:
		return l.unanchored(re.Sub[0])
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, l.unanchored)
	case syntax.OpConcat:
		return !anchor(re.Sub[0]) || !anchor(re.Sub[len(re.Sub)-1])
	}
	return true
}

// withoutGroups replaces capturing groups by what is in them.
func withoutGroups(re *syntax.Regexp) *syntax.Regexp {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	for i, sub := range re.Sub {
		re.Sub[i] = withoutGroups(sub)
	}
	return re
}

// withoutAnchors removes anchors at the ends of each alternative.
func withoutAnchors(re *syntax.Regexp) *syntax.Regexp {
	switch {
	case anchor(re):
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case re.Op == syntax.OpAlternate:
		for i, sub := range re.Sub {
			re.Sub[i] = withoutAnchors(sub)
		}
	case re.Op == syntax.OpConcat:
		last := len(re.Sub) - 1
		re.Sub[0] = withoutAnchors(re.Sub[0])
		re.Sub[last] = withoutAnchors(re.Sub[last])
		re.Sub = slices.DeleteFunc(re.Sub, func(sub *syntax.Regexp) bool { return sub.Op == syntax.OpEmptyMatch })
	}
	return re
}
