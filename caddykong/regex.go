// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"fmt"
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
)

// pathRegex is a regular expression for a path, compiled by Go's engine or, if
// it needs look-around or back-references, by one with Kong's dialect.
type pathRegex struct {
	linear    *regexp.Regexp
	backtrack *regexp2.Regexp
	literal   string // every path that matches begins with it
}

// matchTimeout ends a match of the second engine, whose time can grow
// exponentially with the path.
const matchTimeout = 50 * time.Millisecond

func compilePath(source string) (*pathRegex, error) {
	anchored := "^(?:" + source + ")"
	if linear, err := regexp.Compile(anchored); err == nil {
		return &pathRegex{linear: linear, literal: literalPrefix(source)}, nil
	}
	backtrack, err := regexp2.Compile(anchored, regexp2.RE2)
	if err != nil {
		backtrack, err = regexp2.Compile(anchored, regexp2.None)
	}
	if err != nil {
		return nil, fmt.Errorf("paths: %q is not a valid regular expression: %w", "~"+source, err)
	}
	backtrack.MatchTimeout = matchTimeout
	return &pathRegex{backtrack: backtrack}, nil
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

// matches reports whether a path matches. An error says that it took too long.
func (e *pathRegex) matches(path string) (bool, error) {
	if e.linear != nil {
		return e.linear.MatchString(path), nil
	}
	return e.backtrack.MatchString(path)
}

// captures returns the end of the match and its groups; the first is the match
// itself.
func (e *pathRegex) captures(path string) (values, names []string, err error) {
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
