// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// sampleElement returns a text that an element of a path pattern matches.
func sampleElement(element, word string) (string, bool) {
	switch {
	case element == "?", element == "??":
		return word, true
	case strings.HasPrefix(element, "{"):
		return sampleText(element[1:len(element)-1], word)
	}
	return element, true
}

// sampleText returns a text that an expression matches as a whole.
func sampleText(expression, word string) (string, bool) {
	re, err := pathmatch.CompileRegexp(expression)
	if err != nil {
		return "", false
	}
	candidates := []string{word}
	if tree, err := syntax.Parse(expression, syntax.Perl); err == nil {
		candidates = append(candidates, shortest(tree))
	}
	for _, text := range candidates {
		if text != "" && !strings.Contains(text, "/") && re.MatchWhole(text) {
			return text, true
		}
	}
	return "", false
}

// captureGroup is a group PC1 to PC9 in a scope.
var captureGroup = regexp.MustCompile(`\(\?P?<PC([1-9])>[^()]*\)`)

// sampleScope returns a scope that an entry of a rule's data matches, given the
// captures of the path.
func sampleScope(entry string, captures []string) (string, bool) {
	if !strings.HasPrefix(entry, "^") {
		return entry, true
	}
	ok := true
	source := captureGroup.ReplaceAllStringFunc(entry, func(group string) string {
		n, err := strconv.Atoi(captureGroup.FindStringSubmatch(group)[1])
		if err != nil || n > len(captures) {
			ok = false
			return ""
		}
		return regexp.QuoteMeta(captures[n-1])
	})
	if !ok {
		return "", false
	}
	return sampleText(source, "")
}

// shortest returns a short text that an expression probably matches.
func shortest(re *syntax.Regexp) string {
	var b strings.Builder
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(friendly(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpCapture, syntax.OpPlus:
		return shortest(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(shortest(re.Sub[0]), re.Min)
	case syntax.OpAlternate:
		return shortest(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			b.WriteString(shortest(sub))
		}
	}
	return b.String()
}

// friendly returns a character of a class: a letter or a digit if there is one.
func friendly(ranges []rune) rune {
	for _, c := range "a1A" {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= c && c <= ranges[i+1] {
				return c
			}
		}
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		for c := ranges[i]; c <= min(ranges[i+1], ranges[i]+200); c++ {
			if unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("-_.~", c) {
				return c
			}
		}
	}
	if len(ranges) == 0 {
		return 'x'
	}
	return ranges[0]
}
