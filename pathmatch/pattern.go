// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxPatternLength is the greatest length of a pattern, in bytes. No canonical
// path is longer.
const MaxPatternLength = MaxPathLength

// kind is the kind of an element of a pattern, in the order in which elements
// are tried.
type kind uint8

const (
	literalElement kind = iota
	regexpElement       // {regexp}
	anyElement          // ?
	multiElement        // ??
)

// An element is the part of a pattern between two slashes.
type element struct {
	kind kind
	text string // a literal's text, or the source of a regular expression
	re   Regexp // of a regexpElement
}

// matches reports whether e matches an element of a path. An expression that
// times out counts as no match.
func (e *element) matches(s string) bool {
	switch e.kind {
	case literalElement:
		return e.text == s
	case regexpElement:
		return e.re.MatchWhole(withSlashes(s))
	}
	return true
}

// A Pattern describes paths. It begins with a slash, and its elements are
//
//	text      this text, compared with the percent-decoded path; case matters
//	?         any one element, also an empty one
//	??        any number of elements, also none; once in a pattern
//	{regexp}  one element that the regular expression matches as a whole
//
// Everything else is literal, including percent signs and asterisks: to protect
// "/a%20b", write "/a b". Only the last element can be empty: "/users/" is a
// path of two elements.
type Pattern struct {
	text     string
	elements []element
	multi    int // index of the ?? in elements, -1 if there is none
	captures int
}

// A Capture is the text that an element of a pattern matched in a path.
type Capture struct {
	Value   string
	Present bool // false for a group of a regular expression that did not participate
}

// A PatternError says what is wrong with a pattern, and what to write instead.
type PatternError struct {
	Pattern string
	Offset  int // in bytes, into Pattern
	Reason  string
	Hint    string
}

func (e *PatternError) Error() string {
	return fmt.Sprintf("path pattern %q, offset %d: %s; %s", e.Pattern, e.Offset, e.Reason, e.Hint)
}

// Parse parses a pattern. The error is a [*PatternError].
func Parse(pattern string) (*Pattern, error) {
	return new(Parser).Parse(pattern)
}

// withSlash says what to write instead of a pattern that does not begin with a
// slash. An address loses its host, and what is not a pattern with a slash either is
// not advised.
func withSlash(pattern string) string {
	path := pattern
	if _, rest, isAddress := strings.Cut(pattern, "://"); isAddress {
		_, path, _ = strings.Cut(rest, "/")
	}
	if _, err := Parse("/" + path); err != nil {
		return "write the path of the request, as in /todos/?"
	}
	return "write /" + path
}

// A Parser parses many patterns. It compiles a regular expression that occurs
// in several of them only once. The zero Parser is ready for use. It is not safe
// for concurrent use.
type Parser struct {
	regexps map[string]Regexp
}

// Parse parses a pattern. The error is a [*PatternError].
func (ps *Parser) Parse(pattern string) (*Pattern, error) {
	p := &Pattern{text: pattern, multi: -1}
	refuse := func(offset int, reason, hint string) (*Pattern, error) {
		return nil, &PatternError{Pattern: pattern, Offset: offset, Reason: reason, Hint: hint}
	}
	switch {
	case len(pattern) > MaxPatternLength:
		p := p.text[:64] // enough to find it
		return nil, &PatternError{Pattern: p, Offset: MaxPatternLength, Reason: "the pattern is too long",
			Hint: fmt.Sprintf("no path has more than %d bytes", MaxPathLength)}
	case !strings.HasPrefix(pattern, "/"):
		return refuse(0, "a pattern must start with a slash", withSlash(pattern))
	case !utf8.ValidString(pattern):
		return refuse(0, "invalid UTF-8", "save the pattern as UTF-8")
	case strings.IndexByte(pattern, KeptSlash) >= 0:
		return refuse(strings.IndexByte(pattern, KeptSlash), "a NUL character", "remove it: no path contains one")
	}
	for rest := pattern; rest != ""; {
		rest = rest[1:] // the slash
		offset := len(pattern) - len(rest)
		n, err := elementLength(rest)
		if err != nil {
			err.Pattern = pattern
			err.Offset += offset
			return nil, err
		}
		e, err := ps.parseElement(rest[:n])
		if err != nil {
			err.Pattern = pattern
			err.Offset += offset
			return nil, err
		}
		rest = rest[n:]
		if n == 0 && rest != "" {
			return refuse(offset, "an empty element", "write a single slash; a canonical path never has two in a row")
		}
		switch e.kind {
		case multiElement:
			if p.multi >= 0 {
				return refuse(offset, "a second ??", "a pattern can have only one ??; write ? for each element that must be present")
			}
			p.multi = len(p.elements)
		case anyElement:
			p.captures++
		case regexpElement:
			p.captures += max(1, e.re.NumGroups())
		}
		p.elements = append(p.elements, e)
	}
	return p, nil
}

