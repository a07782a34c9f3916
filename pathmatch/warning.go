// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Warning returns what is probably a mistake in the pattern, although it has a
// meaning, or "" if there is nothing.
func (p *Pattern) Warning() string {
	for i := range p.elements {
		if e := &p.elements[i]; e.kind == literalElement {
			if w := e.warning(); w != "" {
				return w
			}
		}
	}
	return ""
}

func (e *element) warning() string {
	if decoded, err := url.PathUnescape(e.text); err == nil && decoded != e.text {
		if strings.ContainsAny(decoded, "/") {
			return fmt.Sprintf("%q: patterns are compared with the decoded path, and an encoded slash is refused", e.text)
		}
		return fmt.Sprintf("%q: patterns are compared with the decoded path; write %q", e.text, decoded)
	}
	_, err := Canonicalize(&url.URL{Path: "/" + e.text}, false)
	if ambiguous, ok := errors.AsType[*AmbiguousError](err); ok {
		return fmt.Sprintf("%q: paths like this are refused (%s) unless ambiguous paths are allowed", e.text, ambiguous.Kind)
	}
	switch {
	case strings.ContainsRune(e.text, '*'):
		return fmt.Sprintf("%q: an asterisk stands for itself; write ? for one element, ?? for any number, {.*} for a part of one", e.text)
	case strings.ContainsRune(e.text, '?'):
		return fmt.Sprintf("%q: a question mark within text stands for itself; the query is no part of the path", e.text)
	}
	return ""
}
