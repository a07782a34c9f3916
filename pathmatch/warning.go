// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Warning describes a probable mistake in a valid pattern, or returns "".
func (p *Pattern) Warning() string {
	for i := range p.elements {
		e, w := &p.elements[i], ""
		switch e.kind {
		case literalElement:
			w = e.warning()
		case regexpElement:
			w = e.nameWarning()
		}
		if w != "" {
			return w
		}
	}
	return ""
}

func (e *element) warning() string {
	if decoded, err := url.PathUnescape(e.text); err == nil && decoded != e.text {
		if strings.ContainsAny(decoded, "/") {
			return fmt.Sprintf("%q: patterns match the decoded path, and encoded slashes are refused unless encoded_slashes is keep; then ? or an expression matches them", e.text)
		}
		return fmt.Sprintf("%q: patterns match the decoded path; write %q", e.text, decoded)
	}
	_, err := Canonicalize(&url.URL{Path: "/" + e.text}, Options{})
	if ambiguous, ok := errors.AsType[*AmbiguousError](err); ok {
		return fmt.Sprintf("%q: such paths are refused (%s) unless ambiguous_paths is allow", e.text, ambiguous.Kind)
	}
	switch {
	case strings.ContainsRune(e.text, '*'):
		return fmt.Sprintf("%q: an asterisk is literal; write ? for one element, ?? for any number, or {.*} for part of one", e.text)
	case strings.ContainsRune(e.text, '?'):
		return fmt.Sprintf("%q: a question mark inside text is literal, and the query is not part of the path", e.text)
	case len(e.text) > 1 && e.text[0] == ':':
		return fmt.Sprintf("%q: a colon is literal; write ? for any element", e.text)
	case len(e.text) > 2 && e.text[0] == '<' && e.text[len(e.text)-1] == '>':
		return fmt.Sprintf("%q: angle brackets are literal; write ? for any element", e.text)
	}
	return ""
}

// nameWarning is about {id} and {id:int}, which in other routers are wildcards with a
// name.
func (e *element) nameWarning() string {
	name := strings.Trim(e.text, "{}")
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return !isNameRune(c) }) {
		return ""
	}
	return fmt.Sprintf("{%s} is a regular expression that matches only the element %q; write ? for any element", name, name)
}

func isNameRune(c rune) bool {
	return c == '_' || c == '-' || c == ':' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
