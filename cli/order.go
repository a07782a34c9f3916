// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// elements returns the elements of a pattern. No element contains a slash.
func elements(r *scopeexpr.Rule) []string {
	return strings.Split(r.Pattern(), "/")[1:]
}

const (
	anyElement  = "?"
	anyElements = "??"
)

// whyBefore says why a rule takes precedence over a rule of another pattern that
// matches the same path. The first difference of the patterns decides.
func whyBefore(first, second *scopeexpr.Rule) string {
	a, b := elements(first), elements(second)
	multi := false
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			multi = multi || a[i] == anyElements
			continue
		}
		if multi && len(a) != len(b) {
			break
		}
		x, y := kindOf(a[i]), kindOf(b[i])
		if x == y {
			return fmt.Sprintf("%s comes first in the document, before %s", a[i], b[i])
		}
		return fmt.Sprintf("%s is %s, %s is %s", a[i], x, b[i], y)
	}
	if !multi {
		return "an exact end takes precedence over ??"
	}
	return "?? matches as few elements as possible"
}

func kindOf(element string) string {
	switch {
	case element == anyElement:
		return "any element"
	case element == anyElements:
		return "any number of elements"
	case strings.HasPrefix(element, "{"):
		return "a regular expression"
	}
	return "an exact match"
}
