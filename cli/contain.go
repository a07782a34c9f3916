// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/pathmatch"
)

// A shape is a pattern taken apart to be compared with others. Whether one
// pattern matches all that another does, or nothing of it, is proved from its
// elements; where the proof fails, which it does for regular expressions that
// are not simple, both questions are answered no.
type shape struct {
	elements []elementShape
	multi    int // index of the ?? in elements, -1 if there is none
}

type elementShape struct {
	text     string
	kind     byte // 'l'iteral, 'r'egular expression, '?', 'm' for ??
	re       pathmatch.Regexp
	language []string // all that the expression matches, nil if that is too much
	all      bool     // the expression matches everything
}

func newShape(pattern string) *shape {
	s := &shape{multi: -1}
	for i, text := range strings.Split(pattern, "/")[1:] {
		e := elementShape{text: text, kind: 'l'}
		switch {
		case text == anyElement:
			e.kind = '?'
		case text == anyElements:
			e.kind = 'm'
			s.multi = i
		case strings.HasPrefix(text, "{"):
			e = expressionShape(text)
		}
		s.elements = append(s.elements, e)
	}
	return s
}

func expressionShape(text string) elementShape {
	source := text[1 : len(text)-1]
	e := elementShape{text: text, kind: 'r'}
	re, err := pathmatch.CompileRegexp(source)
	if err != nil {
		return e // a policy has no such patterns
	}
	e.re = re
	if parsed, err := syntax.Parse(source, syntax.Perl); err == nil {
		parsed = parsed.Simplify()
		if language, finite := languageOf(parsed); finite {
			e.language = language
		}
		e.all = matchesAll(parsed)
	}
	return e
}

// contains says that every path that p matches is one that s matches.
func (s *shape) contains(p *shape) bool {
	if s.multi < 0 {
		if p.multi >= 0 || len(s.elements) != len(p.elements) {
			return false
		}
		return s.each(p, 0, 0, len(s.elements), (*elementShape).contains)
	}
	before, after := s.multi, len(s.elements)-s.multi-1
	pBefore, pAfter := len(p.elements), len(p.elements)
	if p.multi >= 0 {
		pBefore, pAfter = p.multi, len(p.elements)-p.multi-1
	} else if len(p.elements) < before+after {
		return false
	}
	return before <= pBefore && after <= pAfter &&
		s.each(p, 0, 0, before, (*elementShape).contains) &&
		s.each(p, s.multi+1, len(p.elements)-after, after, (*elementShape).contains)
}

// disjoint says that there is no path that both match.
func (s *shape) disjoint(p *shape) bool {
	if s.multi < 0 && p.multi < 0 && len(s.elements) != len(p.elements) {
		return true
	}
	if s.multi < 0 && len(s.elements) < len(p.elements)-1 || p.multi < 0 && len(p.elements) < len(s.elements)-1 {
		return true // even if the ?? takes nothing
	}
	before, sAfter, pAfter := len(s.elements), len(s.elements), len(p.elements)
	if s.multi >= 0 {
		before, sAfter = s.multi, len(s.elements)-s.multi-1
	}
	pBefore := len(p.elements)
	if p.multi >= 0 {
		pBefore, pAfter = p.multi, len(p.elements)-p.multi-1
	}
	before, after := min(before, pBefore), min(sAfter, pAfter)
	meet := func(a, b *elementShape) bool { return !a.disjoint(b) }
	return !s.each(p, 0, 0, before, meet) ||
		!s.each(p, len(s.elements)-after, len(p.elements)-after, after, meet)
}

// each compares n elements of s and p, from these indices on.
func (s *shape) each(p *shape, i, j, n int, holds func(a, b *elementShape) bool) bool {
	for k := range n {
		if !holds(&s.elements[i+k], &p.elements[j+k]) {
			return false
		}
	}
	return true
}

