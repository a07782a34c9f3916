// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
)

// MaxRegexpLength is the greatest length of a regular expression, in bytes.
// Together with the limits of the two engines on repetition and nesting it
// bounds what compiling and matching one may cost.
const MaxRegexpLength = 4 << 10

// ErrRegexpTimeout says that a regular expression with look-around or
// back-references timed out.
var ErrRegexpTimeout = errors.New("the regular expression took too long")

// A Regexp matches a text as a whole: neither a trailing newline nor the flags
// of the expression widen it. It is safe for concurrent use.
//
// There are two engines. RE2 takes linear time and runs every expression that it
// supports. Expressions with look-around, atomic groups or back-references run
// on a backtracking engine with a time limit, and fail with [ErrRegexpTimeout].
// It is then unknown whether the text matches: a caller for whom "no match"
// could grant access must use the methods that return an error.
type Regexp interface {
	// String returns the expression as it was written.
	String() string
	// NumGroups returns the number of capturing groups, counted by their
	// opening parentheses from left to right, whether or not they have a name.
	NumGroups() int
	// GroupNames returns the name of each group, "" where it has none. The
	// first one is that of the first group. The slice must not be modified.
	GroupNames() []string

	// Match reports whether the expression matches s as a whole.
	Match(s string) (bool, error)
	// Find is like Match and appends a capture for each group to dst.
	Find(s string, dst []Capture) ([]Capture, bool, error)

	// MatchWhole is Match, with an error counted as no match.
	MatchWhole(s string) bool
	// Groups is Find, with an error counted as no match.
	Groups(s string, dst []Capture) ([]Capture, bool)
}

// CompileRegexp compiles a regular expression.
func CompileRegexp(source string) (Regexp, error) {
	if len(source) > MaxRegexpLength {
		return nil, fmt.Errorf("the regular expression is longer than %d bytes", MaxRegexpLength)
	}
	_, err := syntax.Parse(source, syntax.Perl)
	if err == nil {
		return compileRE2(source)
	}
	if e, ok := errors.AsType[*syntax.Error](err); ok && mayBePerl(e) {
		return compilePerl(source)
	}
	return nil, err
}

// mayBePerl reports whether the backtracking engine may accept an expression that
// RE2 refuses for this reason. All other errors are mistakes, or exceed a limit
// that must hold.
func mayBePerl(err *syntax.Error) bool {
	switch err.Code {
	case syntax.ErrInvalidPerlOp, syntax.ErrInvalidEscape:
		return true
	case syntax.ErrInvalidNamedCapture: // look-behind: (?<=x), (?<!x)
		return strings.HasPrefix(err.Expr, "(?<=") || strings.HasPrefix(err.Expr, "(?<!")
	}
	return false
}

// linear is a Regexp that RE2 runs.
type linear struct {
	source string
	re     *regexp.Regexp
	fast   *automaton // nil if the expression has none
	names  []string

	once  sync.Once
	known language // set by once
}

func compileRE2(source string) (Regexp, error) {
	// The source is valid by itself, so it cannot close the group.
	whole := `\A(?:` + source + `)\z`
	re, err := regexp.Compile(whole)
	if err != nil {
		// Only an open \Q reaches beyond the end of an expression.
		return nil, fmt.Errorf(`%w (close \Q with \E)`, err)
	}
	l := &linear{source: source, re: re, names: re.SubexpNames()[1:]}
	parsed, err := syntax.Parse(whole, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	l.fast = newAutomaton(prog)
	return l, nil
}

func (l *linear) String() string               { return l.source }
func (l *linear) NumGroups() int               { return len(l.names) }
func (l *linear) GroupNames() []string         { return l.names }
func (l *linear) Match(s string) (bool, error) { return l.MatchWhole(s), nil }

func (l *linear) MatchWhole(s string) bool {
	if l.fast != nil {
		return l.fast.matches(s)
	}
	return l.re.MatchString(s)
}

func (l *linear) Find(s string, dst []Capture) ([]Capture, bool, error) {
	dst, ok := l.Groups(s, dst)
	return dst, ok, nil
}

func (l *linear) Groups(s string, dst []Capture) ([]Capture, bool) {
	bounds := l.re.FindStringSubmatchIndex(s)
	if bounds == nil {
		return dst, false
	}
	for i := 2; i < len(bounds); i += 2 {
		dst = appendGroup(dst, s, bounds[i], bounds[i+1])
	}
	return dst, true
}

func appendGroup(dst []Capture, s string, start, end int) []Capture {
	if start < 0 {
		return append(dst, Capture{})
	}
	return append(dst, Capture{Value: s[start:end], Present: true})
}
