// SPDX-License-Identifier: Apache-2.0

package kongpath

import (
	"fmt"
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
)

// Regex is a regular expression for a path, compiled by Go's engine or, if
// it needs look-around or back-references, by one with Kong's dialect.
type Regex struct {
	linear    *regexp.Regexp
	backtrack *regexp2.Regexp
	literal   string
}

// Literal returns what every path that matches begins with.
func (e *Regex) Literal() string { return e.literal }

// matchTimeout ends a match of the second engine, whose time can grow
// exponentially with the path.
const matchTimeout = 50 * time.Millisecond

// Compile reads a regular expression, without the ~ before it.
func Compile(source string) (*Regex, error) {
	anchored := "^(?:" + source + ")"
	if linear, err := regexp.Compile(anchored); err == nil {
		return &Regex{linear: linear, literal: literalPrefix(source)}, nil
	}
	backtrack, err := regexp2.Compile(anchored, regexp2.RE2)
	if err != nil {
		backtrack, err = regexp2.Compile(anchored, regexp2.None)
	}
	if err != nil {
		return nil, fmt.Errorf("paths: %q is not a valid regular expression: %w", "~"+source, err)
	}
	backtrack.MatchTimeout = matchTimeout
	return &Regex{backtrack: backtrack}, nil
}

// literalPrefix returns what every match begins with. It asks for the prefix
// of the expression without the anchor, which hides it.
func literalPrefix(source string) string {
	free, err := regexp.Compile(source)
	if err != nil {
		return ""
	}
	prefix, _ := free.LiteralPrefix()
	return prefix
}

// Matches reports whether a path matches. An error says that it took too long.
func (e *Regex) Matches(path string) (bool, error) {
	if e.linear != nil {
		return e.linear.MatchString(path), nil
	}
	return e.backtrack.MatchString(path)
}

// Captures returns the groups of a match and their names; the first is the match
// itself.
func (e *Regex) Captures(path string) (values, names []string, err error) {
	if e.linear != nil {
		return e.linear.FindStringSubmatch(path), e.linear.SubexpNames(), nil
	}
	match, err := e.backtrack.FindStringMatch(path)
	if err != nil || match == nil {
		return nil, nil, err
	}
	for _, group := range match.Groups() {
		values = append(values, group.String())
		names = append(names, group.Name)
	}
	return values, names, nil
}