// elementLength returns the length of the first element of s. An expression ends
// at the brace that closes its first one, ignoring escaped braces and braces in
// a character class.
func elementLength(s string) (int, *PatternError) {
	if !strings.HasPrefix(s, "{") {
		n := strings.IndexByte(s, '/')
		if n < 0 {
			n = len(s)
		}
		return n, nil
	}
	depth, class := 0, -1 // class: where the current character class begins
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '/':
			return 0, &PatternError{Offset: i, Reason: "a slash inside {}",
				Hint: "slashes separate elements: write one expression per element, and leave the slash out of negated classes"}
		case c == '\\' && i+1 < len(s) && s[i+1] != '/':
			i++
		case class >= 0:
			// The first ] of a class is a member of it: []x], [^]x].
			first := i == class+1 || i == class+2 && s[class+1] == '^'
			if c == '[' && i+1 < len(s) && s[i+1] == ':' {
				if end := strings.Index(s[i:], ":]"); end > 0 && !strings.Contains(s[i:i+end], "/") {
					i += end + 1 // [:alpha:]
				}
			} else if c == ']' && !first {
				class = -1
			}
		case c == '[':
			class = i
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth > 0 {
				continue
			}
			if i+1 < len(s) && s[i+1] != '/' {
				return 0, &PatternError{Offset: i + 1, Reason: "text after the closing brace",
					Hint: `an expression is a whole element: put all of it inside the braces, and write \{ and \} for literal braces`}
			}
			return i + 1, nil
		}
	}
	return 0, &PatternError{Reason: "an unclosed brace",
		Hint: `add the closing brace, and write \{ and \} for literal braces`}
}

func (ps *Parser) parseElement(s string) (element, *PatternError) {
	refuse := func(offset int, reason, hint string) (element, *PatternError) {
		return element{}, &PatternError{Offset: offset, Reason: reason, Hint: hint}
	}
	switch {
	case s == "?":
		return element{kind: anyElement, text: s}, nil
	case s == "??":
		return element{kind: multiElement, text: s}, nil
	case strings.HasPrefix(s, "{"):
		source := s[1 : len(s)-1]
		if source == "" {
			return refuse(0, "an empty expression", "write ? for any element, or {^$} for an empty one")
		}
		if shorthand, ok := expandedPlaceholder(source); ok {
			return refuse(0, fmt.Sprintf("Caddy's placeholder %q is not a regular expression", "{"+source+"}"), "write {(?:"+shorthand+")}")
		}
		re, err := ps.compile(source)
		if err != nil {
			return refuse(1, err.Error(), "see https://github.com/google/re2/wiki/Syntax")
		}
		return element{kind: regexpElement, text: source, re: re}, nil
	case len(s) > 2 && strings.Trim(s, "?") == "":
		return refuse(2, "more than two question marks", "write ? for one element, or ?? for any number of elements")
	}
	if i := strings.IndexAny(s, "{}"); i >= 0 {
		return refuse(i, "a brace inside literal text", "an expression is a whole element, so the braces must enclose all of it, as in "+ps.asExpression(s))
	}
	return element{kind: literalElement, text: s}, nil
}

// asExpression returns an expression for an element with a misplaced brace, as it
// was probably meant: the first of several guesses that is valid.
func (ps *Parser) asExpression(s string) string {
	for _, source := range []string{strings.NewReplacer("{", "", "}", "").Replace(s), s} {
		e := "{" + source + "}"
		if n, err := elementLength(e); err != nil || n != len(e) {
			continue
		}
		if _, err := ps.parseElement(e); err == nil {
			return e
		}
	}
	return "{" + regexp.QuoteMeta(s) + "}"
}

func (ps *Parser) compile(source string) (Regexp, error) {
	if re, ok := ps.regexps[source]; ok {
		return re, nil
	}
	re, err := CompileRegexp(source)
	if err != nil {
		return nil, err
	}
	if ps.regexps == nil {
		ps.regexps = make(map[string]Regexp)
	}
	ps.regexps[source] = re
	return re, nil
}

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// NumCaptures returns the number of captures of a path that matches: one for
// each ?, and for each {regexp} one for each of its groups, or one for the
// element if it has no groups. ?? captures nothing.
func (p *Pattern) NumCaptures() int { return p.captures }

// Matches reports whether the pattern matches the path, which must be
// canonical. An expression that times out counts as no match.
func (p *Pattern) Matches(path string) bool {
	return p.align(path, (*element).matches)
}

// Captures appends to dst the captures of the path, from left to right. The
// pattern must match the path.
//
// If an expression with groups times out, fewer than NumCaptures captures are
// appended. The caller must refuse the request.
func (p *Pattern) Captures(path string, dst []Capture) []Capture {
	if p.captures == 0 {
		return dst
	}
	p.align(path, func(e *element, s string) (ok bool) {
		switch {
		case e.kind == literalElement:
		case e.kind == regexpElement && e.re.NumGroups() > 0:
			dst, ok = e.re.Groups(withSlashes(s), dst)
			return ok
		default:
			dst = append(dst, Capture{Value: withSlashes(s), Present: true})
		}
		return true
	})
	return dst
}

// align calls f with each element of the pattern, except for ??, and its element
// of the path, until f returns false. It returns false if f did, or if the path
// has too few or too many elements.
//
// A pattern has at most one ??, so the numbers of elements alone determine which
// element of the path belongs to which one of the pattern.
func (p *Pattern) align(path string, f func(e *element, s string) bool) bool {
	if !strings.HasPrefix(path, "/") {
		return false
	}
	surplus := strings.Count(path, "/") - len(p.elements)
	if p.multi >= 0 {
		surplus++ // the number of elements that the ?? matches
	}
	if surplus < 0 || surplus > 0 && p.multi < 0 {
		return false
	}
	for i := range p.elements {
		if i == p.multi {
			path = skipElements(path, surplus)
			continue
		}
		var s string
		s, path = firstElement(path)
		if !f(&p.elements[i], s) {
			return false
		}
	}
	return true
}

// firstElement returns the first element of path, which begins with a slash,
// and what follows, which is empty or begins with a slash.
func firstElement(path string) (element, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// skipElements returns path without its first n elements.
func skipElements(path string, n int) string {
	for ; n > 0; n-- {
		_, path = firstElement(path)
	}
	return path
}