// contains says that every element that f matches is one that e matches.
func (e *elementShape) contains(f *elementShape) bool {
	switch {
	case e.kind == '?', e.all, e.text == f.text:
		return true
	case e.kind != 'r':
		return e.kind == 'l' && f.language != nil && !slices.ContainsFunc(f.language, func(s string) bool { return s != e.text })
	case f.kind == 'l':
		return e.re.MatchWhole(f.text)
	case f.language != nil:
		return !slices.ContainsFunc(f.language, func(s string) bool { return !e.re.MatchWhole(s) })
	}
	return false
}

// disjoint says that no element is matched by both.
func (e *elementShape) disjoint(f *elementShape) bool {
	switch {
	case e.kind == 'l':
		return !f.matches(e.text)
	case f.kind == 'l':
		return !e.matches(f.text)
	case e.language != nil:
		return !slices.ContainsFunc(e.language, f.matches)
	case f.language != nil:
		return !slices.ContainsFunc(f.language, e.matches)
	}
	return false
}

func (e *elementShape) matches(s string) bool {
	switch e.kind {
	case 'l':
		return e.text == s
	case 'r':
		// If the expression ran out of time nobody knows; to say that it
		// matches is to claim less about the rules.
		matched, err := e.re.Match(s)
		return matched || err != nil
	}
	return true
}

// maxLanguage is how many texts of an expression are tried one by one.
const maxLanguage = 200

// languageOf returns all texts that an expression matches as a whole, if they
// are few.
func languageOf(re *syntax.Regexp) (texts []string, finite bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return nil, false
		}
		return []string{string(re.Rune)}, true
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpCapture:
		return languageOf(re.Sub[0])
	case syntax.OpCharClass:
		return classLanguage(re.Rune)
	case syntax.OpQuest:
		texts, finite = languageOf(re.Sub[0])
		return append(texts, ""), finite
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			more, ok := languageOf(sub)
			if !ok || len(texts)+len(more) > maxLanguage {
				return nil, false
			}
			texts = append(texts, more...)
		}
		return texts, true
	case syntax.OpConcat:
		return concatLanguage(re.Sub)
	}
	return nil, false
}

func classLanguage(ranges []rune) (texts []string, finite bool) {
	for i := 0; i < len(ranges); i += 2 {
		if int(ranges[i+1]-ranges[i])+len(texts) >= maxLanguage {
			return nil, false
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			texts = append(texts, string(r))
		}
	}
	return texts, true
}

// concatLanguage joins the languages of parts. ^ at the beginning and $ at the
// end say nothing about a text that is matched as a whole.
func concatLanguage(parts []*syntax.Regexp) (texts []string, finite bool) {
	texts = []string{""}
	for _, part := range trimAnchors(parts) {
		more, ok := languageOf(part)
		if !ok || len(texts)*len(more) > maxLanguage {
			return nil, false
		}
		var longer []string
		for _, a := range texts {
			for _, b := range more {
				longer = append(longer, a+b)
			}
		}
		texts = longer
	}
	return texts, true
}

func trimAnchors(parts []*syntax.Regexp) []*syntax.Regexp {
	if len(parts) > 0 && parts[0].Op == syntax.OpBeginText {
		parts = parts[1:]
	}
	if len(parts) > 0 && parts[len(parts)-1].Op == syntax.OpEndText {
		parts = parts[:len(parts)-1]
	}
	return parts
}

// matchesAll recognises .* in its usual spellings. No element of a canonical
// path contains the line feed that the dot leaves out.
func matchesAll(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCapture:
		return matchesAll(re.Sub[0])
	case syntax.OpConcat:
		parts := trimAnchors(re.Sub)
		return len(parts) == 1 && matchesAll(parts[0])
	case syntax.OpStar:
		switch sub := re.Sub[0]; sub.Op {
		case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
			return true
		case syntax.OpCharClass: // [^/]
			return slices.Equal(sub.Rune, []rune{0, '/' - 1, '/' + 1, 0x10ffff})
		}
	}
	return false
}
